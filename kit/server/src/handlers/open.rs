//! Paths that are no resources: health, the version, and where the keys of tokens are found.
//!
//! Sources: `apiserver/pkg/server/healthz/healthz.go`, `pkg/serviceaccount/openidmetadata.go`.

use super::query::Query;
use super::{Body, JSON, Request, Response, discovery};
use crate::{ISSUER, Server};
use serde_json::json;

impl Server {
    /// The answer to such a path; none if it is something else's.
    pub(super) fn open_path(&self, parts: &[&str], request: &Request<'_>) -> Option<Response> {
        let media = |content_type, value: serde_json::Value| Response {
            code: 200,
            content_type,
            warnings: Vec::new(),
            body: Body::Text(value.to_string()),
        };
        match *parts {
            [name @ ("healthz" | "livez" | "readyz"), ref check @ ..] => Some(self.health(name, check, request)),
            // Not the encoder of objects writes it, but `WriteRawJSON` of `responsewriters/writers.go`.
            ["version"] => Some(Response {
                content_type: JSON,
                ..Response::text(200, &serde_json::to_string_pretty(&discovery::version()).unwrap_or_default())
            }),
            [".well-known", "openid-configuration"] => {
                let host = request.header("host").unwrap_or("kubernetes.default.svc.cluster.local");
                Some(media(
                    JSON,
                    json!({
                        "issuer": ISSUER, "jwks_uri": format!("https://{host}/openid/v1/jwks"),
                        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": self.signer.algorithms(),
                    }),
                ))
            }
            ["openid", "v1", "jwks"] => Some(media("application/jwk-set+json", self.signer.keys())),
            _ => None,
        }
    }

    /// All checks of `/healthz`, `/livez` or `/readyz`, or one of them.
    fn health(&self, endpoint: &str, check: &[&str], request: &Request<'_>) -> Response {
        let etcd = self.outage().is_none();
        let mut checks = vec![("ping", true), ("log", true), ("etcd", etcd)];
        if endpoint == "readyz" {
            checks.extend([("etcd-readiness", etcd), ("informer-sync", true)]);
        }
        checks.push(("poststarthook/rbac/bootstrap-roles", true));
        checks.push(("poststarthook/scheduling/bootstrap-system-priority-classes", true));
        if endpoint == "readyz" {
            checks.push(("shutdown", true));
        }
        let named = check.join("/");
        if !named.is_empty() {
            return match checks.iter().find(|(name, _)| *name == named) {
                Some((_, true)) => Response::text(200, "ok"),
                Some((_, false)) => Response::text(500, "internal server error: reason withheld\n"),
                None => Response::text(404, "404 page not found\n"),
            };
        }
        let query = Query::parse(request.query).unwrap_or_default();
        let mut excluded: Vec<&str> = query.all("exclude").collect();
        let (mut text, mut fine) = (String::new(), true);
        for (name, holds) in checks {
            let before = excluded.len();
            excluded.retain(|excluded| *excluded != name);
            text += &match (before == excluded.len(), holds) {
                (false, _) => format!("[+]{name} excluded: ok\n"),
                (true, true) => format!("[+]{name} ok\n"),
                (true, false) => format!("[-]{name} failed: reason withheld\n"),
            };
            fine &= holds || before != excluded.len();
        }
        if !excluded.is_empty() {
            let named: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
            text += &format!("warn: some health checks cannot be excluded: no matches for {}\n", named.join(", "));
        }
        match (fine, query.has("verbose")) {
            (false, _) => Response::text(500, &format!("{text}{endpoint} check failed\n")),
            (true, true) => Response::text(200, &format!("{text}{endpoint} check passed\n")),
            (true, false) => Response::text(200, "ok"),
        }
    }
}
