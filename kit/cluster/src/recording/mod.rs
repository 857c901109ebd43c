//! Recordings: what happened in a cluster, small enough to be carried in a page.
//!
//! A [`Recorder`] looks at an engine now and then ([`Watcher`]), keeps of each change what people see of it ([`state`]) and
//! leaves out the rest: heartbeats, leases, status that says nothing new. What it has is a [`Recording`], whose form
//! `recording.schema.json` states, and [`page`] puts one or two of them into a page that shows them.

mod form;
mod picture;
mod reason;
mod recorder;
mod state;
mod watcher;

pub use form::{
    Change, Event, Increment, Line, Mark, MarkKind, Numbered, Parts, Plane, Reason, Recording, State, Subject,
};
pub use picture::Picture;
pub use recorder::Recorder;
pub use watcher::{Sight, Watcher};

use serde::Serialize;

/// The page, with this text where the recording belongs.
const PAGE: &str = include_str!("page/page.html");
const PLACE: &str = "/*RECORDING*/";

/// The form of a recording, as JSON Schema.
pub const SCHEMA: &str = include_str!("recording.schema.json");

/// One recording, or several beside each other under these names; `parts` says where they part.
///
/// # Errors
///
/// If a recording can't be written as JSON.
pub fn json(recordings: &[Recording], names: &[&str], parts: Option<&Parts>) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Beside<'a> {
        recordings: &'a [Recording],
        names: &'a [&'a str],
        #[serde(skip_serializing_if = "Option::is_none")]
        parts: Option<&'a Parts>,
    }
    match recordings {
        [one] => serde_json::to_string(one),
        recordings => serde_json::to_string(&Beside { recordings, names, parts }),
    }
}

/// A page that shows the same.
///
/// # Errors
///
/// If a recording can't be written as JSON.
pub fn page(recordings: &[Recording], names: &[&str], parts: Option<&Parts>) -> Result<String, serde_json::Error> {
    // Nothing in a text may end the script element: https://html.spec.whatwg.org/#restrictions-for-contents-of-script-elements
    Ok(PAGE.replacen(PLACE, &json(recordings, names, parts)?.replace('<', "\\u003c"), 1))
}
