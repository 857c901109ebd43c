//! The service controller around the module that decides.
//!
//! Source: `staging/src/k8s.io/cloud-provider/controllers/service/controller.go`. As upstream by default
//! (`--concurrent-service-syncs=1`), one service is dealt with at a time, so a slow cloud keeps the others waiting; hosts
//! are updated beside that.

use super::Shared;
use super::provider::Trouble;
use kit_api::core::{LoadBalancerIngress, LoadBalancerStatus, Node, Service, ServiceStatus};
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::fault::{CloudFault, Fault};
use kit_client::work_queue::WorkQueue;
use kit_contract::Modules;
use kit_contract::network::LoadBalancerController;
use kit_contract::network::load_balancer::{
    Action, Call, FINALIZER, FIRST_DELAY_SECONDS, Happened, Host, LONGEST_DELAY_SECONDS, Reason, SyncRequest, Task,
};
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name.
type Name = (String, String);

/// How often services that are to be cleaned up are looked at again (`serviceSyncPeriod`).
const RESYNC: Instant = Instant::seconds(30);
/// So many nodes are named in an event (`maxNodeNamesToLog`).
const NAMED: usize = 20;

/// Keeps load balancers.
pub struct Services {
    module: Box<dyn LoadBalancerController>,
    cloud: Shared,
    queue: WorkQueue<Name>,
    /// Services that were looked at and may have a load balancer, as they were then (`serviceCache`).
    known: BTreeMap<Name, Service>,
    /// The hosts that the cloud was last told (`lastSyncedNodes`).
    told: BTreeMap<Name, Vec<Host>>,
    failures: BTreeMap<Name, u32>,
    /// Services whose hosts have to be looked at.
    stale: BTreeSet<Name>,
    /// The call of a sync, and the call with other hosts, of which the answer isn't there yet.
    calls: [Option<Pending>; 2],
    next_resync: Instant,
}

/// A step for one service.
struct Step<'a> {
    name: &'a Name,
    service: Service,
    happened: Happened,
    /// What the cloud said, if it failed.
    error: String,
    worker: Worker,
}

/// A call of the cloud that takes its time.
struct Pending {
    name: Name,
    service: Service,
    action: Action,
    done_at: Instant,
}

/// Which of the two workers a step belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worker {
    Services,
    Hosts,
}

impl Services {
    /// A controller with the module of the slot, in front of this cloud.
    pub fn new(modules: &Modules, cloud: Shared) -> Self {
        Services {
            module: modules.load_balancer.make(&()),
            cloud,
            queue: WorkQueue::with_delays(
                Instant::seconds(FIRST_DELAY_SECONDS.into()),
                Instant::seconds(LONGEST_DELAY_SECONDS.into()),
            ),
            known: BTreeMap::new(),
            told: BTreeMap::new(),
            failures: BTreeMap::new(),
            stale: BTreeSet::new(),
            calls: [None, None],
            next_resync: RESYNC,
        }
    }

    fn service_seen(&mut self, change: &Change, service: &Service, world: &World<'_>) {
        let task = self.module.task(service);
        let before = change.previous.as_ref().and_then(|stored| stored.get::<Service>());
        let due = match (change.kind, before) {
            (ChangeKind::Deleted, _) => false,
            (ChangeKind::Added, _) | (_, None) => task != Task::Nothing,
            (_, Some(before)) => task == Task::CleanUp || self.module.service_changed(before, service),
        };
        if due {
            self.queue.add(name_of(service), world.now);
        }
    }

    fn node_seen(&mut self, change: &Change, node: &Node) {
        let before = change.previous.as_ref().and_then(|stored| stored.get::<Node>());
        let due = match (change.kind, before) {
            (ChangeKind::Added | ChangeKind::Deleted, _) | (_, None) => true,
            (_, Some(before)) => self.module.node_changed(before, node),
        };
        if due {
            self.stale.extend(self.known.keys().cloned());
        }
    }

    /// A look at one service (`syncService`).
    fn look(&mut self, name: &Name, world: &mut World<'_>) {
        let now = world.cache.fetch::<Service>(&name.0, &name.1).cloned();
        let uid = now.as_ref().map(|service| service.metadata.uid.clone());
        let before = self.known.get(name).filter(|before| Some(&before.metadata.uid) != uid.as_ref()).cloned();
        // It went without its finalizer, and another of its name may be there.
        if before.is_some_and(|before| !self.abandoned(name, &before, world)) {
            return;
        }
        let Some(service) = now else { return };
        self.known.insert(name.clone(), service.clone());
        let (happened, error) = (Happened::Service, String::new());
        self.step(Step { name, service, happened, error, worker: Worker::Services }, world);
    }

    /// Deletes the load balancer of a service that is gone (`processLoadBalancerDelete`).
    fn abandoned(&mut self, name: &Name, service: &Service, world: &mut World<'_>) -> bool {
        let spec = service.spec.clone().unwrap_or_default();
        if spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none() {
            tell(service, Reason::DeletingLoadBalancer, "Deleting load balancer", world);
            let deleted = self.cloud.borrow_mut().delete(service);
            if let Err(error) = deleted {
                let message = format!("Error deleting load balancer: {error}");
                world.server.record(service, "Warning", "DeleteLoadBalancerFailed", &message);
                self.queue.retry(name.clone(), world.now);
                return false;
            }
            tell(service, Reason::DeletedLoadBalancer, "Deleted load balancer", world);
        }
        self.forget(name);
        true
    }

    fn forget(&mut self, name: &Name) {
        self.known.remove(name);
        self.told.remove(name);
        self.failures.remove(name);
        self.queue.forget(name);
    }

    /// Asks the module what to do, and does it.
    fn step(&mut self, step: Step<'_>, world: &mut World<'_>) {
        let cleans_up = step.happened == Happened::Service && self.module.task(&step.service) != Task::Ensure;
        let found = self.cloud.borrow().balancer(&step.service).map(|balancer| balancer.is_some());
        let in_cloud = match found {
            Ok(found) => found,
            Err(error) if cleans_up => {
                let why = format!("failed to check if load balancer exists before cleanup: {error}");
                return self.fail(&step, &why, world);
            }
            // Who can't ask believes that there is one.
            Err(_) => true,
        };
        let request = SyncRequest {
            happened: step.happened.clone(),
            service: step.service.clone(),
            nodes: world.cache.all::<Node>().cloned().collect(),
            in_cloud,
            told: self.told.get(step.name).cloned().unwrap_or_default(),
            failures: self.failures.get(step.name).copied().unwrap_or_default(),
        };
        let result = self.module.sync(&request);
        let mut calls = false;
        for action in result.actions {
            // What comes of a call is the next question; only events may stand behind it.
            if calls && !matches!(action, Action::Event(_)) {
                continue;
            }
            if let Err(why) = self.act(&step, &action, world) {
                return self.fail(&step, &why, world);
            }
            calls |= action.call().is_some();
        }
        let is_done = !calls && result.again_after_seconds.is_none();
        if let Happened::Failed { call: Call::Ensure | Call::Delete, retry_after_seconds: None } = step.happened {
            *self.failures.entry(step.name.clone()).or_default() += 1;
        }
        if let Some(seconds) = result.again_after_seconds {
            self.queue.add(step.name.clone(), world.now + Instant::seconds(seconds.into()));
        }
        match step.happened {
            Happened::Ensured { .. } if is_done => {
                self.failures.remove(step.name);
                self.queue.forget(step.name);
            }
            Happened::Deleted if is_done => self.forget(step.name),
            Happened::Service if is_done && cleans_up => self.forget(step.name),
            _ => {}
        }
    }

    /// What the API server or the cloud refused: it is said and tried again (`processServiceCreateOrUpdate`).
    fn fail(&mut self, step: &Step<'_>, why: &str, world: &mut World<'_>) {
        tell(&step.service, Reason::SyncLoadBalancerFailed, &format!("Error syncing load balancer: {why}"), world);
        self.queue.retry(step.name.clone(), world.now);
    }

    /// Carries one action out, or says what went wrong. A call is only begun.
    fn act(&mut self, step: &Step<'_>, action: &Action, world: &mut World<'_>) -> Result<(), String> {
        let service = &step.service;
        match action {
            Action::Event(reason) => tell(service, *reason, &self.message(step, *reason), world),
            Action::AddFinalizer => {
                let done = set_finalizer(service, true, world);
                done.map_err(|e| format!("failed to add load balancer cleanup finalizer: {e}"))?;
            }
            Action::RemoveFinalizer => {
                let done = set_finalizer(service, false, world);
                done.map_err(|e| format!("failed to remove load balancer cleanup finalizer: {e}"))?;
            }
            Action::SetStatus { addresses } => match set_status(step.name, addresses, world) {
                // It may be gone with its finalizer.
                Err(error) if !error.is_not_found() => {
                    return Err(format!("failed to update load balancer status: {error}"));
                }
                _ => {}
            },
            Action::Ensure { hosts } | Action::UpdateHosts { hosts } => {
                self.told.insert(step.name.clone(), hosts.clone());
            }
            Action::Delete => {}
        }
        let Some(call) = action.call() else { return Ok(()) };
        let cloud = self.cloud.borrow();
        let takes = match call {
            Call::Ensure => cloud.ensure_takes(service),
            Call::UpdateHosts => cloud.update_takes(),
            Call::Delete => cloud.delete_takes(),
        };
        let (name, service, action) = (step.name.clone(), service.clone(), action.clone());
        self.calls[step.worker as usize] = Some(Pending { name, service, action, done_at: world.now + takes });
        Ok(())
    }

    fn message(&self, step: &Step<'_>, reason: Reason) -> String {
        match reason {
            Reason::EnsuringLoadBalancer => "Ensuring load balancer".into(),
            Reason::EnsuredLoadBalancer => "Ensured load balancer".into(),
            Reason::UpdatedLoadBalancer => "Updated load balancer with new hosts".into(),
            Reason::UnAvailableLoadBalancer => "There are no available nodes for LoadBalancer".into(),
            Reason::DeletingLoadBalancer => "Deleting load balancer".into(),
            Reason::DeletedLoadBalancer => "Deleted load balancer".into(),
            Reason::SyncLoadBalancerFailed => format!("Error syncing load balancer: {}", step.error),
            Reason::UpdateLoadBalancerFailed => {
                let hosts = self.told.get(step.name).map(Vec::as_slice).unwrap_or_default();
                let mut names: Vec<String> = hosts.iter().take(NAMED).map(|host| host.name.clone()).collect();
                if hosts.len() > NAMED {
                    names.push(format!("<{} more>", hosts.len() - NAMED));
                }
                let (names, count, error) = (names.join(" "), hosts.len(), &step.error);
                format!(
                    "Error updating load balancer with new hosts [{names}] [node names limited, total number of nodes: {count}], error: {error}"
                )
            }
        }
    }

    /// The answer of the cloud to a call, once it is due; `false` if none is.
    fn answer(&mut self, worker: Worker, world: &mut World<'_>) -> bool {
        let pending = self.calls[worker as usize].take_if(|pending| pending.done_at <= world.now);
        let Some(Pending { name, service, action, .. }) = pending else { return false };
        let mut cloud = self.cloud.borrow_mut();
        let (call, what, answer) = match &action {
            Action::Ensure { hosts } => {
                let ensured = cloud.ensure(&service, hosts).map(|addresses| Happened::Ensured { addresses });
                (Call::Ensure, "failed to ensure load balancer: ", ensured)
            }
            Action::UpdateHosts { hosts } => {
                (Call::UpdateHosts, "", cloud.update(&service, hosts).map(|()| Happened::Updated))
            }
            _ => (Call::Delete, "failed to delete load balancer: ", cloud.delete(&service).map(|()| Happened::Deleted)),
        };
        drop(cloud);
        let (happened, error) = match answer {
            Ok(happened) => (happened, String::new()),
            Err(error) => {
                let retry_after_seconds = error.retry_after_seconds;
                (Happened::Failed { call, retry_after_seconds }, format!("{what}{error}"))
            }
        };
        // The service may have changed meanwhile.
        let current = world.cache.fetch::<Service>(&name.0, &name.1);
        let service = current.filter(|now| now.metadata.uid == service.metadata.uid).cloned().unwrap_or(service);
        self.step(Step { name: &name, service, happened, error, worker }, world);
        true
    }

    /// Does the next thing that is due; `false` if there is none.
    fn work(&mut self, world: &mut World<'_>) -> bool {
        if self.answer(Worker::Services, world) || self.answer(Worker::Hosts, world) {
            return true;
        }
        if self.calls[Worker::Services as usize].is_none()
            && let Some(name) = self.queue.pop(world.now)
        {
            self.look(&name, world);
            return true;
        }
        // A cloud doesn't do two things with one load balancer at a time.
        let busy = self.calls[Worker::Services as usize].as_ref().map(|pending| &pending.name);
        let stale = self.stale.iter().find(|name| Some(*name) != busy).cloned();
        if self.calls[Worker::Hosts as usize].is_none()
            && let Some(name) = stale
        {
            self.stale.remove(&name);
            if let Some(service) = self.known.get(&name).cloned() {
                let (happened, error) = (Happened::Nodes, String::new());
                self.step(Step { name: &name, service, happened, error, worker: Worker::Hosts }, world);
            }
            return true;
        }
        false
    }
}

impl Component for Services {
    fn name(&self) -> &'static str {
        "service-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match &change.object.object {
            Object::Service(service) => self.service_seen(change, service, world),
            Object::Node(node) => self.node_seen(change, node),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if world.now >= self.next_resync {
            for service in world.cache.all::<Service>().filter(|service| self.module.task(service) == Task::CleanUp) {
                self.queue.add(name_of(service), world.now);
            }
            while self.next_resync <= world.now {
                self.next_resync = self.next_resync + RESYNC;
            }
        }
        while self.work(world) {}
    }

    fn next_wake(&self) -> Option<Instant> {
        let [services, hosts] = &self.calls;
        let waits = self.queue.next().filter(|_| services.is_none());
        let resync = self.queue.next().map(|_| self.next_resync);
        let answers = [services, hosts].into_iter().flatten().map(|pending| pending.done_at);
        answers.chain(waits).chain(resync).min()
    }

    fn fault(&mut self, fault: &Fault, _world: &mut World<'_>) -> Result<bool, String> {
        let mut cloud = self.cloud.borrow_mut();
        match fault {
            Fault::Crash(name) | Fault::Restart(name) => {
                return Ok(cloud.set_stopped(name, matches!(fault, Fault::Crash(_))));
            }
            Fault::Cloud(CloudFault::Slow(by)) => cloud.trouble = Trouble::Slow(*by),
            Fault::Cloud(CloudFault::Failing) => cloud.trouble = Trouble::Failing,
            Fault::Cloud(CloudFault::Throttling(seconds)) => cloud.trouble = Trouble::Throttling(*seconds),
            Fault::Cloud(CloudFault::Quota(quota)) => cloud.quota = Some(*quota),
            Fault::Cloud(CloudFault::Fine) => (cloud.trouble, cloud.quota) = (Trouble::None, None),
            Fault::Cloud(CloudFault::Delete(name)) => {
                cloud.remove_instance(name).ok_or_else(|| format!("the cloud has no instance `{name}`"))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn name_of(service: &Service) -> Name {
    (service.metadata.namespace.clone().unwrap_or_default(), service.metadata.name.clone().unwrap_or_default())
}

fn tell(service: &Service, reason: Reason, message: &str, world: &mut World<'_>) {
    use Reason::{SyncLoadBalancerFailed, UnAvailableLoadBalancer, UpdateLoadBalancerFailed};
    let is_bad = matches!(reason, SyncLoadBalancerFailed | UnAvailableLoadBalancer | UpdateLoadBalancerFailed);
    let kind = if is_bad { "Warning" } else { "Normal" };
    world.server.record(service, kind, &format!("{reason:?}"), message);
}

fn set_finalizer(service: &Service, wanted: bool, world: &mut World<'_>) -> Result<(), Error> {
    let (namespace, name) = name_of(service);
    let mut now: Service = world.server.fetch(&namespace, &name)?;
    let finalizers = now.metadata.finalizers.get_or_insert_default();
    let before = finalizers.len();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    let had = finalizers.len() < before;
    if wanted {
        finalizers.push(FINALIZER.into());
    }
    if had == wanted {
        return Ok(());
    }
    world.server.update(now.into_object()).map(drop)
}

fn set_status((namespace, name): &Name, addresses: &[String], world: &mut World<'_>) -> Result<(), Error> {
    let mut service: Service = world.server.fetch(namespace, name)?;
    let entry = |address: &String| LoadBalancerIngress {
        ip: Some(address.clone()),
        // Packets arrive with the address of the load balancer, and kube-proxy takes them from there (KEP-1860).
        ip_mode: Some("VIP".into()),
        ..LoadBalancerIngress::default()
    };
    let ingress: Vec<_> = addresses.iter().map(entry).collect();
    let load_balancer = LoadBalancerStatus { ingress: Some(ingress).filter(|ingress| !ingress.is_empty()) };
    let before = service.status.take().unwrap_or_default();
    service.status = Some(ServiceStatus { load_balancer: Some(load_balancer), ..before });
    world.server.update_status(service.into_object()).map(drop)
}
