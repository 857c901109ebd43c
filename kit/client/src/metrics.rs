//! What pods use, as `metrics.k8s.io` would say.

use kit_apimachinery::object::Key;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// CPU in thousandths and memory in bytes of each container that runs, by pod. Kubelets write it, and autoscalers read it.
pub type Usage = Rc<RefCell<BTreeMap<Key, Vec<(String, (i64, i64))>>>>;
