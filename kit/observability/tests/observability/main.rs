//! Metrics, logs and traces, as those who read them meet them. One program, since each would be linked with the kit.

mod alertmanager;
mod collector;
mod elastic;
mod logs;
mod rules;
