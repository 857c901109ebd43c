//! The program as a process of its own, as its users have it: ended at once, started again, several beside each other.

mod client;
mod durability;
#[cfg(feature = "etcd")]
mod etcd;
mod incident;
