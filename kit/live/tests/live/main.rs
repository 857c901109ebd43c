//! Live clusters, as clients meet them. One program, since each would be compiled and linked with the whole kit.

mod batches;
mod containers;
mod reads;
mod restart;
mod signer;
mod traces;
mod ui;
mod webhooks;
mod who;
mod wire;
