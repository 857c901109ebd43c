//! Lists that only have to be written.

use super::list::{in_order, item, place};
use super::table;
use super::view::{Include, View};
use crate::{Snapshot, Stored};
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

/// What a row of a table takes over as it stands.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

impl Listing {
    /// The objects of a kind in one namespace or in all, as they are in a snapshot and in JSON.
    pub fn of(snapshot: &Snapshot, kind: Kind, namespace: Option<&str>) -> Listing {
        let mut items: Vec<Arc<Stored>> = match namespace {
            Some(namespace) => snapshot.list_in(kind, namespace).cloned().collect(),
            None => snapshot.list(kind).cloned().collect(),
        };
        items.sort_by(|one, other| in_order(place(one), place(other)));
        let metadata = json!({"resourceVersion": snapshot.revision.to_string()});
        Listing { view: View::Plain, kind, metadata, items, now: Timestamp::default() }
    }

    /// The list as text.
    pub fn to_text(&self) -> String {
        let (list, api_version) = (format!("{}List", self.kind.name()), self.kind.api_version());
        match self.view {
            View::Yaml => {
                let items: Vec<Value> = self.items.iter().map(|stored| item(self.kind, stored)).collect();
                let list = json!({"kind": list, "apiVersion": api_version, "metadata": self.metadata, "items": items});
                serde_yaml::to_string(&list).unwrap_or_default()
            }
            View::Plain => {
                let head = json!({"kind": list, "apiVersion": api_version, "metadata": self.metadata});
                self.with(&head, "items", |stored| self.bare(stored))
            }
            View::Metadata => {
                let (list, api_version) = ("PartialObjectMetadataList", "meta.k8s.io/v1");
                let head = json!({"kind": list, "apiVersion": api_version, "metadata": self.metadata});
                self.with(&head, "items", |stored| partial(stored.json()))
            }
            View::Table(include) => {
                let head = json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": self.metadata,
                    "columnDefinitions": table::columns(self.kind),
                });
                self.with(&head, "rows", |stored| self.row(stored, include))
            }
        }
    }

    /// `head` with one field more, which holds all items.
    fn with(&self, head: &Value, field: &str, write: impl Fn(&Stored) -> String) -> String {
        let mut text = head.to_string();
        text.pop();
        text += &format!(",\"{field}\":[");
        for (at, stored) in self.items.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text += &write(stored);
        }
        text + "]}\n"
    }

    /// An item: what the list says of all of them, it leaves out.
    fn bare(&self, stored: &Stored) -> String {
        let (kind, api_version) = (self.kind.name(), self.kind.api_version());
        let said = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",");
        match stored.json().strip_prefix(&said).filter(|_| !self.kind.resource().custom) {
            Some(rest) => format!("{{{rest}"),
            None => item(self.kind, stored).to_string(),
        }
    }

    fn row(&self, stored: &Stored, include: Include) -> String {
        let value: Value = serde_json::from_str(stored.json()).unwrap_or_default();
        let cells = Value::from(table::cells(self.kind, &value, self.now));
        let object = match include {
            Include::None => "null".into(),
            Include::Metadata => partial(stored.json()),
            Include::Object => stored.json().to_string(),
        };
        format!("{{\"cells\":{cells},\"object\":{object}}}")
    }
}

fn partial(json: &str) -> String {
    let metadata = serde_json::from_str::<Parts<'_>>(json).map_or("{}", |parts| parts.metadata.get());
    format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata}}}")
}
