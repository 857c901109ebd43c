//! Leader election by a Lease: of several that could lead, one does.
//!
//! What a candidate wants next is the business of its module (`failure/leader_election`). Here its requests are sent, its
//! waits are kept, and what it says is told. Source: `client-go/tools/leaderelection/leaderelection.go`.

use kit_api::coordination::{Lease, LeaseSpec};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::{MicroTime, ObjectMeta};
use kit_api::time;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_contract::Slot;
use kit_contract::failure::LeaderElection;
use kit_contract::failure::leader_election::{Config, Event, Output, Record};
use kit_server::{Error, Server};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::sync::Arc;

/// How long it takes until a process that has ended runs again: the first time, the second, at most; and after how much
/// work it begins anew with that. Its kubelet backs off, since it is a static pod.
const RESTART: [Instant; 3] = [Instant::seconds(1), Instant::seconds(10), Instant::seconds(300)];
const WORKED: Instant = Instant::seconds(600);
/// Requests take no time here. Who wants more than so many in a row hears of the last one a little later.
const IN_A_ROW: usize = 8;
const A_LITTLE: Instant = Instant::millis(100);
const MILLISECOND: i64 = 1_000_000;

/// Whose election it is.
#[derive(Clone)]
pub struct Election {
    /// Where candidates come from.
    pub module: Slot<dyn LeaderElection>,
    /// The namespace and the name of the lease.
    pub lease: (String, String),
    /// Whose events tell of it.
    pub recorder: Arc<str>,
    /// Whether the lease is given back in the end.
    pub release_on_cancel: bool,
    /// Where identities and waits are drawn from.
    pub random: Random,
}

/// One process that could lead. When it has led and lost, it ends and begins anew, under another identity
/// (`cmd/kube-controller-manager/app/controllermanager.go`).
pub struct Elector {
    election: Election,
    host: String,
    /// How often it has begun.
    lives: u64,

    module: Box<dyn LeaderElection>,
    identity: String,
    /// The lease as it was last seen, of which an update changes only what it says of the leader.
    lease: Option<Lease>,
    /// What the module will hear next, and when.
    next: Option<(Instant, Event)>,
    leads: bool,
    began: Instant,
    backoff: Instant,
    /// How far its clock is ahead of the others': it is written into the lease, and nobody goes by it.
    pub skew: Instant,
}

impl Elector {
    /// A candidate on this host, which begins at once.
    pub fn new(election: &Election, host: &str) -> Elector {
        let (module, identity) = begin(election, host, 0);
        Elector {
            election: election.clone(),
            host: host.into(),
            lives: 1,

            module,
            identity,
            lease: None,
            next: Some((Instant::default(), Event::Wake)),
            leads: false,
            began: Instant::default(),
            backoff: RESTART[0],
            skew: Instant::default(),
        }
    }

    /// Whether it acts as the leader.
    pub fn leads(&self) -> bool {
        self.leads
    }

    /// When it has something to do next; none if its module waits for nothing.
    pub fn due(&self) -> Option<Instant> {
        self.next.as_ref().map(|(at, _)| *at)
    }

    /// Begins anew, with nothing in its memory.
    pub fn restart(&mut self, at: Instant) {
        (self.module, self.identity) = begin(&self.election, &self.host, self.lives);
        self.lives += 1;
        (self.lease, self.leads, self.began) = (None, false, at);
        self.next = Some((at, Event::Wake));
    }

    /// Does what is due. If it hears nobody, its requests get lost.
    pub fn act(&mut self, server: &mut Server, hears: bool, now: Instant) {
        if let Some((_, event)) = self.next.take_if(|(at, _)| *at <= now) {
            self.tell(event, server, hears, now);
        }
    }

    /// The process is asked to stop.
    pub fn cancel(&mut self, server: &mut Server, hears: bool, now: Instant) {
        self.next = None;
        self.tell(Event::Cancel, server, hears, now);
        self.next = None;
    }

    fn tell(&mut self, mut event: Event, server: &mut Server, hears: bool, now: Instant) {
        for _ in 0..IN_A_ROW {
            let now_ms = server.time().as_millisecond();
            let mut asked = None;
            for output in self.module.step(&event, now_ms) {
                match output {
                    Output::NewLeader { identity } => {
                        tracing::debug!(t = %now, lease = self.election.lease.1, by = self.identity, identity, "new leader");
                    }
                    Output::Started => {
                        self.leads = true;
                        self.record("became leader", server, hears, now);
                    }
                    Output::Stopped => {
                        if self.leads {
                            self.record("stopped leading", server, hears, now);
                        }
                        let backoff = if now - self.began < WORKED { self.backoff } else { RESTART[0] };
                        self.backoff = (backoff + backoff).max(RESTART[1]).min(RESTART[2]);
                        self.restart(now + backoff);
                        return;
                    }
                    Output::Wait { least_ms, .. } => {
                        // Candidates keep step here, so that histories are as short as they can be.
                        self.next = Some((now + Instant::millis(least_ms.max(0)), Event::Wake));
                    }
                    output @ (Output::Get { timeout_ms }
                    | Output::Create { timeout_ms, .. }
                    | Output::Update { timeout_ms, .. }) => {
                        asked = Some((output, timeout_ms));
                    }
                }
            }
            let Some((request, timeout_ms)) = asked else { return };
            if !hears {
                self.next = Some((now + Instant::millis(timeout_ms.max(0)), Event::Lost));
                return;
            }
            event = self.ask(request, server);
        }
        self.next = Some((now + A_LITTLE, event));
    }

    fn ask(&mut self, request: Output, server: &mut Server) -> Event {
        let (namespace, name) = self.election.lease.clone();
        let answer = match request {
            Output::Create { record, .. } => {
                let metadata = ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(self.spec(&record, server)) };
                server.create(lease.into_object())
            }
            Output::Update { version, record, .. } => {
                let mut lease = self.lease.clone().unwrap_or_default();
                (lease.metadata.name, lease.metadata.namespace) = (Some(name), Some(namespace));
                lease.metadata.resource_version = Some(version);
                lease.spec = Some(self.spec(&record, server));
                server.update(lease.into_object())
            }
            _ => {
                return match server.fetch::<Lease>(&namespace, &name) {
                    Ok(lease) => {
                        let version = lease.metadata.resource_version.clone().unwrap_or_default();
                        let record = self.record_of(lease.spec.as_ref(), server);
                        self.lease = Some(lease);
                        Event::Found { version, record }
                    }
                    Err(error) if error.is_not_found() => Event::NotFound,
                    Err(_) => Event::Lost,
                };
            }
        };
        match answer {
            Ok(stored) => {
                self.lease = stored.get::<Lease>().cloned();
                Event::Written { version: stored.object.meta().resource_version.clone().unwrap_or_default() }
            }
            Err(Error { code: 409, .. }) => Event::Refused,
            Err(error) if error.is_not_found() => Event::NotFound,
            Err(_) => Event::Lost,
        }
    }

    fn spec(&self, record: &Record, server: &Server) -> LeaseSpec {
        let written = |ms: i64| {
            let at = Timestamp::from_millisecond(ms).unwrap_or(server.time());
            Some(time::micros(at + SignedDuration::from_nanos(self.skew.nanos)))
        };
        LeaseSpec {
            holder_identity: Some(record.holder_identity.clone()),
            lease_duration_seconds: i32::try_from(record.lease_duration_seconds).ok(),
            acquire_time: written(record.acquire_time_ms),
            renew_time: written(record.renew_time_ms),
            lease_transitions: i32::try_from(record.lease_transitions).ok(),
            ..LeaseSpec::default()
        }
    }

    fn record_of(&self, spec: Option<&LeaseSpec>, server: &Server) -> Record {
        let Some(spec) = spec else { return Record::default() };
        let read = |at: &Option<MicroTime>| {
            let at = at.as_ref().map_or(server.epoch(), |at| at.0);
            at.as_millisecond() - self.skew.nanos / MILLISECOND
        };
        Record {
            holder_identity: spec.holder_identity.clone().unwrap_or_default(),
            lease_duration_seconds: spec.lease_duration_seconds.unwrap_or_default().into(),
            acquire_time_ms: read(&spec.acquire_time),
            renew_time_ms: read(&spec.renew_time),
            lease_transitions: spec.lease_transitions.unwrap_or_default().into(),
        }
    }

    /// An event about the lease (`RecordEvent`).
    fn record(&self, what: &str, server: &mut Server, hears: bool, now: Instant) {
        let key = Key::new(Kind::Lease, &self.election.lease.0, &self.election.lease.1);
        let Some(lease) = server.get(&key).ok().filter(|_| hears).cloned() else { return };
        let actor = server.actor();
        server.enter(now, &self.election.recorder);
        server.record(&lease.object, "Normal", "LeaderElection", &format!("{} {what}", self.identity));
        server.enter(now, &actor);
    }
}

/// A module, and the name that it goes by: its host's and something that nobody else has.
fn begin(election: &Election, host: &str, life: u64) -> (Box<dyn LeaderElection>, String) {
    let bits =
        |reason| election.random.bits(Purpose { component: &election.lease.1, object: host, reason, attempt: life });
    let (one, two) = (bits("identity"), bits("identity, second half"));
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        one >> 32,
        one >> 16 & 0xffff,
        one & 0xfff,
        two >> 48 & 0x3fff | 0x8000,
        two & 0xffff_ffff_ffff
    );
    let identity = format!("{host}_{uuid}");
    let config =
        Config { identity: identity.clone(), release_on_cancel: election.release_on_cancel, ..Config::default() };
    (election.module.make(&config), identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(release_on_cancel: bool) -> [Elector; 2] {
        let election = Election {
            module: solutions::modules().leader_election,
            lease: ("kube-system".into(), "kube-scheduler".into()),
            recorder: "default-scheduler".into(),
            release_on_cancel,
            random: Random::new(1),
        };
        ["a", "b"].map(|host| Elector::new(&election, host))
    }

    /// Lets both do what is due, second by second; who leads, from each change on.
    fn play(
        server: &mut Server,
        both: &mut [Elector],
        seconds: i64,
        a_hears: impl Fn(i64) -> bool,
    ) -> Vec<(i64, String)> {
        let mut history: Vec<(i64, String)> = Vec::new();
        for second in 0..seconds {
            let now = Instant::seconds(second);
            server.enter(now, &Arc::from("test"));
            for elector in both.iter_mut() {
                let hears = elector.host != "a" || a_hears(second);
                elector.act(server, hears, now);
            }
            let leaders: Vec<&str> =
                both.iter().filter(|elector| elector.leads()).map(|elector| elector.host.as_str()).collect();
            assert!(leaders.len() < 2, "two lead at {second}s");
            let leader = leaders.concat();
            if history.last().is_none_or(|(_, last)| *last != leader) {
                history.push((second, leader));
            }
        }
        history
    }

    fn told(history: &[(i64, String)]) -> Vec<(i64, &str)> {
        history.iter().map(|(second, leader)| (*second, leader.as_str())).collect()
    }

    #[test]
    fn another_leads_when_the_lease_has_run_out() {
        let (mut server, mut both) = (crate::reference_server(), candidates(false));
        let history = play(&mut server, &mut both, 60, |second| second < 20);
        // It renewed at 18 s for the last time. Its next round begins at 20 s and has ten seconds; the other has waited for
        // fifteen since it saw that renewal.
        assert_eq!(told(&history), [(0, "a"), (30, ""), (34, "b")]);
        let lease: Lease = server.fetch("kube-system", "kube-scheduler").expect("it is there");
        assert_eq!(lease.spec.and_then(|spec| spec.lease_transitions), Some(1));
        let events = server.snapshot().list(Kind::Event).filter_map(|stored| stored.get::<kit_api::core::Event>());
        let told: Vec<_> = events.filter_map(|event| event.message.clone()).collect();
        assert_eq!(told.iter().filter(|message| message.ends_with(" became leader")).count(), 2, "{told:?}");
    }

    #[test]
    fn a_short_break_changes_nothing() {
        let (mut server, mut both) = (crate::reference_server(), candidates(false));
        let history = play(&mut server, &mut both, 60, |second| !(20..25).contains(&second));
        assert_eq!(told(&history), [(0, "a")]);
    }

    #[test]
    fn a_lease_that_is_given_back_is_free_at_once() {
        let (mut server, mut both) = (crate::reference_server(), candidates(true));
        play(&mut server, &mut both, 3, |_| true);
        both[0].cancel(&mut server, true, Instant::seconds(3));
        server.enter(Instant::seconds(4), &Arc::from("test"));
        both[1].act(&mut server, true, Instant::seconds(4));
        assert_eq!([both[0].leads(), both[1].leads()], [false, true]);
    }
}
