//! One suite for all stores: stories in `suite/*.yaml`, and beside each the answers that etcd 3.4.23 gave to it.
//!
//! The answers are written by kit-etcd's test of the same suite, and by nothing else.

mod play;

use kit_store::{Disk, Kv, Memory, Options, Replicated};
use play::stories;
use similar::TextDiff;
use std::time::Duration;

/// In the stories watches are told every two seconds how far they are; etcd's usual ten minutes are long.
fn options() -> Options {
    Options { progress_interval: Duration::from_secs(2) }
}

fn holds<K: Kv>(patience: Duration, mut store: impl FnMut() -> K) {
    let mut wrong = String::new();
    for story in stories() {
        let expected = story.expected();
        let transcript = story.play(&mut store(), Some(&expected), patience);
        if transcript != expected {
            let diff = TextDiff::from_lines(&expected, &transcript);
            wrong += &format!("{}\n{}", story.name, diff.unified_diff().header("etcd", "this store"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn memory() {
    holds(Duration::ZERO, || Memory::new(options()));
}

#[test]
fn disk() {
    // A new file for each story, in one folder for all.
    let (folder, mut files) = (tempfile::tempdir().expect("a folder"), 0..);
    holds(Duration::ZERO, || {
        let path = folder.path().join(format!("{}.redb", files.next().unwrap_or_default()));
        Disk::open(&path, options()).unwrap_or_else(|e| panic!("{e}"))
    });
}

#[test]
fn replicated() {
    holds(Duration::ZERO, || Replicated::new(1, 1, options()));
    holds(Duration::ZERO, || Replicated::new(3, 2, options()));
    holds(Duration::ZERO, || Replicated::new(5, 3, options()));
}
