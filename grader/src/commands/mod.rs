//! What learners call: each file is a command, or the flags that several share.

pub mod day;
pub mod explain;
pub mod help;
pub mod overview;
pub mod partition;
pub mod picture;
pub mod play;
pub mod run;
pub mod schema;
pub mod settings;
pub mod watch;
pub mod worker;
