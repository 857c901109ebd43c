//! Work on many things at once, with the results in order.

use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

/// Does `work` for as many of `items` at a time as there are processors. `each` gets the results in the order of the
/// items, each as soon as it is known; after its first error nothing more is begun.
pub fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut each: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(items.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(place) else { break };
                    if sender.send((place, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (place, result) in results {
            early.insert(place, result);
            while let Some(result) = early.remove(&due) {
                each(result)?;
                due += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let late_first = |wait: &u64| {
            std::thread::sleep(Duration::from_millis(*wait));
            *wait
        };
        let mut seen = Vec::new();
        let all = side_by_side(&[30, 0, 10], late_first, |result| {
            seen.push(result);
            Ok(())
        });
        assert!(all.is_ok() && seen == [30, 0, 10], "{seen:?}");
        let begun = AtomicUsize::new(0);
        let count = |wait: &u64| {
            std::thread::sleep(Duration::from_millis(*wait));
            begun.fetch_add(1, Ordering::Relaxed)
        };
        let stopped = side_by_side(&[1; 10_000], count, |_| anyhow::bail!("no more"));
        assert!(stopped.is_err() && begun.into_inner() < 10_000);
    }
}
