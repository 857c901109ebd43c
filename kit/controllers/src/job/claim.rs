//! Which pods are a job's own: it takes in those that match and belong to nobody, and lets go of its own that don't.
//!
//! Source: `PodControllerRefManager` of `pkg/controller/controller_ref_manager.go`, and `getPodsForJob`.

use super::sync::Control;
use super::view::{TRACKING, is_tracked};
use kit_api::batch::Job;
use kit_api::core::Pod;
use kit_api::owner::controller_of;
use kit_api::pod;
use kit_api::selector::{Labels, Selector};
use kit_server::Error;

/// What a job selects; nothing if its selector can't be read.
fn selector(job: &Job) -> Selector {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    Selector::try_from(selector).unwrap_or(Selector::Nothing)
}

fn matches(selector: &Selector, pod: &Pod) -> bool {
    let none = Labels::new();
    selector.matches(pod.metadata.labels.as_ref().unwrap_or(&none))
}

/// Takes in pods that nobody controls; the answer is the pods as they are then.
pub fn adopt(job: &Job, pods: &[&Pod], control: &mut dyn Control) -> Result<Vec<Pod>, Error> {
    let mut adopted = Vec::new();
    let orphan = |pod: &Pod| controller_of(&pod.metadata).is_none() && !pod::is_terminating(pod);
    if job.metadata.deletion_timestamp.is_some() {
        return Ok(adopted);
    }
    let selector = selector(job);
    for pod in pods.iter().filter(|pod| orphan(pod) && matches(&selector, pod)) {
        match control.adopt_pod(job, pod) {
            Ok(()) => {
                let mut pod = Pod::clone(pod);
                if !is_tracked(&pod) {
                    pod.metadata.finalizers.get_or_insert_default().push(TRACKING.into());
                }
                adopted.push(pod);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(adopted)
}

/// The pods that are the job's own already; those that don't match any more are released.
pub fn keep<'a>(job: &Job, pods: &[&'a Pod], control: &mut dyn Control) -> Result<Vec<&'a Pod>, Error> {
    let (mut kept, selector) = (Vec::new(), selector(job));
    let own =
        |pod: &Pod| controller_of(&pod.metadata).is_some_and(|owner| Some(&owner.uid) == job.metadata.uid.as_ref());
    for pod in pods.iter().copied().filter(|pod| own(pod)) {
        if matches(&selector, pod) {
            kept.push(pod);
        } else if job.metadata.deletion_timestamp.is_none() {
            match control.release_pod(job, pod) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
    }
    Ok(kept)
}
