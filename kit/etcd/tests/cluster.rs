//! A whole cluster runs on a real etcd as it does on the reference.

#![cfg(feature = "client")]

#[path = "../../store/tests/play/cluster.rs"]
mod whole;

use kit_etcd::Server;
use std::cell::RefCell;
use std::rc::Rc;
use whole::{over, reference, same};

#[test]
fn a_cluster_on_a_real_etcd_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
    let store = server.connect().unwrap_or_else(|e| panic!("{e}"));
    same(&reference(), &over(&Rc::new(RefCell::new(store)), |_| {}));
}
