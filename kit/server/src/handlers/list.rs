//! Lists: selected, consistent, in pages.
//!
//! Sources: `apiserver/pkg/endpoints/handlers/get.go` (`ListResource`), `apiserver/pkg/storage/etcd3/store.go`
//! (`GetList`), `apiserver/pkg/storage/continue.go`.

use super::query::Query;
use super::view::show_list;
use super::{Request, Response, Target, fields};
use crate::schema::syntax_error;
use crate::{Change, ChangeKind, Error, Server, Snapshot, Stored};
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
        self.fields.terms.is_empty() || self.fields.matches(&fields::of(self.kind, stored, &self.fields))
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
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
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
        let bad = |why: &str| Error::bad_request(format!("invalid continue token: continue key is not valid{why}"));
        let bytes = match TOKEN.decode(token) {
            Ok(bytes) => bytes,
            Err(_) => return Err(bad(&format!(": illegal base64 data at input byte {}", misplaced(token)))),
        };
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(_) => {
                let why = syntax_error(&bytes).unwrap_or_else(|| "unexpected end of JSON input".into());
                return Err(bad(&format!(": {why}")));
            }
        };
        let version = value["v"].as_str().unwrap_or_default();
        if version != "meta.k8s.io/v1" {
            return Err(bad(&format!(": server does not recognize this encoded version {version}")));
        }
        let (revision, start) = (value["rv"].as_i64().unwrap_or_default(), value["start"].as_str().unwrap_or_default());
        if revision == 0 {
            return Err(bad(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if start.is_empty() {
            return Err(bad(": encoded start key empty (version meta.k8s.io/v1)"));
        }
        // Nobody gets out of the kind by a key with dots.
        let path = start.strip_prefix('/').unwrap_or(start);
        if path.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            return Err(bad(&format!(": {start}")));
        }
        Ok(Continue { revision, after: start.trim_end_matches('\0').to_string() })
    }
}

/// Where Go's decoder of unpadded Base64 stops.
fn misplaced(token: &str) -> usize {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // One character is left over, which says nothing.
    token.find(|c| !good(c)).unwrap_or(token.len().saturating_sub(1))
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

/// What a list asks for.
pub(super) struct Wanted {
    selection: Selection,
    /// The resource version that was asked for.
    asked: Option<i64>,
    exact: bool,
    limit: Option<usize>,
    next: Option<Continue>,
}

impl Wanted {
    /// What a query asks for.
    pub fn of(kind: Kind, query: &Query) -> Result<Wanted, Error> {
        query.int("timeoutSeconds")?;
        query.list_options(false, false)?;
        let selection = Selection::of(kind, query)?;
        let exact = query.get("resourceVersionMatch");
        let mut limit = query.int("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let next = match query.get("continue") {
            "" => None,
            token => Some(Continue::decode(token)?),
        };
        // The next page is of the version of the first (`ValidateListOptions` of `apiserver/pkg/storage/interfaces.go`).
        if next.is_some() && !["", "0"].contains(&query.get("resourceVersion")) {
            return Err(Error::bad_request("specifying resource version is not allowed when using continue"));
        }
        let asked = version(query).map_err(|why| Error::bad_request(format!("invalid resource version: {why}")))?;
        // "0" is served from the watch cache, which has no pages.
        if asked == Some(0) && next.is_none() {
            limit = None;
        }
        let asked = asked.map(|version| i64::try_from(version).unwrap_or(i64::MAX));
        // A page of some version has always been one of that very version.
        let exact =
            exact == "Exact" || (exact.is_empty() && limit.is_some() && asked.is_some_and(|version| version > 0));
        Ok(Wanted { selection, asked, exact, limit, next })
    }

    /// The revision at which the list is to be.
    fn revision(&self, current: i64) -> i64 {
        match (&self.next, self.asked) {
            (Some(next), _) if next.revision > 0 => next.revision,
            (None, Some(version)) if self.exact => version,
            _ => current,
        }
    }

    /// Where the last page ended: a namespace and a name.
    fn begin<'a>(&'a self, target: &'a Target) -> Option<(&'a str, &'a str)> {
        let path = self.next.as_ref()?.after.trim_start_matches('/');
        Some(match everywhere(target) {
            true => path.split_once('/').unwrap_or((path, "")),
            false => (&target.namespace, path),
        })
    }

    /// The page that begins with the first of `later`: its metadata, and its objects.
    fn page<'a>(
        &self,
        target: &Target,
        revision: i64,
        mut later: impl Iterator<Item = &'a Arc<Stored>>,
    ) -> (Value, Vec<Arc<Stored>>) {
        let mut items: Vec<Arc<Stored>> = Vec::new();
        let all = self.selection.is_all();
        while self.limit.is_none_or(|limit| items.len() < limit)
            && let Some(stored) = later.next()
        {
            if all || self.selection.selects(stored) {
                items.push(stored.clone());
            }
        }
        // How many are left is told only of lists of everything.
        let left = if all { later.count() } else { usize::from(later.next().is_some()) };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if left > 0 {
            let after = items.last().map_or(String::new(), |stored| match place(stored) {
                (namespace, name) if everywhere(target) => format!("/{namespace}/{name}"),
                (_, name) => format!("/{name}"),
            });
            metadata["continue"] = Continue { revision, after }.encode().into();
            if all {
                metadata["remainingItemCount"] = left.into();
            }
        }
        (metadata, items)
    }
}

/// Whether the objects of all namespaces are asked for.
fn everywhere(target: &Target) -> bool {
    target.namespace.is_empty() && target.kind.namespaced()
}

impl Snapshot {
    /// The objects at a path that come after a place, in the order of their keys in the store.
    fn after<'a>(
        &'a self,
        target: &'a Target,
        after: Option<(&'a str, &'a str)>,
    ) -> impl Iterator<Item = &'a Arc<Stored>> {
        let spaces = match everywhere(target) {
            true => self.namespaces(target.kind),
            false => vec![target.namespace.as_str()],
        };
        let spaces = spaces.into_iter().filter(move |space| {
            after.is_none_or(|after| *space == after.0 || in_order((space, ""), (after.0, "")).is_gt())
        });
        spaces.flat_map(move |space| {
            let name = after.filter(|after| after.0 == space).map(|after| after.1);
            let later = move |stored: &&Arc<Stored>| name.is_none_or(|name| stored.object.name() > name);
            self.list_from(target.kind, space, name.unwrap_or_default()).skip_while(move |stored| !later(stored))
        })
    }

    /// The namespaces that have objects of a kind, in the order of their keys in the store.
    fn namespaces(&self, kind: Kind) -> Vec<&str> {
        let mut spaces: Vec<&str> = Vec::new();
        let mut from = String::new();
        while let Some(stored) = self.first_from(kind, &from) {
            let space = stored.object.namespace();
            spaces.push(space);
            // No other namespace's name lies between a name and the same with a zero byte.
            from = format!("{space}\0");
        }
        spaces.sort_by(|one, other| in_order((one, ""), (other, "")));
        spaces
    }

    /// A page of a list, if what is asked for is no older and no newer than this.
    pub(super) fn page(&self, target: &Target, wanted: &Wanted) -> Option<(Value, Vec<Arc<Stored>>)> {
        let newer = wanted.asked.is_some_and(|version| version > self.revision);
        let there = !newer && wanted.revision(self.revision) == self.revision;
        there.then(|| wanted.page(target, self.revision, self.after(target, wanted.begin(target))))
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

    /// A page of a list as it was at a revision, as far as history goes back.
    fn page_at(&self, target: &Target, wanted: &Wanted, revision: i64) -> Option<(Value, Vec<Arc<Stored>>)> {
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
        let begin = wanted.begin(target);
        if changes.is_empty() {
            return Some(wanted.page(target, revision, self.state.after(target, begin)));
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
        let mut objects: Vec<Arc<Stored>> = objects.into_values().collect();
        objects.sort_by(|one, other| in_order(place(one), place(other)));
        let begin = begin.map_or(0, |after| objects.partition_point(|stored| in_order(place(stored), after).is_le()));
        Some(wanted.page(target, revision, objects[begin..].iter()))
    }

    pub(super) fn do_list(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        let wanted = Wanted::of(target.kind, query)?;
        let current = self.state.revision;
        if let Some(version) = wanted.asked.filter(|version| *version > current) {
            return Err(Error::too_large(version, current));
        }
        let (metadata, items) = match self.state.page(target, &wanted) {
            Some(page) => page,
            None => match self.page_at(target, &wanted, wanted.revision(current)) {
                Some(page) => page,
                None => return Err(too_old(wanted.next.as_ref())),
            },
        };
        show_list(target, request, metadata, items, self.time())
    }
}

fn too_old(next: Option<&Continue>) -> Error {
    match next {
        None => Error::expired("The resourceVersion for the provided list is too old."),
        // The list may go on at the latest version, which this one stands for.
        Some(next) => Error::expired_page(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
             results. Continuing with the provided token results in an inconsistent list - objects that were created, \
             modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            Continue { revision: -1, after: next.after.clone() }.encode(),
        ),
    }
}
