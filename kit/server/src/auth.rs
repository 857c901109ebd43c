//! Who asks, and what they may do.
//!
//! A request goes through authentication, authorization and admission, in this order. Who sends no credentials is the
//! cluster's administrator, for a cluster on loopback has nobody else; who sends a token is the service account that it
//! was made for; who may impersonate others is held to what those may do. Everything else is RBAC. Sources:
//! `apiserver/pkg/endpoints/filters/{authentication,authorization,impersonation}.go`,
//! `plugin/pkg/auth/authorizer/rbac/rbac.go`, `pkg/registry/rbac/validation/rule.go`,
//! `pkg/registry/core/serviceaccount/storage/token.go`.

use super::handlers::Request;
use super::{Error, Server};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// The group that may do everything, whatever roles say.
const MASTERS: &str = "system:masters";
/// How long a token is good that doesn't say, in seconds.
const TOKEN_SECONDS: i64 = 3600;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl User {
    fn new(name: &str, groups: &[&str]) -> User {
        User { name: name.into(), groups: groups.iter().map(ToString::to_string).collect() }
    }

    fn admin() -> User {
        User::new("kubernetes-admin", &[MASTERS, "system:authenticated"])
    }

    /// The user that a service account is.
    fn account(namespace: &str, name: &str) -> User {
        let group = format!("system:serviceaccounts:{namespace}");
        let user = format!("system:serviceaccount:{namespace}:{name}");
        User::new(&user, &["system:serviceaccounts", &group, "system:authenticated"])
    }
}

/// A token of a service account.
#[derive(Debug, Clone)]
pub(super) struct Token {
    account: Key,
    uid: String,
    until: Instant,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// A path that is no resource, such as `/healthz`.
    pub path: &'a str,
}

impl Server {
    /// Says who sends a request.
    ///
    /// # Errors
    ///
    /// 401 if the token means nobody, 403 if the user may not be somebody else.
    pub(super) fn authenticate(&self, request: &Request<'_>) -> Result<User, Error> {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let user = match (request.user, bearer) {
            (Some(user), _) => user.clone(),
            (None, None) => User::admin(),
            (None, Some(token)) => self.bearer(token.trim()).ok_or_else(Error::unauthorized)?,
        };
        let Some(other) = request.header("impersonate-user") else { return Ok(user) };
        let attempt = Attempt { verb: "impersonate", resource: "users", name: other, ..Attempt::default() };
        if !self.allows(&user, &attempt) {
            return Err(forbidden(&user, &attempt, None));
        }
        let mut groups: Vec<String> = request
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("impersonate-group"))
            .map(|(_, group)| group.to_string())
            .collect();
        let account: Vec<&str> = other.split(':').collect();
        if let (["system", "serviceaccount", namespace, name], true) = (&account[..], groups.is_empty()) {
            return Ok(User::account(namespace, name));
        }
        groups.push("system:authenticated".into());
        Ok(User { name: other.into(), groups })
    }

    fn bearer(&self, token: &str) -> Option<User> {
        let known = self.tokens.get(token).filter(|known| self.now < known.until)?;
        // A token dies with the account that it was made for.
        let account = self.get(&known.account).ok()?;
        (account.object.uid() == known.uid).then(|| User::account(&known.account.namespace, &known.account.name))
    }

    /// Whether roles allow it.
    pub(super) fn allows(&self, user: &User, attempt: &Attempt<'_>) -> bool {
        if user.groups.iter().any(|group| group == MASTERS) {
            return true;
        }
        // Everybody may ask what they may do, and what there is (`system:basic-user`, `system:discovery`).
        let review = attempt.verb == "create"
            && attempt.group.ends_with(".k8s.io")
            && attempt.resource.starts_with("selfsubject");
        if review || (attempt.resource.is_empty() && attempt.verb == "get") {
            return true;
        }
        self.rules_for(user, attempt.namespace).iter().any(|rule| covers(rule, attempt))
    }

    /// All rules that bindings give a user, in a namespace and in the whole cluster.
    pub(super) fn rules_for(&self, user: &User, namespace: &str) -> Vec<Value> {
        let Some((bindings, roles)) = find("ClusterRoleBinding").zip(find("ClusterRole")) else { return Vec::new() };
        let Some((local, local_roles)) = find("RoleBinding").zip(find("Role")) else { return Vec::new() };
        let cluster = self.state.list(bindings).map(|stored| ("", stored));
        let here = self.state.list_in(local, namespace).map(|stored| (namespace, stored));
        let mut rules = Vec::new();
        for (namespace, stored) in cluster.chain(here.filter(|_| !namespace.is_empty())) {
            let binding = stored.to_value();
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            if !subjects.into_iter().any(|subject| is_subject(user, subject, namespace)) {
                continue;
            }
            let role = &binding["roleRef"];
            let (kind, at) = if role["kind"] == "Role" { (local_roles, namespace) } else { (roles, "") };
            let key = Key::new(kind, at, role["name"].as_str().unwrap_or_default());
            if let Ok(role) = self.get(&key) {
                rules.extend(role.to_value()["rules"].as_array().cloned().unwrap_or_default());
            }
        }
        rules
    }

    /// Makes a token for a service account (`TokenRequest`).
    ///
    /// It has the form of a signed token and can be read as one, but what stands for the signature is a random number:
    /// the server knows its tokens by heart.
    pub(super) fn make_token(&mut self, account: &Key, asked: &Value) -> Result<Value, Error> {
        let uid = self.get(account)?.object.uid().to_string();
        let seconds = asked["spec"]["expirationSeconds"].as_i64().unwrap_or(TOKEN_SECONDS);
        let audiences = match asked["spec"]["audiences"].as_array() {
            Some(audiences) if !audiences.is_empty() => audiences.clone(),
            _ => vec!["https://kubernetes.default.svc.cluster.local".into()],
        };
        let (now, until) = (self.time().as_second(), self.now + Instant::seconds(seconds));
        let claims = json!({
            "aud": audiences, "exp": now + seconds, "iat": now, "nbf": now,
            "iss": "https://kubernetes.default.svc.cluster.local",
            "kubernetes.io": {"namespace": *account.namespace, "serviceaccount": {"name": *account.name, "uid": uid}},
            "sub": format!("system:serviceaccount:{}:{}", account.namespace, account.name),
        });
        let random = self.draw(&account.path(), "token");
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "none", "kid": ""});
        let token = format!("{}.{}.{random:016x}", part(&header), part(&claims));
        self.tokens.insert(token.clone(), Token { account: account.clone(), uid, until });
        let expires = kit_api::jiff::Timestamp::from_second(now + seconds).map(|at| at.to_string()).unwrap_or_default();
        let mut answer = json!({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": *account.name, "namespace": *account.namespace, "creationTimestamp": self.stamp()},
            "status": {"token": token, "expirationTimestamp": expires},
        });
        answer["spec"] = json!({
            "audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": asked["spec"]["boundObjectRef"],
        });
        Ok(answer)
    }

    /// The answer to a review; none if the object is one to be stored (`pkg/registry/{authorization,authentication}`).
    pub(super) fn review(&self, kind: Kind, value: &Value, user: &User) -> Option<Value> {
        let mut answer = value.clone();
        let spec = &value["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        match kind.name() {
            "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                let user = match kind.name() {
                    "SelfSubjectAccessReview" => user.clone(),
                    _ => User { name: text(&spec["user"]), groups: list(&spec["groups"]) },
                };
                let at = &spec["resourceAttributes"];
                let field = |name: &str| text(&at[name]);
                let (verb, group, resource, sub) =
                    (field("verb"), field("group"), field("resource"), field("subresource"));
                let (namespace, name, path) =
                    (field("namespace"), field("name"), text(&spec["nonResourceAttributes"]["path"]));
                let verb = if path.is_empty() { verb } else { text(&spec["nonResourceAttributes"]["verb"]) };
                let attempt = Attempt {
                    verb: &verb,
                    group: &group,
                    resource: &resource,
                    subresource: &sub,
                    namespace: &namespace,
                    name: &name,
                    path: &path,
                };
                answer["status"] = json!({"allowed": self.allows(&user, &attempt)});
            }
            "SelfSubjectRulesReview" => {
                let mut rules = self.rules_for(user, &text(&spec["namespace"]));
                if user.groups.iter().any(|group| group == MASTERS) {
                    rules.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
                    rules.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
                }
                let (urls, resources): (Vec<Value>, Vec<Value>) =
                    rules.into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
                answer["status"] = json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false});
            }
            "SelfSubjectReview" => {
                answer["status"] = json!({"userInfo": {"username": user.name, "groups": user.groups}});
            }
            "TokenReview" => {
                answer["status"] = match self.bearer(&text(&spec["token"])) {
                    Some(user) => {
                        json!({"authenticated": true, "user": {"username": user.name, "groups": user.groups}})
                    }
                    None => json!({"user": {}, "error": "invalid bearer token"}),
                };
            }
            _ => return None,
        }
        Some(answer)
    }
}

fn find(kind: &str) -> Option<Kind> {
    Resource::all().iter().find(|resource| resource.kind == kind).map(Resource::as_kind)
}

fn is_subject(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => name == "*" || name == user.name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or(namespace);
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

/// `rbacv1helpers`: whether a rule allows an attempt.
fn covers(rule: &Value, attempt: &Attempt<'_>) -> bool {
    let has = |field: &str, wanted: &str| {
        rule[field].as_array().is_some_and(|list| list.iter().any(|value| *value == "*" || *value == wanted))
    };
    if !has("verbs", attempt.verb) {
        return false;
    }
    if !attempt.path.is_empty() {
        let matches = |url: &str| match url.strip_suffix('*') {
            Some(prefix) => attempt.path.starts_with(prefix),
            None => url == attempt.path,
        };
        return rule["nonResourceURLs"]
            .as_array()
            .is_some_and(|urls| urls.iter().filter_map(Value::as_str).any(matches));
    }
    let whole = match attempt.subresource {
        "" => attempt.resource.to_string(),
        sub => format!("{}/{sub}", attempt.resource),
    };
    let resource = rule["resources"].as_array().is_some_and(|list| {
        list.iter().any(|value| {
            *value == "*"
                || *value == whole.as_str()
                || (!attempt.subresource.is_empty() && *value == format!("*/{}", attempt.subresource))
        })
    });
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    has("apiGroups", attempt.group)
        && resource
        && names.is_none_or(|names| names.iter().any(|name| name == attempt.name))
}

/// The refusal, in the authorizer's words (`responsewriters/errors.go`).
pub(super) fn forbidden(user: &User, attempt: &Attempt<'_>, resource: Option<&Resource>) -> Error {
    let whole = match attempt.subresource {
        "" => attempt.resource.to_string(),
        sub => format!("{}/{sub}", attempt.resource),
    };
    let place = match attempt.namespace {
        "" => " at the cluster scope".to_string(),
        namespace => format!(" in the namespace {namespace:?}"),
    };
    let qualified = match attempt.group {
        "" => attempt.resource.to_string(),
        group => format!("{}.{group}", attempt.resource),
    };
    let head = if attempt.name.is_empty() { qualified } else { format!("{qualified} {:?}", attempt.name) };
    let message = format!(
        "{head} is forbidden: User {:?} cannot {} resource {whole:?} in API group {:?}{place}",
        user.name, attempt.verb, attempt.group
    );
    match resource {
        Some(resource) => Error::denied(resource, attempt.name, message),
        None => Error::refused(message),
    }
}
