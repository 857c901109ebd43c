//! Stops a cluster that a module keeps busy without being asked itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sets a flag when its time is over, unless it is dropped before.
pub struct Watchdog {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub fn new(time: Duration, flag: Arc<AtomicBool>) -> Self {
        flag.store(false, Ordering::Relaxed);
        let over = Arc::new(AtomicBool::new(false));
        let (seen, end) = (over.clone(), Instant::now() + time);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                match end.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => return flag.store(true, Ordering::Relaxed),
                    left => std::thread::park_timeout(left),
                }
            }
        });
        Watchdog { over, thread: Some(thread) }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_barks_when_time_is_over_and_only_then() {
        let flag = Arc::new(AtomicBool::new(true));
        drop(Watchdog::new(Duration::from_secs(600), flag.clone()));
        assert!(!flag.load(Ordering::Relaxed));
        let dog = Watchdog::new(Duration::from_millis(1), flag.clone());
        while !flag.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(dog);
        assert!(flag.load(Ordering::Relaxed));
    }
}
