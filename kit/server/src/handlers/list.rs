//! Lists: selected, consistent, in pages.
//!
//! Sources: `apiserver/pkg/endpoints/handlers/get.go` (`ListResource`), `apiserver/pkg/storage/etcd3/store.go`
//! (`GetList`), `apiserver/pkg/storage/continue.go`.

use super::query::Query;
use super::{Request, Response, Target, fields, verbs};
use crate::{Change, ChangeKind, Error, Server, Stored};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use kit_api::selector::{FieldSelector, Labels, Selector};
use kit_apimachinery::object::Kind;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which objects are asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    kind: Kind,
    labels: Selector,
    fields: FieldSelector,
}

impl Selection {
    /// What a query selects.
    pub fn of(kind: Kind, query: &Query) -> Result<Selection, Error> {
        let labels: Selector = query.get("labelSelector").parse().map_err(Error::bad_request)?;
        let fields: FieldSelector = query.get("fieldSelector").parse().map_err(Error::bad_request)?;
        fields::check(kind, &fields)?;
        Ok(Selection { kind, labels, fields })
    }

    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.terms.is_empty()
    }

    /// Whether an object is.
    pub fn selects(&self, stored: &Stored) -> bool {
        let none = Labels::new();
        let meta = stored.object.meta();
        if !self.labels.matches(meta.labels.as_ref().unwrap_or(&none)) {
            return false;
        }
        // The names of most selectors need no look into the object.
        let named = |field: &str, value: &str| {
            self.fields.terms.iter().any(|term| term.field == field && !term.negated && term.value != value)
        };
        if named("metadata.name", stored.object.name()) || named("metadata.namespace", stored.object.namespace()) {
            return false;
        }
        self.fields.terms.is_empty()
            || self.fields.matches(&fields::of(self.kind, &stored.object.to_value(), &self.fields))
    }
}

/// An object as a list has it: the list says once what all items are.
pub fn item(kind: Kind, stored: &Stored) -> Value {
    let mut value = stored.to_value();
    if let Some(object) = value.as_object_mut().filter(|_| !kind.resource().custom) {
        object.shift_remove("kind");
        object.shift_remove("apiVersion");
    }
    value
}

/// Base64 as Go reads it: bits that are left over are left over.
const TOKEN: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Where the next page begins.
struct Continue {
    revision: i64,
    /// The last key of this page.
    after: String,
}

impl Continue {
    fn encode(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": format!("{}\u{0}", self.after)});
        TOKEN.encode(token.to_string())
    }

    fn decode(token: &str) -> Result<Continue, Error> {
        let bad = |why: String| Error::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = TOKEN.decode(token).map_err(|_| bad("illegal base64 data".into()))?;
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(_) => {
                let first = char::from(bytes.first().copied().unwrap_or_default());
                let shown = match first {
                    ' '..='~' => first.to_string(),
                    other => format!("\\u{:04x}", u32::from(other)),
                };
                return Err(bad(format!("invalid character '{shown}' looking for beginning of value")));
            }
        };
        match (value["v"].as_str(), value["rv"].as_i64(), value["start"].as_str()) {
            (Some("meta.k8s.io/v1"), Some(revision), Some(start)) => {
                Ok(Continue { revision, after: start.trim_end_matches('\0').to_string() })
            }
            _ => Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into())),
        }
    }
}

/// Where an object is found: its namespace and its name.
pub(super) fn place(stored: &Stored) -> (&str, &str) {
    (stored.object.namespace(), stored.object.name())
}

/// The order of two objects' keys in the store, in which a namespace's name ends with `/`: `a-b` comes before `a`.
pub(super) fn in_order(one: (&str, &str), other: (&str, &str)) -> Ordering {
    let spaces = |(namespace, _): (&str, &str)| namespace.bytes().chain([b'/']).collect::<Vec<u8>>();
    match one.0 == other.0 {
        true => one.1.cmp(other.1),
        false => spaces(one).cmp(&spaces(other)),
    }
}

/// Resource versions are numbers, whatever clients are told.
pub fn version(query: &Query) -> Result<Option<u64>, String> {
    match query.get("resourceVersion") {
        "" => Ok(None),
        text => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            )),
        },
    }
}

impl Server {
    /// The objects at a path, as they are now.
    pub(super) fn listed<'a>(&'a self, target: &'a Target) -> Box<dyn Iterator<Item = &'a Arc<Stored>> + 'a> {
        match target.namespace.as_str() {
            "" => Box::new(self.state.list(target.kind)),
            namespace => Box::new(self.state.list_in(target.kind, namespace)),
        }
    }

    /// The same at a revision, as far as history goes back.
    fn listed_at(&self, target: &Target, revision: i64) -> Option<Vec<Arc<Stored>>> {
        let oldest = self.log.front().map_or(self.state.revision, |change| change.revision - 1);
        if revision < oldest.max(self.compacted) {
            return None;
        }
        let mine = |stored: &Stored| {
            stored.object.kind() == target.kind
                && (target.namespace.is_empty() || stored.object.namespace() == target.namespace)
        };
        let later = self.log.iter().rev().take_while(|change| change.revision > revision);
        let changes: Vec<&Change> = later.filter(|change| mine(&change.object)).collect();
        if changes.is_empty() {
            return Some(self.listed(target).cloned().collect());
        }
        let name = |stored: &Stored| (stored.object.namespace().to_string(), stored.object.name().to_string());
        let mut objects: BTreeMap<_, Arc<Stored>> =
            self.listed(target).map(|stored| (name(stored), stored.clone())).collect();
        for change in changes {
            match (change.kind, &change.previous) {
                (ChangeKind::Added, _) | (_, None) => _ = objects.remove(&name(&change.object)),
                (_, Some(previous)) => _ = objects.insert(name(previous), previous.clone()),
            }
        }
        Some(objects.into_values().collect())
    }

    pub(super) fn do_list(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        query.int("timeoutSeconds")?;
        query.list_options(false, false)?;
        let selection = Selection::of(target.kind, query)?;
        let asked = version(query).map_err(|why| Error::bad_request(format!("invalid resource version: {why}")))?;
        let exact = query.get("resourceVersionMatch") == "Exact";
        let mut limit = query.int("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let next = match query.get("continue") {
            "" => None,
            token => Some(Continue::decode(token)?),
        };
        let current = self.state.revision;
        let asked = asked.map(|version| i64::try_from(version).unwrap_or(i64::MAX));
        if let Some(version) = asked.filter(|version| *version > current) {
            return Err(Error::too_large(version, current));
        }
        // "0" is served from the watch cache, which has no pages.
        if asked == Some(0) && next.is_none() {
            limit = None;
        }
        let revision = match (&next, asked) {
            (Some(next), _) if next.revision > 0 => next.revision,
            (None, Some(version)) if exact => version,
            _ => current,
        };
        let mut objects: Vec<Arc<Stored>> = match revision == current {
            true => self.listed(target).cloned().collect(),
            false => match self.listed_at(target, revision) {
                Some(objects) => objects,
                None => return Err(self.too_old(next.as_ref())),
            },
        };
        let everywhere = target.namespace.is_empty() && target.kind.namespaced();
        if everywhere {
            objects.sort_by(|one, other| in_order(place(one), place(other)));
        }
        let begin = next.as_ref().map_or(0, |next| {
            let path = next.after.trim_start_matches('/');
            let after = match everywhere {
                true => path.split_once('/').unwrap_or((path, "")),
                false => (target.namespace.as_str(), path),
            };
            objects.partition_point(|stored| in_order(place(stored), after).is_le())
        });
        let mut later = objects.drain(begin..);
        let mut items = Vec::new();
        while limit.is_none_or(|limit| items.len() < limit)
            && let Some(stored) = later.next()
        {
            if selection.selects(&stored) {
                items.push(stored);
            }
        }
        let left = later.len();
        let last = items.last().map_or(String::new(), |stored| match place(stored) {
            (namespace, name) if everywhere => format!("/{namespace}/{name}"),
            (_, name) => format!("/{name}"),
        });
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if left > 0 {
            metadata["continue"] = Continue { revision, after: last }.encode().into();
            if selection.is_all() {
                metadata["remainingItemCount"] = left.into();
            }
        }
        let warnings = verbs::deprecation(target.kind);
        Ok(self.show_list(target, request, metadata, items)?.warn(warnings))
    }

    fn too_old(&self, next: Option<&Continue>) -> Error {
        match next {
            None => Error::expired("The resourceVersion for the provided list is too old."),
            Some(_) => Error::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter, or use the continue token in this response to retrieve the \
                 remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
                 that were created, modified, or deleted between the time the first chunk was returned and now may show \
                 up in the list.",
            ),
        }
    }
}
