//! Reads that are answered from a snapshot, beside the server and whatever it does.

use super::list::Wanted;
use super::query::Query;
use super::view::{show_list, show_stored};
use super::{Request, Response, Target, verbs};
use crate::{Snapshot, standing};
use kit_api::jiff::Timestamp;
use kit_apimachinery::resource::Resource;

impl Snapshot {
    /// The answer to a read, from this snapshot and as the server gives it; `now` is what ages are counted to. None where the
    /// server has to be asked: for what isn't there, for what was before this snapshot, for custom resources, and for all that
    /// is refused. Whether the reader may read it was decided before.
    pub fn read(&self, request: &Request<'_>, now: Timestamp) -> Option<Response> {
        if request.method != "GET" || self.stopped {
            return None;
        }
        let parts: Vec<&str> = request.path.trim_end_matches('/').split('/').skip(1).collect();
        let (api_version, rest) = match &parts[..] {
            ["api", version, rest @ ..] => (version.to_string(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let target = Target::of(Resource::all().iter(), &api_version, rest)?;
        if standing::stand(target.kind) {
            return None;
        }
        let verb = if target.name.is_some() { "get" } else { "list" };
        let query = Query::parse(request.query).ok()?;
        let versioned = verb == "get" && query.has("resourceVersion");
        if versioned || target.subresource.is_some() || !target.kind.resource().verbs.iter().any(|known| known == verb)
        {
            return None;
        }
        let answer = match verb {
            "get" => show_stored(&target, request, 200, self.get(&target.key())?, now),
            _ if query.flag("watch") => return None,
            _ => {
                let (metadata, items) = self.page(&target, &Wanted::of(target.kind, &query).ok()?)?;
                show_list(&target, request, metadata, items, now)
            }
        };
        Some(answer.ok()?.warn(verbs::deprecation(target.kind)))
    }
}
