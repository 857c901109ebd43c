//! Who is told of alerts, when, and how often.
//!
//! Alerts come in again and again as long as they fire ([`Alertmanager::post`]). The tree of routes decides which
//! receivers get them and how they are grouped. A group is flushed `group_wait` after its first alert, then each
//! `group_interval`; what is inhibited, silenced or muted by the clock is left out; and a notification goes out only
//! where something changed, or `repeat_interval` has passed. [`Alertmanager::advance`] moves the clock and yields what is sent.
//! The decisions are those of the module of `observability/alerts`; here is what is around them.

mod alert;
mod dispatch;
pub mod file;
pub mod time_interval;

pub use alert::{Alert, RESOLVE_TIMEOUT};
pub use dispatch::{Alertmanager, Config, Hours, Notification};
