//! What a terminal shows where waiting gets long. Without a terminal none of it appears.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What takes longer than this says how far it is.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// A bar that counts exercises, and for a single one only time.
pub struct Bar {
    bar: ProgressBar,
    began: Instant,
}

impl Bar {
    pub fn new(exercises: usize) -> Bar {
        let template = if exercises == 1 { "  {spinner} {elapsed}" } else { "  {bar:30} {pos}/{len} exercises" };
        Bar { bar: hidden(template, exercises), began: Instant::now() }
    }

    /// Says how many are done.
    pub fn show(&self, done: usize) {
        if self.bar.is_hidden() && self.began.elapsed() > PATIENCE {
            appear(&self.bar);
        }
        self.bar.set_position(done as u64);
    }

    /// Prints with the bar out of the way.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Does something whose length nobody knows, under a word for it.
pub fn patiently<T: Send>(what: &'static str, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let (sender, done) = channel();
        let worker = scope.spawn(move || {
            let result = work();
            let _ = sender.send(());
            result
        });
        if done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let bar = hidden("  {spinner} {msg} · {elapsed}", 1).with_message(what);
            appear(&bar);
            let _ = done.recv();
            bar.finish_and_clear();
        }
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn hidden(template: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the templates are well-formed");
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::hidden());
    bar.with_style(style.progress_chars("━╸ "))
}

fn appear(bar: &ProgressBar) {
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(100));
}
