//! The steps of a container between its beginning and its end: its image, its start, its exit.

use super::super::{Events, Run, State, probes, seconds};
use super::{Life, RELIST, Stage};
use crate::kubelet::back_off;
use crate::kubelet::cri::{self, Logins, Refusal};
use crate::kubelet::image::{self, Image, Images, Reference};
use crate::kubelet::objects::Needs;
use crate::termination;
use kit_api::core::ContainerStateTerminated;
use kit_api::jiff::Timestamp;
use kit_time::agenda::Instant;

impl Run {
    /// It runs, and something is due.
    pub(super) fn go_on(&mut self, at: Instant, time: Timestamp) {
        let signal = self.live.as_mut().and_then(|live| live.signal.take_if(|signal| *signal <= at));
        if signal.is_some() {
            self.signal(time);
        }
        // A signal that is still to come is due before the end.
        let next_of = |live: &super::Live| live.killed.map(|(by, again)| (live.signal.unwrap_or(by).min(by), again));
        let killed = self.live.as_ref().and_then(next_of);
        if killed.is_some_and(|(by, _)| by <= at) {
            // Who heard the signal ended well; programs that didn't are killed.
            let deaf = self.still || self.life.as_ref().is_some_and(Life::command);
            let code = if deaf { 137 } else { 0 };
            self.exit(code, at, time, "Never");
            return self.blame_program();
        }
        let State::Running { since, .. } = self.state else { return };
        let end = self.end().map(|(after, code)| (since + after, code));
        if let Some((_, code)) = end.filter(|(exit, _)| *exit <= at) {
            return self.exit(code, at, time, "Never");
        }
        let is_ready = probes::is_ready_by_itself(self.probes(), since);
        if let State::Running { ready, .. } = &mut self.state {
            *ready |= is_ready;
        }
        self.next = end.map(|(exit, _)| exit).into_iter().chain(killed.map(|(by, _)| by)).min();
    }

    /// One step of a container on its way to run.
    pub(super) fn prepare(
        &mut self,
        (at, time): (Instant, Timestamp),
        images: &mut Images,
        needs: &Needs,
        events: &mut Events,
    ) {
        let (name, image) = (self.name.clone(), self.image_name.clone());
        let refusal = self.refusal(&needs.logins);
        let Some(live) = &mut self.live else { return };
        match live.stage {
            Stage::Turn => self.next = None,
            Stage::Unseen => (live.stage, self.next) = (Stage::Turn, None),
            Stage::Again => {
                if at >= live.again {
                    live.stage = Stage::Image;
                    return;
                }
                live.ordered = false;
                if let State::Ended(ended) = &self.state {
                    self.last = Some(ended.clone());
                    let pod = &live.pod;
                    let message = format!("back-off {} restarting failed container={name} pod={pod}", self.waits);
                    self.state = State::Waiting(Some(("CrashLoopBackOff", message)));
                }
                let told = format!("Back-off restarting failed container {name} in pod {}", live.pod);
                events.push(("Warning", "BackOff", told));
                // It is looked at again now and then, not just when the time has come.
                self.next = Some(live.look(at, &name));
            }
            Stage::Image => {
                if !needs.logins.missing.is_empty() {
                    let missing = needs.logins.missing.join(", ");
                    let told = format!(
                        "Unable to retrieve some image pull secrets ({missing}); attempting to pull the image may not succeed."
                    );
                    events.push(("Warning", "FailedToRetrieveImagePullSecret", told));
                }
                self.look_for_image(at, &image, images, needs, events);
            }
            Stage::Pulling if refusal.is_none() => {
                let took = seconds(self.image.pull);
                let size = image::size(&image);
                events.push((
                    "Normal",
                    "Pulled",
                    format!("Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {size} bytes."),
                ));
                images.insert(&image);
                self.create(at, needs, events);
            }
            Stage::Pulling => {
                let refusal = refusal.unwrap_or(Refusal::NotFound);
                let digest = || image::digest(&image);
                let error = Reference::parse(&image).map(|it| images.runtime.refuses(&it, refusal, &digest()));
                let error = error.unwrap_or_default();
                let (reason, why) = cri::explain(&image, &error);
                events.push(("Warning", "Failed", format!("Failed to pull image {image:?}: {error}")));
                events.push(("Warning", "Failed", format!("Error: {reason}")));
                // The first failure is followed by what the new sandbox gives the kubelet to look at.
                let first = self.pulls == back_off::NEW;
                self.pulls.start(at, at);
                live.pulled = format!("{reason}: {why}");
                live.stage = Stage::Image;
                self.next = Some(if first { at + RELIST } else { live.look(at, &name) });
                self.state = State::Waiting(Some((reason, why)));
            }
            Stage::Created => {
                if let State::Ended(ended) = &self.state {
                    self.last = Some(ended.clone());
                }
                if self.last.is_some() {
                    self.restarts += 1;
                    if let Some(ended) = live.counts_from.take() {
                        self.crashes.start(ended, at);
                    }
                }
                (live.killed, live.signal, live.unwell) = (None, None, None);
                (live.forgotten, live.ordered) = (false, false);
                self.take_share();
                self.failed = None;
                if let Some(why) = self.is_not_started() {
                    events.push(("Warning", "Failed", format!("Error: {why}")));
                    return self.fail_to_start(why, at, time);
                }
                self.state = State::Running { since: at, at: time, ready: false };
                events.push(("Normal", "Started", format!("Started container {name}")));
                let exit = self.end().map(|(after, _)| after);
                self.next = Some(at + seconds(self.image.ready).min(exit.unwrap_or(Instant { nanos: i64::MAX / 2 })));
            }
        }
    }

    /// Why its image can't be pulled.
    fn refusal(&self, logins: &Logins) -> Option<Refusal> {
        let is_open =
            |login: &String| Reference::parse(&self.image_name).is_some_and(|image| logins.open(&image, login));
        match &self.image {
            image if !image.exists => Some(Refusal::NotFound),
            Image { login: Some(login), refused: None, .. } if !is_open(login) => Some(Refusal::Unauthorized),
            image => image.refused,
        }
    }

    fn look_for_image(&mut self, at: Instant, image: &str, images: &Images, needs: &Needs, events: &mut Events) {
        let name = &self.name.clone();
        let Some(live) = &mut self.live else { return };
        let present = images.has(image);
        let refused = if Reference::parse(image).is_none() {
            let why = format!("couldn't parse image name {image:?}: invalid reference format");
            let why = format!("Failed to apply default image tag {image:?}: {why}");
            Some(("InvalidImageName", ("Warning", "InspectFailed", why.clone()), why))
        } else if live.pull == "Never" && !present {
            let why = format!("Container image {image:?} is not present with pull policy of Never");
            Some(("ErrImageNeverPull", ("Warning", "ErrImageNeverPull", why.clone()), why))
        } else if present && live.pull != "Always" {
            events.push(("Normal", "Pulled", format!("Container image {image:?} already present on machine")));
            return self.create(at, needs, events);
        } else if self.pulls.waits(at).is_some() {
            let told = format!("Back-off pulling image {image:?}");
            let why = format!("{told}: {}", live.pulled);
            Some(("ImagePullBackOff", ("Normal", "BackOff", told), why))
        } else {
            None
        };
        if let Some((reason, event, why)) = refused {
            events.extend([event, ("Warning", "Failed", format!("Error: {reason}"))]);
            self.state = State::Waiting(Some((reason, why)));
            self.next = Some(live.look(at, name));
            return;
        }
        events.push(("Normal", "Pulling", format!("Pulling image {image:?}")));
        live.stage = Stage::Pulling;
        self.next = Some(at + seconds(self.image.pull));
    }

    /// The image is there: the container is made, if its environment can be.
    fn create(&mut self, at: Instant, needs: &Needs, events: &mut Events) {
        let name = self.name.clone();
        let Some(live) = &mut self.live else { return };
        let not_root = || live.user.refuses(&self.image.user, &live.pod, &name);
        if let Some(why) = needs.unset.get(&name).cloned().or_else(not_root) {
            events.push(("Warning", "Failed", format!("Error: {why}")));
            self.wait_to_look(at, ("CreateContainerConfigError", why));
            return;
        }
        let runtime = live.runtime;
        if let Some(why) = self.is_not_made(runtime) {
            events.push(("Warning", "Failed", format!("Error: {why}")));
            self.wait_to_look(at, ("CreateContainerError", why));
            return;
        }
        let Some(live) = &mut self.live else { return };
        events.push(("Normal", "Created", format!("Created container: {name}")));
        live.stage = Stage::Created;
        self.next = Some(at + seconds(self.image.start));
    }

    /// It can't be made for this reason, and that is looked at again.
    fn wait_to_look(&mut self, at: Instant, why: (&'static str, String)) {
        if let Some(live) = &mut self.live {
            live.stage = Stage::Image;
            self.next = Some(live.look(at, &self.name));
        }
        self.state = State::Waiting(Some(why));
    }

    /// It has ended like this, and the last time `before`. Who killed it to start it again does so.
    pub(in super::super) fn ended(&mut self, ended: ContainerStateTerminated, before: Instant, now: Instant) {
        let ran_before = self.last.is_some();
        let again = self.live.as_mut().and_then(|live| live.killed.take()).is_some_and(|(_, again)| again);
        match again && self.renewal.is_some() {
            // Its pod may be one whose containers aren't started again, and then the API server lets no end be taken back.
            true => {
                (self.last, self.state) = (Some(ended), State::Waiting(Some(("ContainerCreating", String::new()))));
                self.renew();
            }
            false => self.state = State::Ended(ended),
        }
        self.waits = self.crashes.delay(now).unwrap_or_default();
        self.next = Some(now + RELIST);
        let Some(live) = &mut self.live else { return };
        live.ordered = again;
        live.stage = if again { Stage::Again } else { Stage::Unseen };
        // Who kills it has not seen this end yet, and counts from the last one, if there is one (`doBackOff` with the status of before).
        let is_over = again && (!ran_before || before + self.waits <= now);
        (live.again, live.counts_from) = match is_over {
            true => (now, ran_before.then_some(before)),
            false => (now + self.waits, Some(now)),
        };
    }

    /// Sends it the signal to stop, and kills it when it has had its time. `false` if there is nothing to kill.
    pub(in super::super) fn begin_kill(&mut self, now: Instant, time: Timestamp, grace: Instant, again: bool) -> bool {
        // A hook comes before the signal, and takes of its time.
        let hook = self.exit.hook.unwrap_or_default().min(grace);
        let left = (grace - hook).max(Instant::seconds(termination::LEAST));
        let (signal, by) = (now + hook, now + hook + self.ends_in().min(left));
        let Some(live) = self.live.as_mut().filter(|live| live.killed.is_none()) else { return false };
        if !matches!(self.state, State::Running { .. }) {
            return false;
        }
        live.killed = Some((by, again));
        self.next = self.next.into_iter().chain([by]).min();
        if signal > now {
            live.signal = Some(signal);
            self.next = self.next.into_iter().chain([signal]).min();
            return true;
        }
        self.signal(time);
        true
    }
}
