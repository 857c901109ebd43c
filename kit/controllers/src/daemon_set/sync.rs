//! One look at a DaemonSet: which pods are missing or too many, and what is to be written down.
//!
//! Source: `syncDaemonSet` of `pkg/controller/daemon/daemon_controller.go`.

use super::backoff::BackOff;
use super::pods;
use crate::claim::claim;
use crate::expectations::Expected;
use kit_api::apps::{ControllerRevision, DaemonSet, DaemonSetSpec, DaemonSetStatus};
use kit_api::core::{Node, Pod, PodSpec};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::{LabelSelector, ObjectMeta};
use kit_api::selector::Selector;
use kit_apimachinery::object::{About, AsKind};
use kit_client::component::World;
use kit_contract::workloads::DaemonSetController;
use kit_contract::workloads::daemon_set::Status;
use kit_server::{DeleteOptions, Error};

/// The most pods that one look creates, and the most that it deletes (`BurstReplicas`).
const BURST_REPLICAS: usize = 250;

/// What a look at a DaemonSet sees, by name.
pub struct Seen<'a> {
    /// All nodes.
    pub nodes: &'a [&'a Node],
    /// The pods that it controls, and those that nobody does.
    pub pods: &'a [&'a Pod],
    /// The same of revisions.
    pub revisions: &'a [&'a ControllerRevision],
    /// Who decides.
    pub module: &'a dyn DaemonSetController,
}

/// What the controller remembers of a DaemonSet from one look to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// How long failed pods stay.
    pub backoff: BackOff,
    /// Pods were asked for, or asked away, and the watch hasn't shown that.
    pub waits: bool,
}

/// What came of a look.
pub struct Outcome {
    /// What went wrong first.
    pub result: Result<(), Error>,
    /// What was asked for and has to be seen before the next step.
    pub asked: Expected,
    /// When to look again.
    pub again: Vec<SignedDuration>,
}

/// A look at one DaemonSet.
pub(super) struct Sync<'a, 'w> {
    pub set: &'a DaemonSet,
    pub spec: &'a DaemonSetSpec,
    pub template: PodSpec,
    pub seen: &'a Seen<'a>,
    pub memory: &'a mut Memory,
    pub world: &'a mut World<'w>,
    pub asked: Expected,
    pub again: Vec<SignedDuration>,
}

/// Pods that have to come and to go.
#[derive(Default)]
pub(super) struct Plan<'p> {
    /// The nodes that need one.
    pub create: Vec<&'p str>,
    pub delete: Vec<&'p Pod>,
}

/// Looks at a DaemonSet.
pub fn sync(set: &DaemonSet, seen: &Seen<'_>, memory: &mut Memory, world: &mut World<'_>) -> Outcome {
    let Some(spec) = &set.spec else {
        return Outcome { result: Ok(()), asked: Expected::default(), again: Vec::new() };
    };
    let template = spec.template.spec.clone().unwrap_or_default();
    let mut look = Sync { set, spec, template, seen, memory, world, asked: Expected::default(), again: Vec::new() };
    let result = look.run();
    Outcome { result, asked: look.asked, again: look.again }
}

impl<'a> Sync<'a, '_> {
    fn run(&mut self) -> Result<(), Error> {
        if self.spec.selector == LabelSelector::default() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.world.server.record(self.set, "Warning", "SelectingAll", message);
            return Ok(());
        }
        // Its revisions may be gone already, so that nothing can be said of its pods.
        if self.set.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let all = self.own(self.seen.pods)?;
        let history = self.history(&all)?;
        let pods: Vec<&Pod> = all.iter().copied().filter(|pod| !pods::is_over(pod)).collect();
        let decision = self.decide(&pods, &history.hash)?;
        if self.memory.waits {
            return self.write_status(&decision.status, false);
        }
        let done = self.carry_out(&decision, &pods, &history.hash).and_then(|()| self.clean_up(history.old, &all));
        let written = self.write_status(&decision.status, true);
        done.and(written)
    }

    /// Those of some objects that are its own.
    pub(super) fn own<T: AsKind>(&mut self, objects: &[&'a T]) -> Result<Vec<&'a T>, Error> {
        let selector = Selector::try_from(Some(&self.spec.selector)).map_err(Error::internal)?;
        let matches = |meta: &ObjectMeta| selector.matches(&meta.labels.clone().unwrap_or_default());
        claim(About::from(self.set), matches, objects.iter().copied(), self.world)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.world.time()
    }

    pub(super) fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    pub(super) fn is_rolling(&self) -> bool {
        self.spec.update_strategy.as_ref().is_some_and(|strategy| strategy.type_.as_deref() == Some("RollingUpdate"))
    }

    /// Creates pods in batches of 1, 2, 4 and so on, so that what fails for all fails early, and deletes others
    /// (`syncNodes`).
    pub(super) fn change_pods(&mut self, plan: &Plan<'_>, hash: &str) -> Result<(), Error> {
        let mut failure = Ok(());
        let mut missing = &plan.create[..plan.create.len().min(BURST_REPLICAS)];
        let mut batch = 1;
        while !missing.is_empty() && failure.is_ok() {
            let (now, later) = missing.split_at(batch.min(missing.len()));
            for node in now {
                failure = failure.and(self.create(node, hash));
            }
            (missing, batch) = (later, batch * 2);
        }
        for pod in plan.delete.iter().take(BURST_REPLICAS) {
            failure = failure.and(self.delete(pod));
        }
        failure
    }

    fn create(&mut self, node: &str, hash: &str) -> Result<(), Error> {
        match self.world.server.create(pods::new(self.set, node, hash, self.seen.module).into_object()) {
            Ok(pod) => {
                self.asked.creations += 1;
                let message = format!("Created pod: {}", pod.key.name);
                self.world.server.record(self.set, "Normal", "SuccessfulCreate", &message);
                Ok(())
            }
            Err(error) if error.is_namespace_terminating() => {
                // As if it would come: there is no use in trying again.
                self.asked.creations += 1;
                Ok(())
            }
            Err(error) => {
                self.world.server.record(self.set, "Warning", "FailedCreate", &format!("Error creating: {error}"));
                Err(error)
            }
        }
    }

    fn delete(&mut self, pod: &Pod) -> Result<(), Error> {
        let about = About::from(pod);
        match self.world.server.delete(&about.key(), &DeleteOptions::default()) {
            Ok(_) => {
                self.asked.deletions.insert(about.uid().into());
                let message = format!("Deleted pod: {}", about.name());
                self.world.server.record(self.set, "Normal", "SuccessfulDelete", &message);
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => {
                self.world.server.record(self.set, "Warning", "FailedDelete", &format!("Error deleting: {error}"));
                Err(error)
            }
        }
    }

    /// Counts, and writes the status if it is another one than before (`updateDaemonSetStatus`). Pods that were created
    /// in this look are not counted yet.
    fn write_status(&mut self, counts: &Status, observed: bool) -> Result<(), Error> {
        let before = self.set.status.clone().unwrap_or_default();
        let unless_zero = |count: i32| Some(count).filter(|count| *count != 0);
        let status = DaemonSetStatus {
            current_number_scheduled: counts.current_number_scheduled,
            desired_number_scheduled: counts.desired_number_scheduled,
            number_misscheduled: counts.number_misscheduled,
            number_ready: counts.number_ready,
            number_available: unless_zero(counts.number_available),
            number_unavailable: unless_zero(counts.number_unavailable),
            updated_number_scheduled: unless_zero(counts.updated_number_scheduled),
            ..before.clone()
        };
        let generation = self.set.metadata.generation.unwrap_or(0);
        if status != before || before.observed_generation.unwrap_or(0) < generation {
            let observed = observed.then_some(generation);
            if self.store(self.set.clone(), &status, observed).is_err() {
                let about = About::from(self.set);
                let fresh = self.world.server.fetch(about.namespace(), about.name())?;
                self.store(fresh, &status, observed)?;
            }
        }
        if self.min_ready_seconds() > 0 && status.number_ready != status.number_available.unwrap_or(0) {
            self.again.push(SignedDuration::from_secs(self.min_ready_seconds().into()));
        }
        Ok(())
    }

    fn store(&mut self, mut set: DaemonSet, status: &DaemonSetStatus, observed: Option<i64>) -> Result<(), Error> {
        let before = set.status.as_ref().and_then(|status| status.observed_generation);
        set.status = Some(DaemonSetStatus { observed_generation: observed.or(before), ..status.clone() });
        self.world.server.update_status(set.into_object()).map(drop)
    }
}
