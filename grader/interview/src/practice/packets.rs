//! Packets to one service port, as `network/kube_proxy` sends them through the rules: where does one of them end?

use super::reference::quietly;
use kit_contract::flow;
use kit_stages::network::kube_proxy::{self, Script};
use serde_json::Value;

/// A packet, and where it ends.
pub struct Sent {
    /// Who sends what to whom.
    pub packet: String,
    pub ends: Vec<String>,
}

/// All packets that a script sends. None if it can't be played.
pub fn sent(script: &Value) -> Option<Vec<Sent>> {
    let mut all = Vec::new();
    quietly(|| {
        let script: Script = serde_json::from_value(script.clone()).ok()?;
        let modules = solutions::modules();
        kube_proxy::play(&script, &modules, &modules, &mut |packet, ends| all.push(Sent { packet, ends })).ok()
    })?;
    // The first is the rules themselves.
    all.remove(0);
    Some(all)
}

/// What is told before the question.
pub fn told(script: &Value, packet: &str) -> Vec<(String, Vec<String>)> {
    let mut told = vec![("service".to_string(), vec![flow(&script["service"])])];
    if !script["node"].is_null() {
        told.push(("node".into(), vec![flow(&script["node"])]));
    }
    told.push(("packet".into(), vec![packet.into()]));
    told
}
