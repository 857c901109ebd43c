//! Who asks, and what they may do.
//!
//! A request goes through authentication, authorization and admission, in this order. Who sends no credentials inside of
//! the cluster's own process is its administrator; who sends a token is the service account that it was signed for
//! ([`tokens`]); who may impersonate others is held to what those may do. Everything else is RBAC ([`rbac`], with the
//! roles of [`roles`]), and can be asked for ([`review`]). All of it is answered from a [`Snapshot`], so that whoever
//! listens on a socket asks the same questions beside the engine. Sources:
//! `apiserver/pkg/endpoints/filters/{authentication,authorization,impersonation}.go`.

mod rbac;
mod review;
mod roles;
pub mod tokens;

use super::handlers::{Request, RequestInfo};
use super::{Error, Server, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokens::{ISSUER, Signer};

/// The group that may do everything, whatever roles say.
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const ANONYMOUS: &str = "system:anonymous";

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What tells the user from a later one of the same name; empty where nothing does.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else is known.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Somebody by name, in these groups.
    pub fn new(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(ToString::to_string).collect();
        User { name: name.into(), groups, ..User::default() }
    }

    /// Says in a request for a certificate who asks for it, whatever the request says (`csrStrategy.PrepareForCreate`).
    pub(crate) fn sign_request(&self, request: &mut Value) {
        let spec = crate::rules::map_in(request, "spec");
        ["username", "uid", "groups", "extra"].iter().for_each(|field| _ = spec.shift_remove(*field));
        let who = self.to_value();
        let said =
            who.as_object().into_iter().flatten().filter(|(_, value)| **value != json!("") && **value != json!([]));
        spec.extend(said.map(|(field, value)| (field.clone(), value.clone())));
    }

    /// The cluster's administrator.
    pub fn admin() -> User {
        User::new("kubernetes-admin", &[MASTERS, AUTHENTICATED])
    }

    /// Somebody without credentials.
    pub fn anonymous() -> User {
        User::new(ANONYMOUS, &["system:unauthenticated"])
    }

    /// The user that a service account is.
    pub(crate) fn account(namespace: &str, name: &str) -> User {
        let group = format!("system:serviceaccounts:{namespace}");
        let user = format!("system:serviceaccount:{namespace}:{name}");
        User::new(&user, &["system:serviceaccounts", &group, AUTHENTICATED])
    }

    /// Whether the user may do everything.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// `UserInfo` of `authentication/v1`.
    pub fn to_value(&self) -> Value {
        let mut value = json!({"username": self.name});
        if !self.uid.is_empty() {
            value["uid"] = self.uid.as_str().into();
        }
        value["groups"] = self.groups.clone().into();
        if !self.extra.is_empty() {
            value["extra"] = json!(self.extra);
        }
        value
    }
}

/// What a request says of who sends it.
pub struct Credentials<'a> {
    /// The user of the client's certificate, if it showed one.
    pub certificate: Option<&'a User>,
    /// Its headers.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Credentials<'_> {
    fn all(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(there, _)| there.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.to_string()).collect()
    }
}

/// What somebody wants to do.
pub(super) type Attempt = RequestInfo;

impl Snapshot {
    /// Says who sends a request. `now` is in seconds of the calendar.
    ///
    /// # Errors
    ///
    /// 401 if the token means nobody.
    pub fn authenticate(&self, credentials: &Credentials<'_>, signer: &dyn Signer, now: i64) -> Result<User, Error> {
        let sent = credentials.all("authorization");
        let bearer = sent.first().and_then(|value| {
            let (scheme, token) = value.trim().split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match (credentials.certificate, bearer) {
            (Some(user), _) => Ok(user.clone()),
            (None, Some(token)) => {
                let known = self.bearer(token, &[ISSUER.to_string()], signer, now);
                known.map(|(user, _)| user).map_err(|_| Error::unauthorized())
            }
            (None, None) => Ok(User::anonymous()),
        }
    }

    /// Says for whom a user acts, if for somebody else (`impersonation.go`).
    ///
    /// # Errors
    ///
    /// 403 if the user may not be somebody else.
    pub fn impersonated(&self, user: &User, credentials: &Credentials<'_>) -> Result<Option<User>, Error> {
        let one = |name: &str| credentials.all(name).into_iter().next().unwrap_or_default();
        let (name, uid, mut groups) =
            (one("impersonate-user"), one("impersonate-uid"), credentials.all("impersonate-group"));
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (header, value) in credentials.headers {
            let lower = header.to_lowercase();
            if let Some(key) = lower.strip_prefix("impersonate-extra-") {
                extra.entry(key.into()).or_default().push(value.to_string());
            }
        }
        if name.is_empty() {
            return match uid.is_empty() && groups.is_empty() && extra.is_empty() {
                true => Ok(None),
                false => Err(Error::internal("requested impersonation without impersonating a user")),
            };
        }
        let may = |attempt: Attempt| match self.allows(user, &attempt) {
            true => Ok(()),
            false => Err(forbidden(user, &attempt)),
        };
        let attempt = |group: &str, resource: &str, part: &str, name: &str| Attempt {
            verb: "impersonate".into(),
            is_resource: true,
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            subresource: part.into(),
            name: name.into(),
            ..Attempt::default()
        };
        let parts: Vec<&str> = name.split(':').collect();
        let account = match parts[..] {
            ["system", "serviceaccount", namespace, account] => Some(User::account(namespace, account)),
            _ => None,
        };
        match parts[..] {
            ["system", "serviceaccount", namespace, account] => {
                may(Attempt { namespace: namespace.into(), ..attempt("", "serviceaccounts", "", account) })?;
            }
            _ => may(attempt("", "users", "", &name))?,
        }
        for group in &groups {
            may(attempt("", "groups", "", group))?;
        }
        for (key, values) in &extra {
            for value in values {
                may(attempt("authentication.k8s.io", "userextras", key, value))?;
            }
        }
        if !uid.is_empty() {
            may(attempt("authentication.k8s.io", "uids", "", &uid))?;
        }
        if let (Some(account), true) = (account, groups.is_empty()) {
            return Ok(Some(User { uid, extra, ..account }));
        }
        let known = ["system:authenticated", "system:unauthenticated"];
        if name == ANONYMOUS && !groups.iter().any(|group| known.contains(&group.as_str())) {
            groups.push("system:unauthenticated".into());
        } else if name != ANONYMOUS && !groups.iter().any(|group| known.contains(&group.as_str())) {
            groups.push(AUTHENTICATED.into());
        }
        Ok(Some(User { name, uid, groups, extra }))
    }

    /// Says why a user may do what a request asks for; nothing of those who may do everything.
    ///
    /// # Errors
    ///
    /// 403, in the authorizer's words.
    pub fn authorize(&self, user: &User, attempt: &RequestInfo) -> Result<String, Error> {
        if user.is_master() {
            return Ok(String::new());
        }
        self.why_allowed(user, attempt).ok_or_else(|| forbidden(user, attempt))
    }
}

impl Server {
    /// Says for whom a request is done. Whoever listens on a socket has found that out already; what comes without
    /// credentials from inside of this process is the administrator's.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::authenticate`] and [`Snapshot::impersonated`] have them.
    pub(super) fn authenticate(&self, request: &Request<'_>) -> Result<User, Error> {
        let admin = User::admin();
        let bare = request.header("authorization").is_none();
        let certificate = request.user.or(bare.then_some(&admin));
        let credentials = Credentials { certificate, headers: request.headers };
        let user = self.state.authenticate(&credentials, &*self.signer, self.time().as_second())?;
        Ok(self.state.impersonated(&user, &credentials)?.unwrap_or(user))
    }
}

/// The refusal, in the authorizer's words (`responsewriters/errors.go`).
fn forbidden(user: &User, attempt: &Attempt) -> Error {
    if !attempt.is_resource {
        let message = format!("forbidden: User {:?} cannot {} path {:?}", user.name, attempt.verb, attempt.path);
        return Error::refused(message);
    }
    let place = match attempt.namespace.as_str() {
        "" => " at the cluster scope".to_string(),
        namespace => format!(" in the namespace {namespace:?}"),
    };
    let qualified = match attempt.group.as_str() {
        "" => attempt.resource.clone(),
        group => format!("{}.{group}", attempt.resource),
    };
    let head = if attempt.name.is_empty() { qualified } else { format!("{qualified} {:?}", attempt.name) };
    let (whole, group) = (attempt.whole(), &attempt.group);
    let message = format!(
        "{head} is forbidden: User {:?} cannot {} resource {whole:?} in API group {group:?}{place}",
        user.name, attempt.verb
    );
    Error::denied(group, &attempt.resource, &attempt.name, message)
}
