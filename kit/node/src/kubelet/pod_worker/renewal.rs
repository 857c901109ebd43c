//! A container whose image was changed while its pod is there: it ends, and begins anew from the new one.
//!
//! Source: `HashContainer` of `pkg/kubelet/container/helpers.go`: of a container that is there its name and its image count, letter by
//! letter.
//! Back-offs are kept by this hash (`GetStableKey` of `pkg/kubelet/kuberuntime/helpers.go`), so the new one begins without.

use super::life::Life;
use super::{INIT, PodWorker, Run, State, live, seconds};
use crate::kubelet::image::{self, Image, Registry};
use kit_api::core::{Container, Pod};
use kit_api::jiff::Timestamp;
use kit_api::pod_resources::is_sidecar;
use kit_time::agenda::Instant;

/// What a container will be when it begins anew.
pub struct Renewal {
    image_name: String,
    image: Image,
    life: Option<Life>,
}

impl PodWorker {
    /// The pod was changed, or is seen for the first time; `true` if that changes what its containers do.
    pub fn update(&mut self, pod: &Pod, registry: &Registry, network: bool, now: Instant, time: Timestamp) -> bool {
        let Some(spec) = pod.spec.as_ref().filter(|_| self.stops_at.is_none()) else { return false };
        let inits = spec.init_containers.as_deref().unwrap_or_default();
        let is_live = self.live.is_some();
        let mut changed = self.inits.iter().any(|init| init.other(inits).is_some());
        for container in inits.iter().chain(&spec.containers) {
            let image_name = container.image.as_deref().unwrap_or_default();
            let mut runs = self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests);
            let run = runs.find(|run| run.name == container.name && run.wanted() != image_name);
            let Some(run) = run else { continue };
            changed = true;
            let behaviour = image::behaviour(registry, container, is_sidecar(container) || self.policy == "Always");
            let (image, life) = match is_live {
                true => live::inside(container, registry, network, behaviour),
                false => (behaviour, None),
            };
            run.renewal = Some(Box::new(Renewal { image_name: image_name.into(), image, life }));
        }
        if let Some(there) = &mut self.live {
            // A status that was written changes nothing here.
            if there.spec != pod.spec {
                **there = Pod { status: None, ..pod.clone() };
                self.look_at_resize();
                let guests = self.guests.len();
                self.welcome(pod, registry, network, now, time);
                changed |= self.guests.len() > guests;
            }
        }
        match changed {
            true if is_live => self.renew(now, time),
            true => self.renew_simply(inits, now, time),
            false => {}
        }
        changed
    }

    fn renew(&mut self, now: Instant, time: Timestamp) {
        let runs = self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests);
        for run in runs.filter(|run| !matches!(run.state, State::Running { .. })) {
            run.renew();
        }
        self.sync(now, time);
    }

    /// The same as it goes in scenarios.
    fn renew_simply(&mut self, inits: &[Container], now: Instant, time: Timestamp) {
        for init in &mut self.inits {
            let Some(image_name) = init.other(inits) else { continue };
            init.image_name = image_name.into();
            if init.sidecar && init.runs(now) {
                self.news.push(("Normal", "Killing", format!("Init container {} definition changed", init.name)));
                (init.begins, init.at, init.restarts) = (now, time, init.restarts + 1);
                self.init_next = Some(now + INIT);
            }
        }
        let initialized = self.inits.last().map_or(now, |last| (last.begins + INIT).max(now));
        for run in self.containers.iter_mut().filter(|run| run.renewal.is_some()) {
            match run.state {
                State::Running { .. } => {
                    let told = format!("Container {} definition changed, will be restarted", run.name);
                    self.news.push(("Normal", "Killing", told));
                    run.next = Some(now + seconds(run.image.stop));
                }
                State::Waiting(_) => run.begin_another(initialized),
                State::Ended(_) => run.renewal = None,
            }
        }
    }
}

impl super::Init {
    /// The image that it is to run, if that is another one.
    fn other<'a>(&self, inits: &'a [Container]) -> Option<&'a str> {
        let image = inits.iter().find(|container| container.name == self.name)?.image.as_deref()?;
        (self.image_name != image).then_some(image)
    }
}

impl Run {
    /// The image that it runs, or will.
    fn wanted(&self) -> &str {
        self.renewal.as_ref().map_or(&self.image_name, |renewal| &renewal.image_name)
    }

    /// It begins anew from what it is to be, if that is something else; what failed before is forgotten.
    pub(super) fn renew(&mut self) {
        let Some(renewal) = self.renewal.take() else { return };
        let Renewal { image_name, image, life } = *renewal;
        (self.image_name, self.image) = (image_name, image);
        if let (Some(new), Some(old)) = (life, &mut self.life) {
            old.become_another(new);
        }
        self.forget_failures();
        self.look_at_once();
    }

    /// In a scenario: it begins anew at that time, which is when its image is pulled.
    pub(super) fn begin_another(&mut self, at: Instant) {
        self.renew();
        (self.state, self.backs_off) = (State::Waiting(None), false);
        self.next = Some(at + seconds(self.image.pull + self.image.start));
    }
}

#[cfg(test)]
mod tests;
