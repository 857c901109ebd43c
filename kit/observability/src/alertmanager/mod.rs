//! Who is told of alerts, when, and how often.
//!
//! Alerts come in again and again as long as they fire ([`Alertmanager::post`]). The routing [`route`] tree decides which
//! receivers get them and how they are grouped. A group is flushed `group_wait` after its first alert, then each
//! `group_interval`; what is inhibited, silenced or muted by the clock is left out; and a notification goes out only
//! where something changed, or `repeat_interval` has passed. [`Alertmanager::advance`] moves the clock and yields what is sent.

mod alert;
mod dispatch;
mod inhibit;
mod notify;
pub mod route;
pub mod silence;
pub mod time_interval;

pub use alert::{Alert, RESOLVE_TIMEOUT};
pub use dispatch::{Alertmanager, Config};
pub use inhibit::InhibitRule;
pub use notify::{Notification, Status};
