//! Completion indexes: sets of them, and what the pods of an Indexed job say of theirs.
//!
//! Source: `pkg/controller/job/indexed_job_utils.go`.

use super::view;
use kit_api::core::Pod;
use std::collections::BTreeSet;
use std::fmt;

/// The annotation and the label with a pod's index.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation with how many pods of its index failed before it.
pub const FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// The annotation with how many of them the job's failure policy ignored.
pub const IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// A set of indexes as sorted spans, both ends included: what a status writes as `0-2,4,5`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(i64, i64)>);

impl Indexes {
    /// Reads the indexes below `completions`; what makes no sense is left out (`parseIndexesFromString`).
    pub fn parse(text: &str, completions: i64) -> Indexes {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let mut limits = part.split('-');
            let Some(Ok(first)) = limits.next().map(str::parse::<i64>) else { continue };
            if first >= completions {
                break;
            }
            let last = match limits.next().map(str::parse::<i64>) {
                None => first,
                Some(Ok(last)) => last.min(completions - 1),
                Some(Err(_)) => continue,
            };
            match spans.last_mut() {
                Some(before) if before.1 == first - 1 => before.1 = last,
                _ => spans.push((first, last)),
            }
        }
        Indexes(spans)
    }

    /// These and those.
    pub fn merge(&self, other: &Indexes) -> Indexes {
        let mut all: Vec<(i64, i64)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_by_key(|span| span.0);
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for (first, last) in all {
            match spans.last_mut() {
                Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
                _ => spans.push((first, last)),
            }
        }
        Indexes(spans)
    }

    /// How many there are.
    pub fn total(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether one is among them.
    pub fn has(&self, index: i64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }
}

impl FromIterator<i64> for Indexes {
    fn from_iter<I: IntoIterator<Item = i64>>(indexes: I) -> Indexes {
        let sorted: BTreeSet<i64> = indexes.into_iter().collect();
        Indexes::default().merge(&Indexes(sorted.into_iter().map(|index| (index, index)).collect()))
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match last - first {
                ..=0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// A pod's index, if it says one.
pub fn index_of(pod: &Pod) -> Option<i64> {
    annotation(pod, COMPLETION_INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// The index of each pod that has one.
pub fn indexes_of<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Indexes {
    pods.into_iter().filter_map(index_of).collect()
}

/// Sorts pods by their index; those without come first (`byCompletionIndex`).
pub fn sort_by_index(pods: &mut [&Pod]) {
    pods.sort_by_key(|pod| index_of(pod).unwrap_or(-1));
}

/// How many pods of this index failed before this one: counted, and ignored. What is no number counts as 0.
pub fn failures_before(pod: &Pod) -> (i32, i32) {
    let count = |key: &str| annotation(pod, key).and_then(|text| text.parse::<i32>().ok()).unwrap_or(0).max(0);
    (count(FAILURE_COUNT), count(IGNORED_FAILURE_COUNT))
}

/// Splits active pods into those of a wrong or a repeated index, and one pod of each good one
/// (`appendDuplicatedIndexPodsForRemoval`).
pub fn split_repeated(mut pods: Vec<&Pod>, completions: i64) -> (Vec<&Pod>, Vec<&Pod>) {
    sort_by_index(&mut pods);
    let (mut remove, mut keep) = (Vec::new(), Vec::new());
    for same in pods.chunk_by_mut(|one, other| index_of(one) == index_of(other)) {
        let good = same.first().and_then(|pod| index_of(pod)).is_some_and(|index| index < completions);
        view::sort_for_removal(same);
        match same.split_last() {
            Some((last, others)) if good => {
                remove.extend(others.iter().copied());
                keep.push(*last);
            }
            _ => remove.extend(same.iter().copied()),
        }
    }
    (remove, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_short_as_they_are_read() {
        for (text, completions, shown, total) in [
            ("", 9, "", 0),
            ("0-1,2", 9, "0-2", 3),
            ("0,1,4-8", 9, "0,1,4-8", 7),
            ("0,3-8,9", 6, "0,3-5", 4),
            ("x,1,2-y,4", 9, "1,4", 2),
        ] {
            let indexes = Indexes::parse(text, completions);
            assert_eq!((indexes.to_string().as_str(), indexes.total()), (shown, total), "{text}");
        }
    }

    #[test]
    fn sets_of_indexes_are_added_and_asked() {
        let set = |indexes: &[i64]| indexes.iter().copied().collect::<Indexes>();
        let (some, others) = (set(&[0, 1, 2, 7]), set(&[2, 3, 7, 9]));
        assert_eq!(some.merge(&others).to_string(), "0-3,7,9");
        assert_eq!([some.has(1), some.has(3), some.has(7), some.has(8)], [true, false, true, false]);
    }
}
