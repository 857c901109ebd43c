//! Plain reads, answered from the last snapshot without a word to the engine.

use crate::http::{JSON, response};
use crate::stream::Answer;
use hyper::Response;
use kit_apimachinery::object::{Key, Kind};
use kit_server::{Listing, Snapshot};

/// An object or a list, as the API server answers it: `/api/v1/pods`, `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME` and
/// so on. None for everything else, or what isn't there.
pub fn read(snapshot: &Snapshot, path: &str) -> Option<Response<Answer>> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (api_version, rest) = match &parts[..] {
        ["api", version, rest @ ..] => (version.to_string(), rest),
        ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return None,
    };
    let (namespace, plural, name) = match *rest {
        ["namespaces", namespace, plural] => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
        [plural] => (None, plural, None),
        [plural, name] => (None, plural, Some(name)),
        _ => return None,
    };
    let is = |kind: &&Kind| kind.plural() == plural && kind.api_version() == api_version;
    let &kind = Kind::ALL.iter().find(is)?;
    if namespace.is_some() != kind.namespaced() && (name.is_some() || namespace.is_some()) {
        return None;
    }
    let text = match name {
        None => Listing::of(snapshot, kind, namespace).to_text(),
        Some(name) => {
            let stored = snapshot.get(&Key::new(kind, namespace.unwrap_or_default(), name))?;
            format!("{}\n", stored.json())
        }
    };
    Some(response(200, JSON, Answer::text(text)))
}
