//! The filter of the scheduler's TaintToleration plugin.
//!
//! Source: `pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go`.

use crate::{Show, flow};
pub use kit_api::core::{Taint, Toleration};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Decides whether taints keep a pod away from a node.
    pub trait Taints {
        /// The first taint that keeps the pod away, in the order in which the node lists them.
        ///
        /// Only `NoSchedule` and `NoExecute` taints keep a pod away; `PreferNoSchedule` is a matter of score.
        fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict;
    }
}

/// What the filter says of one pod and one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// No taint keeps the pod away.
    Fits,
    /// This taint does.
    Refused(Taint),
}
// ANCHOR_END: contract

impl Show for Verdict {
    fn lines(&self) -> Vec<String> {
        match self {
            Verdict::Fits => vec!["fits".into()],
            Verdict::Refused(taint) => taint.lines().into_iter().map(|t| format!("refused by {t}")).collect(),
        }
    }
}

impl Show for Taint {
    fn lines(&self) -> Vec<String> {
        // As `kubectl taint` writes it: key=value:effect.
        let value = self.value.as_deref().map_or(String::new(), |v| format!("={}", v.escape_debug()));
        vec![format!("{}{value}:{}", self.key.escape_debug(), self.effect.escape_debug())]
    }
}

impl Show for Toleration {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
