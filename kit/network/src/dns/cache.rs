//! The cache on a node (NodeLocal DNSCache): CoreDNS with its plugin `cache` in front of the cluster's servers.
//!
//! Sources: `plugin/cache/cache.go` and `plugin/cache/item.go` of CoreDNS (what is kept, and for how long), and the numbers of
//! `cluster/addons/dns/nodelocaldns/nodelocaldns.yaml`: `success 9984 30` and `denial 9984 5` for the cluster's domain.

use super::plugin::Response;
use super::record::{Rcode, RecordData, RecordType, ResourceRecord};
use std::collections::{BTreeMap, BTreeSet};

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So many answers with records, and so many without.
    pub capacity: usize,
    /// The longest that an answer with records is kept, in seconds.
    pub success: u32,
    /// The longest that a "no" is kept, in seconds.
    pub denial: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { capacity: 9984, success: 30, denial: 5 }
    }
}

/// Answers that were given before. Times are in seconds of any clock that doesn't go back.
#[derive(Debug, Default)]
pub struct Cache {
    limits: Limits,
    kept: [Kept; 2],
}

type Question = (String, RecordType);

/// Answers of one kind, and when each is over.
#[derive(Debug, Default)]
struct Kept {
    answers: BTreeMap<Question, (Response, u64, u64)>,
    ends: BTreeSet<(u64, Question)>,
}

impl Cache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Cache { limits, ..Cache::default() }
    }

    /// What was answered before, if it still holds at `now`. TTLs are what is left of them; the owner of the records is the name as asked.
    pub fn get(&self, name: &str, record_type: RecordType, now: u64) -> Option<Response> {
        let question = (name.to_ascii_lowercase(), record_type);
        let found = self.kept.iter().find_map(|kept| kept.answers.get(&question));
        let (response, since, _) = found.filter(|(_, _, end)| now < *end)?;
        let age = u32::try_from(now.saturating_sub(*since)).unwrap_or(u32::MAX);
        let mut response = response.clone();
        for record in records(&mut response) {
            record.ttl = record.ttl.saturating_sub(age);
            if record.name.eq_ignore_ascii_case(name) {
                record.name = name.into();
            }
        }
        Some(response)
    }

    /// Keeps an answer. Refusals are not kept, nor is what says that it holds for no time.
    pub fn put(&mut self, name: &str, record_type: RecordType, mut response: Response, now: u64) {
        let denial = response.answer.is_empty();
        let (most, kept) = match (response.rcode, denial) {
            (Rcode::NoError, false) => (self.limits.success, &mut self.kept[0]),
            (Rcode::NoError | Rcode::NxDomain | Rcode::ServFail, _) => (self.limits.denial, &mut self.kept[1]),
            (Rcode::Refused, _) => return,
        };
        // RFC 2308, section 5: a "no" holds for the lesser of the SOA record's TTL and its last number.
        let told = records(&mut response).map(|record| match record.data {
            RecordData::Soa { minimum, .. } => record.ttl.min(minimum),
            _ => record.ttl,
        });
        let ttl = told.min().unwrap_or(most).min(most);
        if ttl == 0 {
            return;
        }
        // Nobody downstream keeps it for longer than the cache does.
        for record in records(&mut response) {
            record.ttl = record.ttl.min(ttl);
        }
        let question = (name.to_ascii_lowercase(), record_type);
        let end = now + u64::from(ttl);
        if let Some((_, _, before)) = kept.answers.insert(question.clone(), (response, now, end)) {
            kept.ends.remove(&(before, question.clone()));
        }
        kept.ends.insert((end, question.clone()));
        while kept.answers.len() > self.limits.capacity {
            // CoreDNS drops one by chance; here it is the one that would end first.
            let Some((_, oldest)) = kept.ends.pop_first() else { break };
            kept.answers.remove(&oldest);
        }
        // A name that came or went: the other answer holds no longer.
        let other = &mut self.kept[usize::from(!denial)];
        if let Some((_, _, end)) = other.answers.remove(&question) {
            other.ends.remove(&(end, question));
        }
    }
}

fn records(response: &mut Response) -> impl Iterator<Item = &mut ResourceRecord> {
    response.answer.iter_mut().chain(&mut response.authority).chain(&mut response.additional)
}
