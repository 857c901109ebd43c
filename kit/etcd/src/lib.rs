//! A real etcd as a store of the kit, with the feature `client`: its [client](Etcd), and a [server](Server) of one's own for
//! tests.

#![cfg(feature = "client")]

mod client;
mod server;

pub use client::Etcd;
pub use server::Server;
