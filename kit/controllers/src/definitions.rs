//! What `kubectl apply` of an add-on brings: its definitions.

use kit_apimachinery::object::{Kind, Object};
use kit_server::Server;
use serde_json::Value;

/// Creates those of these CustomResourceDefinitions, a list in JSON, that aren't there.
pub(crate) fn install(definitions: &str, server: &mut Server) {
    let Some(kind) = Kind::named("CustomResourceDefinition") else { return };
    let all: Vec<Value> = serde_json::from_str(definitions).unwrap_or_default();
    for value in all {
        let spec = &value["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let version = format!("{}/{}", text(&spec["group"]), text(&spec["versions"][0]["name"]));
        if server.kind_of(&version, &text(&spec["names"]["kind"])).is_some() {
            continue;
        }
        if let Ok(definition) = Object::from_value(kind, value) {
            _ = server.create(definition);
        }
    }
}
