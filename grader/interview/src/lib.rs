//! `cargo grade interview` and `cargo grade practice`: the person is asked, not the module.
//!
//! [`content`] is what is asked, and lies as data in `solutions/interviews`. [`session`] is one mock interview as a state
//! machine without input or output of its own: actions in, events out, and everything that is known follows from the events.
//! What surrounds it carries actions to it and shows what it says: [`terminal`] to one person, [`room`] to two. [`practice`]
//! asks without a clock. [`history`] is what is left of all that.

pub mod command;
pub mod content;
pub mod desk;
pub mod history;
pub mod host;
pub mod page;
pub mod practice;
pub mod report;
pub mod room;
pub mod session;
pub mod sheet;
pub mod terminal;

#[cfg(test)]
mod fixture;
