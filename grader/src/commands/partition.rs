//! `--partition`: a part of the exercises for each of several machines.

use crate::workspace::Entry;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

/// How exercises were dealt out, which part this is (from 1), and of how many: `hash:1/4` or `slice:1/4`, as in cargo-nextest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Partition {
    pub rule: Rule,
    /// Counts from 1.
    pub part: u32,
    pub of: u32,
}

/// How exercises are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// By the exercise's name, so that one more exercise moves no other. Parts differ in size.
    Hash,
    /// In turns, in the order of the catalogue, after the selection by name. Parts are equal.
    Slice,
}

impl Partition {
    /// Whether the exercise, at this place of the selection, belongs to this part.
    pub fn holds(&self, place: usize, entry: &Entry) -> bool {
        let number = match self.rule {
            Rule::Hash => {
                let mut hasher = SipHasher13::new();
                hasher.write(entry.name.as_bytes());
                hasher.finish()
            }
            Rule::Slice => place as u64,
        };
        number % u64::from(self.of) == u64::from(self.part - 1)
    }
}

impl FromStr for Partition {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no partition; write `hash:1/4` or `slice:1/4`, counting from 1");
        let (rule, numbers) = text.split_once(':').ok_or_else(wrong)?;
        let rule = match rule {
            "hash" => Rule::Hash,
            // nextest's older word; it differs from `slice` only where there are several test binaries.
            "slice" | "count" => Rule::Slice,
            _ => return Err(wrong()),
        };
        let (part, of) = numbers.split_once('/').ok_or_else(wrong)?;
        let (part, of) = (part.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        if part == 0 || part > of {
            return Err(wrong());
        }
        Ok(Partition { rule, part, of })
    }
}

impl TryFrom<String> for Partition {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> String {
        partition.to_string()
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.rule {
            Rule::Hash => "hash",
            Rule::Slice => "slice",
        };
        write!(f, "{rule}:{}/{}", self.part, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        let (name, title) = (name.to_string(), String::new());
        Entry { name, title, minutes: 1, difficulty: 1, builds_on: Vec::new(), stages: Vec::new() }
    }

    #[test]
    fn each_exercise_is_in_exactly_one_part() {
        let entries: Vec<Entry> = (0..40).map(|i| entry(&format!("chapter/exercise-{i}"))).collect();
        for rule in ["hash", "slice"] {
            for of in 1..=7 {
                let parts: Vec<Partition> =
                    (1..=of).map(|part| format!("{rule}:{part}/{of}").parse().unwrap()).collect();
                for (place, entry) in entries.iter().enumerate() {
                    assert_eq!(parts.iter().filter(|part| part.holds(place, entry)).count(), 1, "{rule} {of}");
                }
            }
        }
    }

    #[test]
    fn a_hash_depends_on_the_name_alone() {
        // Written down once: if this changes, the parts of everybody's machines do.
        let part = |name: &str| {
            (1..=4).find(|part| format!("hash:{part}/4").parse::<Partition>().unwrap().holds(17, &entry(name)))
        };
        let parts = ["scheduler/taints", "workloads/replica_set", "workloads/hpa", "control_plane/store"].map(part);
        assert_eq!(parts, [Some(1), Some(3), Some(3), Some(3)]);
    }

    #[test]
    fn what_is_no_partition_is_refused() {
        for text in ["", "hash", "hash:0/4", "hash:5/4", "hash:1/0", "hash:1", "hash:-1/4", "part:1/4", "1/4"] {
            let error = text.parse::<Partition>().unwrap_err();
            assert!(error.contains("hash:1/4"), "{error}");
        }
        assert_eq!("count:2/3".parse::<Partition>().unwrap().to_string(), "slice:2/3");
    }
}
