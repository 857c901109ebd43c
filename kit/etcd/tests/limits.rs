//! A real etcd has the limits that kit-store's stores are held to.

#![cfg(feature = "client")]

#[path = "../../store/tests/play/limits.rs"]
mod limits;

use kit_etcd::Server;

#[test]
fn etcd_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
    limits::all(&mut server.connect().unwrap_or_else(|e| panic!("{e}")));
}
