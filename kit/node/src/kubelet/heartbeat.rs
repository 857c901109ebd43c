//! What a kubelet says of its node again and again: the lease, and the status.

use super::Kubelet;
use super::node::{self, Ready};
use kit_api::coordination::Lease;
use kit_api::core::Node;
use kit_api::jiff::SignedDuration;
use kit_api::time;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// How often a node posts its status though nothing changed (`nodeStatusReportFrequency`).
const REPORT: Instant = Instant::seconds(300);

impl Kubelet {
    pub(super) fn heartbeat(&mut self, world: &mut World<'_>) {
        let now = world.now;
        let time = world.time() + SignedDuration::from_nanos(self.skew.nanos);
        // As upstream does, it renews the lease that is there, and makes one only if there is none.
        let renewed = match world.server.fetch::<Lease>(node::LEASES, &self.shape.name) {
            Ok(mut there) => {
                there.spec.get_or_insert_default().renew_time = Some(time::micros(time));
                world.server.update(there.into_object())
            }
            Err(_) => world.server.create(self.shape.lease(time).into_object()),
        };
        if renewed.is_err_and(|error| error.code >= 500) {
            self.behind = true;
            return;
        }
        let there = world.server.get(&Key::new(Kind::Node, "", &self.shape.name)).ok().cloned();
        let there = there.as_ref().and_then(|stored| stored.get::<Node>());
        let asked = there.is_some_and(|node| node::ready(node) != Ready::True);
        if !asked && self.reported.is_some_and(|at| now < at + REPORT) {
            return;
        }
        self.reported = Some(now);
        let mut node = match there {
            Some(node) => node.clone(),
            None => {
                let node = self.shape.node(self.index).into_object();
                let Ok(stored) = world.server.create(node) else { return };
                stored.get().cloned().unwrap_or_default()
            }
        };
        let mut holding: BTreeSet<&str> = self.pressure.conditions().collect();
        holding.extend((!self.is_shutting_down()).then_some("Ready"));
        for reason in node::changes(&node, &holding) {
            if let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", &self.shape.name)).cloned() {
                let message = format!("Node {} status is now: {reason}", self.shape.name);
                world.server.record(&stored.object, "Normal", reason, &message);
            }
        }
        self.shape.report(&mut node, self.index, &holding, time);
        if let Some(status) = &mut node.status {
            // Upstream says it with the next look at the node. Here that would be news in every scenario, and it waits for a report.
            status.images = Some(self.images.list()).filter(|images| !images.is_empty());
        }
        _ = world.server.update_status(node.into_object());
    }
}
