//! A collector between those who make spans and a backend, as a pipeline of the OpenTelemetry Collector is: a memory limiter,
//! tail sampling, batches, and a queue that tries again. Nothing is sent here: it says what is to be sent, and is told how that
//! went. Each span that is lost is counted.
//!
//! Sources: `processor/memorylimiterprocessor`, `processor/batchprocessor` and `exporter/exporterhelper` of the collector
//! (defaults of `config.go` and `backoff.go`), `processor/tailsamplingprocessor` of its contrib repository.

use super::Span;
use super::cache::Decisions;
use kit_contract::observability::Traces;
use kit_contract::observability::traces::{Decision, Held, Tail};
use std::collections::VecDeque;
use std::rc::Rc;

/// How a collector is set up. Times are milliseconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// `memory_limiter`, in spans: with more than so many in memory it refuses what comes.
    pub limit: usize,
    /// `tail_sampling`, if there is any.
    pub tail: Option<Tail>,
    /// `decision_cache`: so many ids of traces that were kept, and as many of those that weren't.
    pub decision_cache: usize,
    /// `send_batch_size`: a batch with so many spans waits no longer.
    pub send_batch_size: usize,
    /// `send_batch_max_size`: no batch is larger; 0 if any may be.
    pub send_batch_max_size: usize,
    /// `timeout` of `batch`: how long the first span of a batch waits at most.
    pub timeout_ms: i64,
    /// `queue_size` of `sending_queue`, in batches.
    pub queue_size: usize,
    /// `num_consumers` of `sending_queue`: so many batches are sent at the same time; one that is tried again counts.
    pub num_consumers: usize,
    /// `retry_on_failure`.
    pub retry: Retry,
}

/// How often a batch is tried again (`config/configretry/backoff.go`). The random part of the interval is left out.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// `initial_interval`
    pub initial_ms: i64,
    /// `max_interval`: intervals grow by half each time, up to that.
    pub max_interval_ms: i64,
    /// `max_elapsed_time`: after so long the batch is given up; 0 for never.
    pub max_elapsed_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limit: 100_000,
            tail: None,
            decision_cache: 0,
            send_batch_size: 8192,
            send_batch_max_size: 0,
            timeout_ms: 200,
            queue_size: 1000,
            num_consumers: 10,
            retry: Retry { initial_ms: 5_000, max_interval_ms: 30_000, max_elapsed_ms: 300_000 },
        }
    }
}

/// Where spans went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// `otelcol_receiver_accepted_spans`
    pub accepted: usize,
    /// `otelcol_receiver_refused_spans`: their senders may try again.
    pub refused: usize,
    /// Not kept by tail sampling.
    pub not_sampled: usize,
    /// Forgotten before their trace was decided.
    pub too_early: usize,
    /// `otelcol_exporter_enqueue_failed_spans`: there was no room in the queue.
    pub enqueue_failed: usize,
    /// `otelcol_exporter_send_failed_spans`: given up.
    pub send_failed: usize,
    /// `otelcol_exporter_sent_spans`
    pub sent: usize,
}

/// Spans that are to be sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// By which the answer names it.
    pub number: u64,
    /// What it holds.
    pub spans: Vec<Span>,
}

/// How a backend answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has the spans.
    Stored,
    /// It couldn't take them now (429, 502, 503, 504, or no answer at all).
    Later,
    /// It will never take them (any other error).
    Never,
}

/// A batch that a consumer has taken.
struct Flight {
    batch: Batch,
    /// When it was first sent.
    since_ms: i64,
    interval_ms: i64,
    /// When it is sent again; none while an answer is awaited.
    again_ms: Option<i64>,
}

/// See the module.
pub struct Collector {
    config: Config,
    module: Rc<dyn Traces>,
    memory: Vec<Held>,
    decisions: Decisions,
    open: Vec<Span>,
    open_since_ms: i64,
    queue: VecDeque<Batch>,
    flights: Vec<Flight>,
    numbers: u64,
    counts: Counts,
}

impl Collector {
    /// One that has seen nothing.
    pub fn new(config: Config, module: Rc<dyn Traces>) -> Collector {
        Collector {
            decisions: Decisions::new(config.decision_cache),
            config,
            module,
            memory: Vec::new(),
            open: Vec::new(),
            open_since_ms: 0,
            queue: VecDeque::new(),
            flights: Vec::new(),
            numbers: 0,
            counts: Counts::default(),
        }
    }

    /// Where spans went until now.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many spans are in memory.
    pub fn held(&self) -> usize {
        let waiting = self.memory.iter().map(|held| held.spans.len()).sum::<usize>();
        let queued = self.queue.iter().map(|batch| batch.spans.len()).sum::<usize>();
        waiting + self.open.len() + queued + self.flights.iter().map(|flight| flight.batch.spans.len()).sum::<usize>()
    }

    /// Takes spans, or refuses them: then their sender has them still.
    pub fn receive(&mut self, spans: Vec<Span>, now_ms: i64) -> bool {
        if self.held() + spans.len() > self.config.limit {
            self.counts.refused += spans.len();
            return false;
        }
        self.counts.accepted += spans.len();
        self.sample(spans, now_ms);
        true
    }

    /// Batches that are to be sent now, some of them again.
    pub fn poll(&mut self, now_ms: i64) -> Vec<Batch> {
        self.sample(Vec::new(), now_ms);
        if !self.open.is_empty() && now_ms - self.open_since_ms >= self.config.timeout_ms {
            self.close();
        }
        let due = |flight: &&mut Flight| flight.again_ms.is_some_and(|again| again <= now_ms);
        let mut out = Vec::new();
        for flight in self.flights.iter_mut().filter(due) {
            flight.again_ms = None;
            out.push(flight.batch.clone());
        }
        while self.flights.len() < self.config.num_consumers {
            let Some(batch) = self.queue.pop_front() else { break };
            out.push(batch.clone());
            let interval_ms = self.config.retry.initial_ms;
            self.flights.push(Flight { batch, since_ms: now_ms, interval_ms, again_ms: None });
        }
        out
    }

    /// How it went with a batch.
    pub fn answered(&mut self, number: u64, answer: Answer, now_ms: i64) {
        let retry = self.config.retry;
        let Some(place) = self.flights.iter().position(|flight| flight.batch.number == number) else { return };
        let flight = &mut self.flights[place];
        let again = now_ms + flight.interval_ms;
        let in_time = retry.max_elapsed_ms == 0 || again - flight.since_ms <= retry.max_elapsed_ms;
        match answer {
            Answer::Later if in_time => {
                flight.again_ms = Some(again);
                flight.interval_ms = (flight.interval_ms * 3 / 2).min(retry.max_interval_ms);
                return;
            }
            Answer::Stored => self.counts.sent += flight.batch.spans.len(),
            Answer::Later | Answer::Never => self.counts.send_failed += flight.batch.spans.len(),
        }
        self.flights.remove(place);
    }

    /// The process ends: all that it held is lost. How many spans that were.
    pub fn crash(&mut self) -> usize {
        let lost = self.held();
        let counts = self.counts;
        *self = Collector::new(self.config.clone(), self.module.clone());
        self.counts = counts;
        lost
    }

    fn sample(&mut self, mut spans: Vec<Span>, now_ms: i64) {
        let Some(tail) = &self.config.tail else { return self.batch(spans, now_ms) };
        let mut passed = Vec::new();
        // What the caches know isn't looked at again.
        spans.retain(|span| match self.decisions.get(&span.trace_id) {
            Some(true) => {
                passed.push(span.clone());
                false
            }
            Some(false) => {
                self.counts.not_sampled += 1;
                false
            }
            None => true,
        });
        let before = self.memory.iter().map(|held| held.spans.len()).sum::<usize>() + spans.len();
        let collected = self.module.collect(tail, &self.memory, &spans, now_ms);
        let early = |id: &String| collected.too_early.contains(id);
        let held = self.memory.iter().filter(|held| early(&held.trace_id)).map(|held| held.spans.len());
        let too_early = held.sum::<usize>() + spans.iter().filter(|span| early(&span.trace_id)).count();
        self.memory = collected.memory;
        if self.config.decision_cache > 0 {
            let decided = self.memory.iter().filter_map(|held| Some((&held.trace_id, held.decision?)));
            decided.for_each(|(id, decision)| self.decisions.put(id, decision == Decision::Sampled));
            self.memory.retain(|held| held.decision.is_none());
        }
        let after = self.memory.iter().map(|held| held.spans.len()).sum::<usize>() + collected.sent.len();
        let gone = before.saturating_sub(after);
        self.counts.too_early += too_early.min(gone);
        self.counts.not_sampled += gone.saturating_sub(too_early);
        passed.extend(collected.sent);
        self.batch(passed, now_ms);
    }

    fn batch(&mut self, spans: Vec<Span>, now_ms: i64) {
        if spans.is_empty() {
            return;
        }
        if self.open.is_empty() {
            self.open_since_ms = now_ms;
        }
        self.open.extend(spans);
        if self.open.len() >= self.config.send_batch_size {
            self.close();
        }
    }

    /// Puts what is open into the queue, in as many batches as it needs, or drops it if there is no room.
    fn close(&mut self) {
        let most = match self.config.send_batch_max_size {
            0 => self.open.len(),
            most => most,
        };
        while !self.open.is_empty() {
            let spans: Vec<Span> = self.open.drain(..most.min(self.open.len())).collect();
            if self.queue.len() >= self.config.queue_size {
                self.counts.enqueue_failed += spans.len();
                continue;
            }
            self.numbers += 1;
            self.queue.push_back(Batch { number: self.numbers, spans });
        }
    }
}
