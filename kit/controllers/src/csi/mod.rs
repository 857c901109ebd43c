//! A simulated driver of volumes, with the programs that stand beside each driver: they make, delete, attach and grow volumes.
//!
//! A driver is at work in a cluster as long as there is a CSIDriver object of its name. Its disks are reached from the zone
//! in which they are made, or from everywhere where nodes have no zones. What it does takes a second. Sources:
//! `kubernetes-sigs/sig-storage-lib-external-provisioner`, `kubernetes-csi/{external-provisioner,external-attacher,external-resizer}`.

mod attach;
mod nodes;
mod provision;
mod resize;

use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::meta::ObjectMeta;
use kit_api::storage::{CSIDriver, CSIDriverSpec, StorageClass, VolumeAttachment};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::disk;
use kit_client::fault::{Conduct, Fault, VolumeCall};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The driver of a cluster that comes with one.
pub const DRIVER: &str = "disk.csi.example.com";
/// How long anything takes.
const WORK: Instant = Instant::seconds(1);
/// How long it waits after something failed.
const AGAIN: Instant = Instant::seconds(10);
/// How long who stands beside a driver waits for its answer (`--timeout` of the external attacher), and how long before it asks again:
/// twice as long each time (`--retry-interval-start`, `--retry-interval-max`).
const TIMEOUT: Instant = Instant::seconds(15);
const FIRST_RETRY: Instant = Instant::seconds(1);
const LAST_RETRY: Instant = Instant::seconds(300);

/// What a driver is busy with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    /// Make the volume of a claim.
    Provision(Key),
    /// Delete a volume.
    Delete(Key),
    /// Attach a volume.
    Attach(Key),
    /// Detach it.
    Detach(Key),
    /// Grow the volume of a claim.
    Resize(Key),
    /// Grow the file system on it.
    ResizeFiles(Key),
}

/// All drivers.
#[derive(Default)]
pub struct CsiDrivers {
    /// Their names.
    drivers: BTreeSet<String>,
    jobs: WorkQueue<Job>,
    /// What has changed and was not looked at yet.
    changed: BTreeSet<Key>,
    /// Where their disks are.
    disks: disk::Shared,
    /// What drivers do that don't do what they should.
    conduct: BTreeMap<VolumeCall, Conduct>,
    /// How often each of these has failed in a row.
    failed: BTreeMap<Job, u32>,
    /// Whether a driver and the class of its volumes are still to be installed.
    to_install: bool,
}

impl CsiDrivers {
    /// Drivers of a cluster that comes with one, as those of kind and minikube do, and with the default class `standard`.
    pub fn installed() -> Self {
        CsiDrivers { to_install: true, ..CsiDrivers::default() }
    }

    /// Drivers with these disks, which others know, too.
    pub fn with_disks(self, disks: disk::Shared) -> Self {
        CsiDrivers { disks, ..self }
    }

    /// What is there already, or was changed by somebody, stays.
    fn install(&mut self, world: &mut World<'_>) {
        let named = |name: &str| ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let driver = CSIDriver { metadata: named(DRIVER), spec: CSIDriverSpec::default() };
        let mut metadata = named("standard");
        let default = ("storageclass.kubernetes.io/is-default-class".to_string(), "true".to_string());
        metadata.annotations = Some([default].into());
        let class = StorageClass {
            metadata,
            provisioner: DRIVER.into(),
            volume_binding_mode: Some("WaitForFirstConsumer".into()),
            allow_volume_expansion: Some(true),
            ..StorageClass::default()
        };
        for object in [driver.into_object(), class.into_object()] {
            self.to_install &= world.server.create(object).is_err_and(|error| error.code >= 500);
        }
    }

    fn begin(&mut self, job: Job, now: Instant) -> bool {
        let new = !self.jobs.contains(&job);
        if new {
            self.jobs.add(job, now + WORK);
        }
        new
    }

    /// Does what has taken its time, or fails to and tries later.
    fn do_or_fail(&mut self, job: Job, world: &mut World<'_>) {
        let conduct = match &job {
            Job::Attach(_) => self.conduct.get(&VolumeCall::Attach),
            Job::Detach(_) => self.conduct.get(&VolumeCall::Detach),
            _ => None,
        };
        let conduct = conduct.copied().unwrap_or_default();
        let (Job::Attach(key) | Job::Detach(key), Conduct::Fails | Conduct::Hangs) = (&job, conduct) else {
            self.failed.remove(&job);
            if self.finish(&job, world).is_err() {
                self.jobs.add(job, world.now + AGAIN);
            }
            return;
        };
        let Ok(attachment) = world.server.fetch::<VolumeAttachment>("", &key.name) else {
            self.failed.remove(&job);
            return;
        };
        let times = self.failed.entry(job.clone()).or_default();
        *times += 1;
        let pause = Instant { nanos: FIRST_RETRY.nanos << (*times - 1).min(20) }.min(LAST_RETRY);
        // What hangs has been waited for already, but for the first time.
        let waits = if conduct == Conduct::Hangs { TIMEOUT } else { Instant::default() };
        if conduct == Conduct::Fails || *times > 1 {
            _ = attach::complain(attachment, conduct, matches!(job, Job::Detach(_)), world);
            self.jobs.add(job, world.now + pause + waits);
        } else {
            self.jobs.add(job, world.now + TIMEOUT);
        }
    }

    /// A driver is new: all that was there before is its business.
    fn join(&mut self, name: &str, world: &World<'_>) {
        if self.drivers.insert(name.into()) {
            let state = world.server.snapshot();
            let kinds = [Kind::PersistentVolumeClaim, Kind::PersistentVolume, Kind::VolumeAttachment, Kind::Node];
            self.changed.extend(kinds.into_iter().flat_map(|kind| state.list(kind)).map(|stored| stored.key.clone()));
        }
    }

    /// Finds out what there is to do about an object.
    fn look_at(&mut self, key: &Key, world: &mut World<'_>) -> Result<(), Error> {
        let Some(stored) = world.server.snapshot().get(key).cloned() else { return Ok(()) };
        match &stored.object {
            Object::PersistentVolumeClaim(claim) => {
                if let Some(driver) = provision::driver(claim, world.server.snapshot())
                    && self.drivers.contains(&driver)
                    && self.begin(Job::Provision(key.clone()), world.now)
                {
                    provision::announce(claim, &driver, world);
                }
                let resizer = resize::driver(claim, world.server.snapshot());
                if let Some((driver, only_files)) = resizer.filter(|(driver, _)| self.drivers.contains(driver)) {
                    let job = if only_files { Job::ResizeFiles } else { Job::Resize };
                    if self.begin(job(key.clone()), world.now) && !only_files {
                        resize::announce(claim, &driver, world)?;
                    }
                }
            }
            Object::PersistentVolume(volume) => {
                let driver = provision::driver_of(volume).filter(|driver| self.drivers.contains(*driver));
                if driver.is_some() {
                    provision::protect(volume, world)?;
                    attach::release(volume, world)?;
                    if provision::is_to_go(volume) {
                        self.begin(Job::Delete(key.clone()), world.now);
                    }
                }
            }
            Object::VolumeAttachment(attachment) if self.drivers.contains(&attachment.spec.attacher) => {
                if attachment.metadata.deletion_timestamp.is_some() {
                    self.begin(Job::Detach(key.clone()), world.now);
                } else if !attachment.status.as_ref().is_some_and(|status| status.attached) {
                    self.begin(Job::Attach(key.clone()), world.now);
                }
            }
            Object::Node(node) => nodes::register(node, &self.drivers, world)?,
            _ => {}
        }
        Ok(())
    }

    /// Does what has taken its time.
    fn finish(&mut self, job: &Job, world: &mut World<'_>) -> Result<(), Error> {
        fn get<T: AsKind + Clone>(key: &Key, world: &World<'_>) -> Option<T> {
            world.server.fetch::<T>(&key.namespace, &key.name).ok()
        }
        match job {
            Job::Provision(key) => match get::<PersistentVolumeClaim>(key, world) {
                Some(claim) => provision::make(&claim, &self.disks, world),
                None => Ok(()),
            },
            Job::Delete(key) => match get::<PersistentVolume>(key, world) {
                Some(volume) => provision::delete(&volume, world),
                None => Ok(()),
            },
            Job::Attach(key) => match get::<VolumeAttachment>(key, world) {
                Some(attachment) => attach::attach(attachment, world),
                None => Ok(()),
            },
            Job::Detach(key) => match get::<VolumeAttachment>(key, world) {
                Some(attachment) => attach::detach(attachment, world),
                None => Ok(()),
            },
            Job::Resize(key) => match get::<PersistentVolumeClaim>(key, world) {
                Some(claim) => resize::grow(&claim, world),
                None => Ok(()),
            },
            Job::ResizeFiles(key) => match get::<PersistentVolumeClaim>(key, world) {
                Some(claim) => resize::grow_files(&claim, world),
                None => Ok(()),
            },
        }
    }
}

/// Tells of an object as the program of this name.
fn tell<T: AsKind + Clone>(world: &mut World<'_>, by: &str, about: &T, said: (&str, &str, &str)) {
    let own = world.server.actor();
    world.server.enter(world.now, &by.into());
    world.server.record(&about.clone().into_object(), said.0, said.1, said.2);
    world.server.enter(world.now, &own);
}

impl Component for CsiDrivers {
    fn name(&self) -> &'static str {
        "csi-driver"
    }

    fn watches(&self) -> &'static [Kind] {
        match self.drivers.is_empty() {
            true => &[Kind::CSIDriver],
            false => &[
                Kind::CSIDriver,
                Kind::Node,
                Kind::PersistentVolume,
                Kind::PersistentVolumeClaim,
                Kind::VolumeAttachment,
            ],
        }
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let key = &change.object.key;
        match (change.object.get::<CSIDriver>(), change.kind) {
            (Some(_), ChangeKind::Deleted) => _ = self.drivers.remove(&*key.name),
            (Some(_), _) => self.join(&key.name, world),
            (None, ChangeKind::Added | ChangeKind::Modified) => _ = self.changed.insert(key.clone()),
            // When the last attachment is gone, its volume may go as well.
            (None, ChangeKind::Deleted) => {
                let attachment = change.object.get::<VolumeAttachment>();
                let volume = attachment.and_then(|it| it.spec.source.persistent_volume_name.as_ref());
                self.changed.extend(volume.map(|name| Key::new(Kind::PersistentVolume, "", name)));
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if self.to_install {
            self.install(world);
        }
        for key in std::mem::take(&mut self.changed) {
            // The next change brings another chance.
            _ = self.look_at(&key, world);
        }
        while let Some(job) = self.jobs.pop(world.now) {
            self.do_or_fail(job, world);
        }
    }

    fn fault(&mut self, fault: &Fault, world: &mut World<'_>) -> Result<bool, String> {
        let Fault::Volumes(call @ (VolumeCall::Attach | VolumeCall::Detach), conduct) = fault else { return Ok(false) };
        self.conduct.insert(*call, *conduct);
        // Who has waited for a driver that is well again needn't wait for its own turn.
        if *conduct == Conduct::Works {
            for job in std::mem::take(&mut self.failed).into_keys() {
                self.jobs.remove(&job);
                self.jobs.add(job, world.now + WORK);
            }
        }
        Ok(true)
    }

    fn next_wake(&self) -> Option<Instant> {
        self.jobs.next()
    }
}
