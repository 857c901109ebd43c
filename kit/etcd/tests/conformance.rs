//! What the stories of kit-store's suite are held to: a real etcd still answers as it did when they were recorded.
//!
//! `RECORD=1 cargo test -p kit-etcd --features client etcd_itself` writes the answers, with etcd 3.4.23.

#![cfg(feature = "client")]

#[path = "../../store/tests/play/mod.rs"]
mod play;

use kit_etcd::{Etcd, Server};
use play::stories;
use similar::TextDiff;
use std::time::Duration;

/// A server of its own for each story, since revisions count from its beginning.
struct Own {
    store: Etcd,
    _server: Server,
    _folder: tempfile::TempDir,
}

fn start() -> Own {
    let folder = tempfile::tempdir().expect("a folder");
    let interval = ["--experimental-watch-progress-notify-interval", "2s"];
    let server = Server::start(folder.path(), &interval).unwrap_or_else(|e| panic!("{e}"));
    let store = server.connect().unwrap_or_else(|e| panic!("{e}"));
    Own { store, _server: server, _folder: folder }
}

#[test]
fn etcd_itself() {
    let record = std::env::var_os("RECORD").is_some();
    let only = std::env::var("STORY").ok();
    let mut wrong = String::new();
    for story in stories().into_iter().filter(|story| only.as_ref().is_none_or(|only| *only == story.name)) {
        let mut etcd = start();
        if record {
            let transcript = story.play(&mut etcd.store, None, Duration::from_secs(1));
            std::fs::write(story.golden(), transcript).expect("the answers are written");
            continue;
        }
        let expected = story.expected();
        let transcript = story.play(&mut etcd.store, Some(&expected), Duration::from_secs(10));
        if transcript != expected {
            let diff = TextDiff::from_lines(&expected, &transcript);
            wrong += &format!("{}\n{}", story.name, diff.unified_diff().header("recorded", "now"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
