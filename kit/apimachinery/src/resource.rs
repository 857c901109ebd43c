//! What the API server serves: each resource with its kind, scope, names and subresources.
//!
//! The table is `resources.txt`; custom resources are added while the server runs.

use crate::object::Kind;
use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

/// One resource of the API.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Group and version, as `apiVersion:` has them.
    pub api_version: String,
    /// The kind of its objects.
    pub kind: String,
    /// As paths name it.
    pub plural: String,
    /// One of it.
    pub singular: String,
    /// Other names that clients may use.
    pub short_names: Vec<String>,
    /// Groups of resources that clients ask for at once, such as `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it, in alphabetical order.
    pub verbs: Vec<String>,
    /// Its subresources, in alphabetical order.
    pub subresources: Vec<Subresource>,
    /// Whether a CustomResourceDefinition made it.
    pub custom: bool,
    /// What that definition says of this version.
    pub definition: Option<Version>,
    /// Group and version in which its objects are kept, if it is another form of the objects of another resource.
    pub kept_as: Option<String>,
}

/// A part of a resource with a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of its path.
    pub name: String,
    /// The kind that it takes and gives.
    pub kind: String,
    /// Group and version of that kind, where they aren't those of the resource.
    pub group_version: Option<(String, String)>,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

/// What a definition says of one version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Version {
    /// The schema of its objects (`openAPIV3Schema`).
    pub schema: Value,
    /// `additionalPrinterColumns`.
    pub columns: Value,
    /// The paths of `subresources.scale`; null if there is none.
    pub scale: Value,
    /// The fields that selectors may name, besides the name and the namespace, as `spec.color`.
    pub selectable: Vec<String>,
}

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

static SERVED: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    let mut table = Vec::new();
    let mut api_version = "";
    for line in include_str!("resources.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once(' ') {
            None => api_version = line,
            Some(_) => table.push(row(api_version, line)),
        }
    }
    table
});

static TABLE: LazyLock<Vec<Resource>> =
    LazyLock::new(|| SERVED.iter().filter(|resource| resource.kept_as.is_none()).cloned().collect());

static BY_KIND: LazyLock<HashMap<Kind, &'static Resource>> = LazyLock::new(|| {
    let of =
        |kind: &Kind| Resource::all().iter().find(|r| r.kind == kind.name() && r.api_version == kind.api_version());
    Kind::ALL.iter().filter_map(|kind| Some((*kind, of(kind)?))).collect()
});

fn row(api_version: &str, line: &str) -> Resource {
    let words: Vec<&str> = line.split(' ').collect();
    let list = |word: &str| word.split(',').filter(|name| *name != "-").map(str::to_string).collect::<Vec<_>>();
    let mut verbs: Vec<String> = VERBS.iter().map(ToString::to_string).collect();
    let (mut subresources, mut kept_as) = (Vec::new(), None);
    for word in &words[6..] {
        match word.split_once('=') {
            Some(("only", only)) => verbs = list(only),
            Some(("as", other)) => kept_as = Some(other.to_string()),
            _ if *word == "nocollection" => verbs.retain(|verb| verb != "deletecollection"),
            _ => subresources.push(subresource(word, words[1])),
        }
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    Resource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: words[1].into(),
        plural: words[0].into(),
        singular: words[2].into(),
        short_names: list(words[3]),
        categories: list(words[4]),
        namespaced: words[5] == "ns",
        verbs,
        subresources,
        custom: false,
        definition: None,
        kept_as,
    }
}

fn subresource(word: &str, kind: &str) -> Subresource {
    let (head, letters) = word.rsplit_once('/').unwrap_or((word, ""));
    let (name, of) = head.split_once('=').unwrap_or((head, kind));
    let (kind, group_version) = of.split_once(':').map_or((of, None), |(kind, gv)| (kind, gv.split_once('/')));
    let full = |letter| VERBS.iter().find(|verb| verb.starts_with(letter)).map(ToString::to_string);
    Subresource {
        name: name.into(),
        kind: kind.into(),
        group_version: group_version.map(|(group, version)| (group.into(), version.into())),
        verbs: letters.chars().filter_map(full).collect(),
    }
}

impl Resource {
    /// All resources that Kubernetes has built in and that have objects of their own, group by group.
    pub fn all() -> &'static [Resource] {
        &TABLE
    }

    /// The same, and those that are other forms of their objects.
    pub fn served() -> &'static [Resource] {
        &SERVED
    }

    /// The resource of a kind that has a type here.
    pub fn of(kind: Kind) -> &'static Resource {
        BY_KIND[&kind]
    }

    /// The kind of its objects.
    pub fn as_kind(&'static self) -> Kind {
        let api_version = self.kept_as.as_ref().unwrap_or(&self.api_version);
        let is = |kind: &Kind| kind.name() == self.kind && kind.api_version() == api_version;
        Kind::ALL.iter().copied().find(is).unwrap_or(Kind::Other(self))
    }

    /// `api/v1`, `apis/apps/v1`: where paths of its group and version begin.
    pub fn root(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("{root}/{}", self.api_version)
    }

    /// Group and version of the kind that a subresource takes and gives.
    pub fn group_version_of<'a>(&'a self, sub: &'a Subresource) -> (&'a str, &'a str) {
        match &sub.group_version {
            Some((group, version)) => (group, version),
            None => (&self.group, &self.version),
        }
    }

    /// `deployments.apps`: the resource with its group, as messages name it.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Deployment.apps`: the kind with its group, as messages name it.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// A subresource by its name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Whether writes of the status are apart from writes of everything else.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// How the kind is stored, as discovery tells (`apiserver/pkg/endpoints/discovery/storageversionhash.go`).
    pub fn storage_version_hash(&self) -> String {
        let kept_as = self.kept_as.as_ref().unwrap_or(&self.api_version);
        let (group, version) = kept_as.rsplit_once('/').unwrap_or(("", kept_as));
        let digest = Sha256::digest(format!("{group}/{version}/{}", self.kind));
        base64::engine::general_purpose::STANDARD.encode(&digest[..8])
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Resource {}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.group, &self.plural, &self.version).cmp(&(&other.group, &other.plural, &other.version))
    }
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.group, &self.plural, &self.version).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_typed_kind_is_served() {
        for kind in Kind::ALL {
            let resource = kind.resource();
            assert_eq!((resource.as_kind(), resource.namespaced), (*kind, kind.namespaced()));
            assert_eq!((resource.plural.as_str(), resource.group.as_str()), (kind.plural(), kind.group()));
        }
    }

    #[test]
    fn storage_versions_are_those_of_kubernetes() {
        assert_eq!(Kind::Pod.resource().storage_version_hash(), "xPOwRZ+Yhw8=");
        assert_eq!(Kind::Deployment.resource().storage_version_hash(), "8aSe+NMegvE=");
        let first = Resource::served().iter().find(|resource| resource.api_version == "autoscaling/v1");
        assert_eq!(first.map(Resource::storage_version_hash).as_deref(), Some("qwQve8ut294="));
    }
}
