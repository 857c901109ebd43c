//! What pods use, as `metrics.k8s.io` would say.

use kit_apimachinery::object::Key;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// CPU in thousandths and memory in bytes, by pod. Kubelets write it, and the autoscaler reads it.
pub type Usage = Rc<RefCell<BTreeMap<Key, (i64, i64)>>>;
