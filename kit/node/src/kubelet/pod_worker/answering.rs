//! How long a container takes to answer a request, and what its cgroup says of it: both follow from its CPU quota.
//!
//! A request takes CPU time in several threads, each with a CPU of its own; [`work`](super::work) says what a quota makes of that. Other
//! work of the container makes a queue: at a share `r` of its quota a request takes `1 / (1 - r)` times as long, and at all of it none
//! is ever answered. Sources: `Documentation/admin-guide/cgroup-v2.rst` of Linux (`cpu.stat`, `memory.current`),
//! `pkg/probe/http/http.go` and Go's `net/http/client.go` for what a probe says then.

use super::{PodWorker, Run};
use crate::cgroup::{PERIOD, quota};
use kit_time::agenda::Instant;

/// Microseconds in a second.
const MICRO: f64 = 1e6;

impl PodWorker {
    /// The first container has so many thousandths of a CPU to do beside what it does by itself.
    pub fn take_load(&mut self, milli_cpu: i64, now: Instant) {
        // Whoever asks for more than a data centre has gets no more than that.
        self.containers.iter_mut().take(1).for_each(|run| run.take_load(milli_cpu.clamp(0, 1 << 40), now));
    }

    /// The files of a container's cgroup, by name; none of one that doesn't run.
    pub(super) fn cgroup(&self, name: &str, now: Instant, cpus: usize) -> Vec<(&'static str, String)> {
        let run = self.setup.iter().chain(&self.containers).find(|run| run.name == name);
        run.map(|run| run.cgroup(now, cpus)).unwrap_or_default()
    }
}

impl Run {
    /// How long an answer takes; none if it never comes.
    pub(super) fn answers_in(&self) -> Option<Instant> {
        if self.still {
            return None;
        }
        let Some(alone) = self.alone() else { return Some(Instant::default()) };
        let took = alone.finished.iter().copied().fold(0.0, f64::max);
        let busy = self.cpu.map_or(0.0, |cpu| self.load as f64 / cpu.max(1) as f64);
        (busy < 1.0).then(|| Instant { nanos: (took / (1.0 - busy) * 1e6) as i64 })
    }

    fn cgroup(&self, now: Instant, cpus: usize) -> Vec<(&'static str, String)> {
        if self.since().is_none() {
            return Vec::new();
        }
        let work = self.work(now, cpus);
        let throttled = work.throttled.whole();
        let stat = [
            ("usage_usec", work.cpu * MICRO),
            ("nr_periods", throttled.periods),
            ("nr_throttled", throttled.throttled_periods),
            ("throttled_usec", throttled.seconds * MICRO),
        ];
        let stat = stat.map(|(name, value)| format!("{name} {value:.0}\n")).concat();
        let most = |amount: Option<i64>| amount.map_or("max".into(), |amount| amount.to_string());
        vec![
            ("cpu.max", format!("{} {PERIOD}\n", most(self.cpu.map(|cpu| quota(cpu, PERIOD))))),
            ("cpu.stat", stat),
            ("memory.max", format!("{}\n", most(self.limit))),
            ("memory.current", format!("{}\n", self.memory())),
            ("pids.current", format!("{}\n", self.image.processes)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::kubelet::image::{Image, Request};
    use kit_api::core::Container;
    use kit_api::jiff::Timestamp;
    use serde_json::json;

    fn container(cpu: &str, load: i64) -> Run {
        let image = Image { request: Some(Request { cpu: 0.9, threads: 8 }), milli_cpu: 450, ..Image::default() };
        let registry = [("web".to_string(), image)].into();
        let limits = if cpu.is_empty() { json!({}) } else { json!({"limits": {"cpu": cpu}}) };
        let container = json!({"name": "c", "image": "web", "resources": limits});
        let container: Container = serde_json::from_value(container).expect("a container");
        let lifecycle = solutions::modules().pod_lifecycle.make(&()).into();
        let mut run = Run::new(&container, &registry, &lifecycle, true);
        run.state = State::Running { since: Instant::default(), at: Timestamp::UNIX_EPOCH, ready: true };
        run.load = load;
        run
    }

    #[test]
    fn a_quota_makes_answers_slow_long_before_it_is_used_up() {
        // 80 ms in each period of 100: eleven whole periods, and 20 ms in eight threads.
        let cases = [
            ("", 0, Some(112)),
            ("800m", 0, Some(1102)),
            ("2", 0, Some(412)),
            ("2", 1000, Some(825)),
            ("2", 2000, None),
        ];
        for (cpu, load, expected) in cases {
            let took = container(cpu, load).answers_in().map(|took| took.nanos / 1_000_000);
            assert_eq!(took, expected, "{cpu} {load}");
        }
    }

    #[test]
    fn the_cgroup_says_in_how_many_periods_threads_stood_still() {
        let minute = Instant::seconds(60);
        let file = |cpu, load, name: &str| {
            let files = container(cpu, load).cgroup(minute, 8);
            files.into_iter().find(|(file, _)| *file == name).map(|(_, text)| text).unwrap_or_default()
        };
        assert_eq!(file("800m", 0, "cpu.max"), "80000 100000\n");
        assert_eq!(file("", 0, "cpu.max"), "max 100000\n");
        // 30 requests, each in 12 periods, and throttled in 11 of them for 90 ms.
        let expected = "usage_usec 27000000\nnr_periods 360\nnr_throttled 330\nthrottled_usec 29700000\n";
        assert_eq!(file("800m", 0, "cpu.stat"), expected);
        let expected = "usage_usec 27000000\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";
        assert_eq!(file("", 0, "cpu.stat"), expected);
        assert!(file("800m", 750, "cpu.stat").contains("nr_periods 600\nnr_throttled 600\n"));
    }
}
