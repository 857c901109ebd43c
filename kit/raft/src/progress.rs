//! What a leader knows of each member. Upstream: `tracker/progress.go`.

use super::message::Index;
use std::collections::VecDeque;

/// How a leader sends to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It looks for the place where the logs agree: one message at a time.
    Probe,
    /// It streams, without waiting for answers.
    Replicate,
    /// It waits for the end of a snapshot that covers this much.
    Snapshot(Index),
}

/// One member as its leader sees it.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Up to here the member's log is known to agree, on its disk.
    pub matched: Index,
    /// What to send next.
    pub next: Index,
    /// How to send.
    pub mode: Mode,
    /// Whether it was heard since the quorum was last checked.
    pub active: bool,
    /// Probing: whether a message is under way. Waiting for a snapshot: ticks since it was sent.
    pub waiting: u32,
    /// The last index of each message under way.
    inflight: VecDeque<Index>,
    /// The leader's clock at the last heartbeat that was answered; 0 for none.
    pub answered: u64,
}

impl Progress {
    /// A member of which nothing is known, for a log that ends at `last`. It counts as heard until the next check.
    pub fn new(last: Index) -> Self {
        Progress {
            matched: 0,
            next: last + 1,
            mode: Mode::Probe,
            active: true,
            waiting: 0,
            inflight: VecDeque::new(),
            answered: 0,
        }
    }

    /// Goes on in another mode.
    pub fn enter(&mut self, mode: Mode) {
        // A snapshot that arrived saves the probing.
        let after = if let Mode::Snapshot(index) = self.mode { index + 1 } else { 0 };
        self.next = (self.matched + 1).max(if mode == Mode::Probe { after } else { 0 });
        self.mode = mode;
        self.waiting = 0;
        self.inflight.clear();
    }

    /// Whether nothing may be sent now.
    pub fn is_paused(&self, most: usize) -> bool {
        match self.mode {
            Mode::Probe => self.waiting > 0,
            Mode::Replicate => self.inflight.len() >= most,
            Mode::Snapshot(_) => true,
        }
    }

    /// Entries up to `last` were sent (`last` is one before `next` for an empty message).
    pub fn sent(&mut self, last: Index) {
        match self.mode {
            Mode::Probe => self.waiting = 1,
            Mode::Replicate if last >= self.next => {
                self.next = last + 1;
                self.inflight.push_back(last);
            }
            _ => {}
        }
    }

    /// The member has everything up to `index`; false if that is no news.
    pub fn accepted(&mut self, index: Index) -> bool {
        let news = index > self.matched;
        if news {
            self.matched = index;
            self.waiting = 0;
        }
        self.next = self.next.max(index + 1);
        while self.inflight.front().is_some_and(|last| *last <= index) {
            self.inflight.pop_front();
        }
        news
    }

    /// The member refused what came after `prev`, and may agree at `hint`; false if the answer is old.
    pub fn refused(&mut self, prev: Index, hint: Index) -> bool {
        if self.mode == Mode::Replicate {
            if prev <= self.matched {
                return false;
            }
            self.enter(Mode::Probe);
            return true;
        }
        if self.mode != Mode::Probe || self.next != prev + 1 {
            return false;
        }
        self.next = prev.min(hint + 1).max(self.matched + 1).max(1);
        self.waiting = 0;
        true
    }

    /// One message counts as lost, so that the next may go.
    pub fn free_one(&mut self, most: usize) {
        match self.mode {
            Mode::Probe => self.waiting = 0,
            Mode::Replicate if self.inflight.len() >= most => _ = self.inflight.pop_front(),
            _ => {}
        }
    }
}
