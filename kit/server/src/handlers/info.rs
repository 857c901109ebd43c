//! What a request is about, as its method and path alone tell: authorization, limits, metrics and audit go by it.
//!
//! Source: `apiserver/pkg/endpoints/request/requestinfo.go`.

use super::query::Query;

/// What a request is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `get`, `list`, `watch`, `create` and so on; of a path that is no resource, the method in small letters.
    pub verb: String,
    /// Whether the path is that of a resource.
    pub is_resource: bool,
    /// The path.
    pub path: String,
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace; a namespace itself lies in its own.
    pub namespace: String,
    /// The resource.
    pub resource: String,
    /// The part of it.
    pub subresource: String,
    /// The name of the object; of a list, the one that a field selector asks for.
    pub name: String,
}

impl RequestInfo {
    /// Reads a request line.
    pub fn of(method: &str, path: &str, query: &str) -> RequestInfo {
        let plain = RequestInfo { verb: method.to_lowercase(), path: path.into(), ..RequestInfo::default() };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match *parts {
            ["api", version, ref rest @ ..] if !rest.is_empty() => ("", version, rest),
            ["apis", group, version, ref rest @ ..] if !rest.is_empty() => (group, version, rest),
            _ => return plain,
        };
        let verb = match method {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        };
        let mut info =
            RequestInfo { verb: verb.into(), is_resource: true, group: group.into(), version: version.into(), ..plain };
        // The older form of a watch.
        let (watched, rest) = match *rest {
            ["watch", ref rest @ ..] if !rest.is_empty() => (true, rest),
            _ => (false, rest),
        };
        let rest = match *rest {
            ["namespaces", namespace, ref more @ ..] => {
                info.namespace = namespace.into();
                match more {
                    [] | ["status" | "finalize", ..] => rest,
                    _ => more,
                }
            }
            _ => rest,
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_string();
        (info.resource, info.name, info.subresource) = (part(0), part(1), part(2));
        if watched {
            info.verb = "watch".into();
        } else if info.name.is_empty() && ["get", "delete"].contains(&verb) {
            let query = Query::parse(query).unwrap_or_default();
            info.name = name_of(query.get("fieldSelector")).unwrap_or_default();
            let many = match verb {
                "delete" => "deletecollection",
                _ if query.flag("watch") => "watch",
                _ => "list",
            };
            info.verb = many.into();
        }
        info
    }

    /// Whether the answer may take as long as it likes (`BasicLongRunningRequestCheck` with the flags of `kube-apiserver`).
    pub fn long_running(&self) -> bool {
        self.verb == "watch" || ["attach", "exec", "log", "portforward", "proxy"].contains(&self.subresource.as_str())
    }

    /// Whether it changes nothing (`nonMutatingRequestVerbs` of `apiserver/pkg/server/filters/maxinflight.go`).
    pub fn read_only(&self) -> bool {
        ["get", "list", "watch"].contains(&self.verb.as_str())
    }

    /// The resource with its part: `pods/log`.
    pub fn whole(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            part => format!("{}/{part}", self.resource),
        }
    }
}

/// The name that a field selector holds fast.
fn name_of(selector: &str) -> Option<String> {
    let terms = selector.split(',').filter_map(|term| term.split_once('=').filter(|(field, _)| !field.ends_with('!')));
    let mut names = terms.filter(|(field, _)| *field == "metadata.name");
    names.next().map(|(_, name)| name.trim_start_matches('=').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `requestinfo_test.go`: verb, group, version, namespace, resource with its part, name.
    #[test]
    fn request_lines_are_read() {
        let cases = [
            ("GET /api/v1/namespaces", "list  v1  namespaces "),
            ("GET /api/v1/namespaces/other", "get  v1 other namespaces other"),
            ("GET /api/v1/namespaces/other/pods", "list  v1 other pods "),
            ("GET /api/v1/namespaces/other/pods/foo", "get  v1 other pods foo"),
            ("HEAD /api/v1/namespaces/other/pods/foo", "get  v1 other pods foo"),
            ("GET /api/v1/pods", "list  v1  pods "),
            ("GET /api/v1/watch/namespaces/other/pods", "watch  v1 other pods "),
            ("GET /api/v1/pods?watch=false", "list  v1  pods "),
            ("GET /api/v1/pods?watch=1&fieldSelector=metadata.name%3Da", "watch  v1  pods a"),
            ("PUT /api/v1/namespaces/other/finalize", "update  v1 other namespaces/finalize other"),
            ("DELETE /apis/apps/v1/namespaces/other/deployments", "deletecollection apps v1 other deployments "),
            ("POST /api/v1/namespaces/other/pods/foo/exec", "create  v1 other pods/exec foo"),
        ];
        for (line, expected) in cases {
            let (method, rest) = line.split_once(' ').expect("a method and a path");
            let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
            let info = RequestInfo::of(method, path, query);
            let (verb, group, version) = (&info.verb, &info.group, &info.version);
            let got = format!("{verb} {group} {version} {} {} {}", info.namespace, info.whole(), info.name);
            assert_eq!(got, expected, "{line}");
            assert!(info.is_resource);
        }
        for path in ["/", "/healthz/ping", "/api", "/api/v1", "/apis/apps/v1", "/apis"] {
            let info = RequestInfo::of("GET", path, "");
            assert!(!info.is_resource && info.verb == "get" && info.path == path, "{info:?}");
        }
    }
}
