//! Lists that only have to be written.

use super::list::item;
use super::table;
use super::view::{Include, View};
use crate::Stored;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::Kind;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// A list whose items are chosen. Nothing in it changes any more: it can be written beside the server, which may go on.
#[derive(Debug)]
pub struct Listing {
    pub(super) view: View,
    pub(super) kind: Kind,
    pub(super) metadata: Value,
    pub(super) items: Vec<Arc<Stored>>,
    /// What the ages in a table are counted to.
    pub(super) now: Timestamp,
}

impl Listing {
    /// The list as text.
    pub fn to_text(&self) -> String {
        let (list, api_version) = (format!("{}List", self.kind.name()), self.kind.api_version());
        let mut metadata = self.metadata.clone();
        if self.kind.resource().custom && metadata.get("continue").is_none() {
            // Lists without a type of their own say it even if nothing follows (`UnstructuredList.SetContinue`).
            metadata["continue"] = "".into();
        }
        match self.view {
            View::Yaml => {
                let items: Vec<Value> = self.items.iter().map(|stored| item(self.kind, stored)).collect();
                let list = json!({"kind": list, "apiVersion": api_version, "metadata": metadata, "items": items});
                serde_yaml::to_string(&list).unwrap_or_default()
            }
            View::Plain => {
                let head = json!({"kind": list, "apiVersion": api_version, "metadata": metadata});
                self.with(&head, "items", |text, stored| self.bare(text, stored))
            }
            View::Metadata => {
                let (list, api_version) = ("PartialObjectMetadataList", "meta.k8s.io/v1");
                let head = json!({"kind": list, "apiVersion": api_version, "metadata": self.metadata});
                self.with(&head, "items", |text, stored| self.partial(text, stored))
            }
            View::Table(include) => {
                let head = json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": self.metadata,
                    "columnDefinitions": table::columns(self.kind),
                });
                self.with(&head, "rows", |text, stored| self.row(text, stored, include))
            }
        }
    }

    /// `head` with one field more, which holds all items.
    fn with(&self, head: &Value, field: &str, write: impl Fn(&mut String, &Stored)) -> String {
        let mut text = head.to_string();
        text.pop();
        text += &format!(",\"{field}\":[");
        for (at, stored) in self.items.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            write(&mut text, stored);
        }
        text += "]}\n";
        text
    }

    /// How the JSON of a built-in object begins.
    fn said(&self) -> String {
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", self.kind.name(), self.kind.api_version())
    }

    /// An item: what the list says of all of them, it leaves out.
    fn bare(&self, text: &mut String, stored: &Stored) {
        match stored.json().strip_prefix(&self.said()).filter(|_| !self.kind.resource().custom) {
            Some(rest) => {
                text.push('{');
                *text += rest;
            }
            None => *text += &item(self.kind, stored).to_string(),
        }
    }

    fn row(&self, text: &mut String, stored: &Stored, include: Include) {
        *text += "{\"cells\":";
        *text += &Value::from(table::cells_of(stored, self.now)).to_string();
        *text += ",\"object\":";
        match include {
            Include::None => *text += "null",
            Include::Metadata => self.partial(text, stored),
            Include::Object => *text += stored.json(),
        }
        text.push('}');
    }

    /// An object's metadata, as it stands in its JSON.
    fn partial(&self, text: &mut String, stored: &Stored) {
        // It comes right after what all objects of a kind begin with, and what follows need not be read.
        let said = self.said() + "\"metadata\":";
        let first = stored.json().strip_prefix(&said).and_then(|rest| {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
            values.next()?.ok()
        });
        let metadata = first.map_or_else(
            || serde_json::from_str::<Parts<'_>>(stored.json()).map_or("{}", |parts| parts.metadata.get()),
            RawValue::get,
        );
        *text += "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":";
        *text += metadata;
        text.push('}');
    }
}

/// What a row of a table takes over as it stands.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}
