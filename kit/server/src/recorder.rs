//! Events as clients send them: the same one counts up, similar ones become one, and too many are dropped.
//!
//! Upstream this is done in each client (`client-go/tools/record/events_cache.go`); here the server does it for the components of
//! the cluster, and keeps them apart by name.

use kit_apimachinery::object::About;
use kit_time::agenda::Instant;
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// So many different messages for the same reason, and they become one event (`defaultAggregateMaxEvents`).
const MOST_SIMILAR: usize = 10;
/// After such a pause similar events are told one by one again (`defaultAggregateIntervalInSeconds`).
const SIMILAR_FOR: Instant = Instant::seconds(600);
/// So many events about one object at once (`defaultSpamBurst`), and then one every five minutes (`defaultSpamQPS`).
const BURST: i64 = 25;
const REFILL: Instant = Instant::seconds(300);

/// One component, and one object that it tells of.
type Pair = (Arc<str>, String);

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// By type and reason: the last messages, and when the last one was.
    similar: BTreeMap<(Pair, String, String), (BTreeSet<String>, Instant)>,
    /// How much of the burst is used up, in nanoseconds of refilling, and when that was so.
    used: BTreeMap<Pair, (i64, Instant)>,
}

/// An event that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The same for events that are counted together.
    pub id: u64,
    /// The message.
    pub message: String,
}

impl Recorder {
    /// What is written of an event, if anything (`EventCorrelate`).
    pub fn tell(
        &mut self,
        by: &Arc<str>,
        about: About<'_>,
        (type_, reason, message): (&str, &str, &str),
        now: Instant,
    ) -> Option<Told> {
        let object: Pair = (by.clone(), format!("{:?} {}", about.kind, about.uid()));
        let (messages, last) =
            self.similar.entry((object.clone(), type_.into(), reason.into())).or_insert((BTreeSet::new(), now));
        if now > *last + SIMILAR_FOR {
            messages.clear();
        }
        *last = now;
        messages.insert(message.to_string());
        let combined = messages.len() >= MOST_SIMILAR;
        if combined {
            messages.pop_first();
        }
        let mut hasher = SipHasher13::new();
        (&object, type_, reason, (!combined).then_some(message)).hash(&mut hasher);
        let message = if combined { format!("(combined from similar events): {message}") } else { message.to_string() };
        let told = Told { id: hasher.finish(), message };
        self.spend(object, now).then_some(told)
    }

    /// Forgets what a component has told.
    pub fn forget(&mut self, by: &str) {
        self.similar.retain(|((component, _), ..), _| **component != *by);
        self.used.retain(|(component, _), _| **component != *by);
    }

    fn spend(&mut self, object: Pair, now: Instant) -> bool {
        let (used, at) = self.used.entry(object).or_insert((0, now));
        *used = (*used - (now - *at).nanos).max(0);
        *at = now;
        let left = *used + REFILL.nanos <= BURST * REFILL.nanos;
        if left {
            *used += REFILL.nanos;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit_apimachinery::object::Kind;
    use kit_apimachinery::object::Object;

    fn pod() -> Object {
        Object::decode(Kind::Pod, r#"{"metadata": {"name": "web", "uid": "1"}}"#).expect("a pod")
    }

    fn tell(recorder: &mut Recorder, message: &str, second: i64) -> Option<Told> {
        recorder.tell(&"kubelet".into(), (&pod()).into(), ("Normal", "Pulled", message), Instant::seconds(second))
    }

    #[test]
    fn the_tenth_of_similar_events_speaks_for_all_that_follow() {
        let mut recorder = Recorder::default();
        let told: Vec<Told> =
            (1..=12).filter_map(|number| tell(&mut recorder, &format!("image {number}"), 0)).collect();
        let distinct: BTreeSet<u64> = told.iter().map(|told| told.id).collect();
        assert_eq!((told.len(), distinct.len()), (12, 10));
        assert_eq!((told[8].message.as_str(), told[9].id), ("image 9", told[11].id));
        assert_eq!(told[11].message, "(combined from similar events): image 12");
        let later = tell(&mut recorder, "image 13", 601).expect("there is room");
        assert_eq!(later.message, "image 13");
    }

    #[test]
    fn an_object_has_a_burst_of_events_and_then_one_every_five_minutes() {
        let mut recorder = Recorder::default();
        let mut tell = |second| tell(&mut recorder, "the same", second).is_some();
        assert_eq!((0..30).filter(|_| tell(0)).count(), 25);
        assert_eq!([tell(299), tell(300), tell(301), tell(1200)], [false, true, false, true]);
    }
}
