//! What was decided about traces that are no longer in memory
//! (`processor/tailsamplingprocessor/cache/lru_cache.go`).

use std::collections::VecDeque;

/// The ids of traces, of each decision so many; those that were asked for last stay longest.
pub struct Decisions {
    most: usize,
    kept: VecDeque<String>,
    gone: VecDeque<String>,
}

impl Decisions {
    /// With room for so many of each decision; 0 for none at all.
    pub fn new(most: usize) -> Decisions {
        Decisions { most, kept: VecDeque::new(), gone: VecDeque::new() }
    }

    /// Whether the trace was kept, if that is known.
    pub fn get(&mut self, trace_id: &str) -> Option<bool> {
        for (list, kept) in [(&mut self.kept, true), (&mut self.gone, false)] {
            if let Some(place) = list.iter().position(|id| id == trace_id) {
                let id = list.remove(place)?;
                list.push_back(id);
                return Some(kept);
            }
        }
        None
    }

    /// Remembers that a trace was kept, or not.
    pub fn put(&mut self, trace_id: &str, kept: bool) {
        let list = if kept { &mut self.kept } else { &mut self.gone };
        list.push_back(trace_id.into());
        while list.len() > self.most {
            list.pop_front();
        }
    }
}
