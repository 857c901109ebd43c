//! What `kubectl apply` of the add-on brings: its definitions.

use kit_server::Server;

/// The kind of an autoscaler.
pub const AUTOSCALER: &str = "VerticalPodAutoscaler";
/// The kind of what is kept of the past.
pub const CHECKPOINT: &str = "VerticalPodAutoscalerCheckpoint";

/// Both CustomResourceDefinitions, with what `deploy/vpa-v1-crd-gen.yaml` has for the version v1, but for the fields of what
/// this kit leaves out.
const DEFINITIONS: &str = include_str!("definitions.json");

/// Creates the definitions that aren't there.
pub fn definitions(server: &mut Server) {
    crate::definitions::install(DEFINITIONS, server);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_definitions_can_be_read() {
        let all: Vec<Value> = serde_json::from_str(DEFINITIONS).expect("it is JSON");
        let kinds: Vec<&str> = all.iter().filter_map(|one| one["spec"]["names"]["kind"].as_str()).collect();
        assert_eq!(kinds, [CHECKPOINT, AUTOSCALER]);
    }
}
