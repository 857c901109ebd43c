//! Tokens of service accounts: claims that the cluster signs, and believes as long as what they are bound to is there.
//!
//! The server makes and reads claims; signing them is left to a [`Signer`], so that nothing here draws keys. Sources:
//! `pkg/registry/core/serviceaccount/storage/token.go`, `pkg/serviceaccount/{claims,legacy,jwt}.go`,
//! `pkg/apis/authentication/validation/validation.go`.

use super::User;
use crate::field::{At, Errors};
use crate::{Error, Server, Snapshot};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{Key, Kind};
use kit_time::random::{Purpose, Random};
use serde_json::{Map, Value, json};

/// Who signs tokens, and for whom they are by default.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Who signed the tokens in Secrets (`LegacyIssuer`).
const LEGACY: &str = "kubernetes/serviceaccount";
/// How long a token is good that doesn't say, in seconds.
const TOKEN_SECONDS: i64 = 3600;
/// The shortest and the longest life of a token, in seconds.
const BOUNDS: (i64, i64) = (600, 1 << 32);
/// Clocks may differ by so many seconds (`jwt.DefaultLeeway`).
const LEEWAY: i64 = 60;
/// A token of a pod that asks for this life gets a year, for clients that never read it again
/// (`WarnOnlyBoundTokenExpirationSeconds`, `ExpirationExtensionSeconds`).
const EXTENDED: (i64, i64) = (3607, 365 * 24 * 3600);

/// Signs claims, and knows its own signature again.
pub trait Signer: Send + Sync {
    /// The token of these claims, a JSON object. None if it can't sign.
    fn sign(&self, claims: &Value) -> Option<String>;
    /// The claims of a token that it signed; none of any other.
    fn verify(&self, token: &str) -> Option<Value>;
    /// The public keys, as a JSON Web Key Set (RFC 7517).
    fn keys(&self) -> Value;
    /// The algorithms of its signatures (RFC 7518).
    fn algorithms(&self) -> &'static [&'static str];
}

/// A signer without keys, for clusters that nobody reaches from outside: it seals claims with what the seed gives.
pub struct Seal(Random);

impl Seal {
    /// The seal of a cluster.
    pub fn new(random: Random) -> Seal {
        Seal(random)
    }

    fn of(&self, text: &str) -> String {
        let purpose = Purpose { component: "apiserver", object: text, reason: "token", attempt: 0 };
        format!("{:016x}", self.0.bits(purpose))
    }
}

impl Signer for Seal {
    fn sign(&self, claims: &Value) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "none", "kid": ""})), part(claims));
        Some(format!("{signed}.{}", self.of(&signed)))
    }

    fn verify(&self, token: &str) -> Option<Value> {
        let (signed, seal) = token.rsplit_once('.')?;
        let (_, claims) = signed.split_once('.')?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok().filter(|_| self.of(signed) == seal)?;
        serde_json::from_slice(&claims).ok()
    }

    fn keys(&self) -> Value {
        json!({"keys": []})
    }

    fn algorithms(&self) -> &'static [&'static str] {
        &["none"]
    }
}

impl Snapshot {
    /// The user of a token and for which of these audiences it is good; an error says why it isn't, and nothing of a token
    /// that the cluster never signed. `now` is in seconds of the calendar.
    pub(super) fn bearer(
        &self,
        token: &str,
        audiences: &[String],
        signer: &dyn Signer,
        now: i64,
    ) -> Result<(User, Vec<String>), String> {
        let claims = signer.verify(token).ok_or_else(String::new)?;
        match claims["iss"].as_str() {
            Some(ISSUER) => {
                let own: Vec<String> = claims["aud"].as_array().into_iter().flatten().map(text).collect();
                let shared: Vec<String> = own.iter().filter(|own| audiences.contains(own)).cloned().collect();
                if shared.is_empty() {
                    let list =
                        |list: &[String]| list.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(" ");
                    let (own, asked) = (list(&own), list(audiences));
                    return Err(format!("token audiences [{own}] is invalid for the target audiences [{asked}]"));
                }
                self.bound(&claims, now).map(|user| (user, shared))
            }
            // A token in a Secret is good for the API server alone.
            Some(LEGACY) if audiences.iter().any(|audience| audience == ISSUER) => {
                self.in_secret(&claims, token, now).map(|user| (user, vec![ISSUER.into()]))
            }
            _ => Err(String::new()),
        }
    }

    /// The user of claims that are bound to objects (`claims.go`).
    fn bound(&self, claims: &Value, now: i64) -> Result<User, String> {
        if claims["exp"].as_i64().is_none_or(|until| now > until + LEEWAY) {
            return Err("service account token has expired".into());
        }
        if claims["nbf"].as_i64().is_some_and(|from| now + LEEWAY < from) {
            return Err("service account token is not valid yet".into());
        }
        let private = &claims["kubernetes.io"];
        let (namespace, account) = (text(&private["namespace"]), text(&private["serviceaccount"]["name"]));
        self.account(&namespace, &account, &text(&private["serviceaccount"]["uid"]), now)?;
        let mut user = User::account(&namespace, &account);
        user.uid = text(&private["serviceaccount"]["uid"]);
        let mut add = |key: &str, value: String| {
            if !value.is_empty() {
                user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
            }
        };
        for (field, kind) in [("secret", Kind::Secret), ("pod", Kind::Pod), ("node", Kind::Node)] {
            let (name, uid) = (text(&private[field]["name"]), text(&private[field]["uid"]));
            if name.is_empty() {
                continue;
            }
            // The node of a pod is only told: the pod lives and dies with it.
            if field != "node" || private["pod"].is_null() {
                let at = if kind == Kind::Node { "" } else { namespace.as_str() };
                let there = self.living(&Key::new(kind, at, &name), now);
                let there = there.ok_or("service account token has been invalidated")?;
                if there != uid {
                    let reference = if field == "secret" { "service account secret" } else { "service account pod" };
                    let reference = if field == "node" { "service account node" } else { reference };
                    let what = if field == "secret" { "secret" } else { field };
                    return Err(format!("{what} UID ({there}) does not match {reference} ref claim ({uid})"));
                }
            }
            if field != "secret" {
                add(&format!("{field}-name"), name);
                add(&format!("{field}-uid"), uid);
            }
        }
        match text(&claims["jti"]).as_str() {
            "" => {}
            id => add("credential-id", format!("JTI={id}")),
        }
        Ok(user)
    }

    /// The user of a token that lies in a Secret (`legacy.go`).
    fn in_secret(&self, claims: &Value, token: &str, now: i64) -> Result<User, String> {
        let claim = |name: &str| text(&claims[format!("kubernetes.io/serviceaccount/{name}")]);
        let (namespace, account) = (claim("namespace"), claim("service-account.name"));
        let user = User::account(&namespace, &account);
        if text(&claims["sub"]) != user.name {
            return Err(format!("sub claim is not {:?}", user.name));
        }
        let key = Key::new(Kind::Secret, &namespace, &claim("secret.name"));
        self.living(&key, now).ok_or("service account token has been invalidated")?;
        let secret = self.get(&key).map(|stored| stored.to_value()).unwrap_or_default();
        let there = STANDARD.decode(text(&secret["data"]["token"])).unwrap_or_default();
        if there != token.as_bytes() {
            return Err("service account token does not match server's copy".into());
        }
        let uid = claim("service-account.uid");
        self.account(&namespace, &account, &uid, now)?;
        Ok(User { uid, ..user })
    }

    /// Whether an account is there and still the same.
    fn account(&self, namespace: &str, name: &str, uid: &str, now: i64) -> Result<(), String> {
        let key = Key::new(Kind::ServiceAccount, namespace, name);
        if self.get(&key).is_none() {
            return Err(format!("serviceaccounts {name:?} not found"));
        }
        let there = self.living(&key, now);
        let there = there.ok_or_else(|| format!("service account {namespace}/{name} has been deleted"))?;
        match there == uid {
            true => Ok(()),
            false => Err(format!("service account UID ({there}) does not match claim ({uid})")),
        }
    }

    /// The uid of an object that is there, and not long past its end.
    fn living(&self, key: &Key, now: i64) -> Option<String> {
        let object = &self.get(key)?.object;
        let ended = object.meta().deletion_timestamp.as_ref().map(|at| at.0.as_second());
        ended.is_none_or(|ended| ended >= now - LEEWAY).then(|| object.uid().to_string())
    }
}

impl Server {
    /// Answers a `TokenRequest`.
    pub(crate) fn make_token(&mut self, account: &Key, asked: &Value) -> Result<Value, Error> {
        let id = self.uid(account);
        self.token(account, asked, &id)
    }

    /// The token in a volume of a pod, as its kubelet asks for it; `source` is the `serviceAccountToken` of the volume
    /// (`pkg/volume/projected/projected.go`).
    ///
    /// # Errors
    ///
    /// If the pod's account isn't there, or nothing can be signed.
    pub fn token_of_pod(&self, pod: &Value, source: &Value) -> Result<String, Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let (metadata, name) = (&pod["metadata"], text(&pod["spec"]["serviceAccountName"]));
        let kind = self.kind_of("v1", "ServiceAccount").ok_or_else(Error::no_resource)?;
        let audiences: Vec<&Value> =
            [&source["audience"]].into_iter().filter(|audience| audience.is_string()).collect();
        let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]});
        let asked = json!({"spec": {
            "audiences": audiences, "expirationSeconds": source["expirationSeconds"], "boundObjectRef": reference,
        }});
        let account = Key::new(kind, &text(&metadata["namespace"]), &name);
        self.token(&account, &asked, &text(&metadata["uid"])).map(|made| text(&made["status"]["token"]))
    }

    fn token(&self, account: &Key, asked: &Value, id: &str) -> Result<Value, Error> {
        const MUST: &str = "must match the service account";
        let kind = |errors: Errors| match errors.0.is_empty() {
            true => Ok(()),
            false => Err(Error::invalid("authentication.k8s.io", "TokenRequest", "", errors.0)),
        };
        let root = At::root(asked);
        let mut errors = Errors::default();
        for (field, own) in [("name", &account.name), ("namespace", &account.namespace)] {
            let at = root.at(&format!("metadata.{field}"));
            if !at.text().is_empty() && *at.text() != **own {
                errors.invalid(&at, &format!("{MUST} {field} if specified"));
            }
        }
        kind(errors)?;
        let at = root.at("spec.expirationSeconds");
        let seconds = at.int().unwrap_or(TOKEN_SECONDS);
        let mut errors = Errors::default();
        if seconds < BOUNDS.0 {
            errors.invalid(&at, "may not specify a duration less than 10 minutes");
        } else if seconds > BOUNDS.1 {
            errors.invalid(&at, "may not specify a duration larger than 2^32 seconds");
        }
        kind(errors)?;
        let uid = self.get(account)?.object.uid().to_string();
        let mut private = json!({
            "namespace": *account.namespace, "serviceaccount": {"name": *account.name, "uid": uid},
        });
        let reference = &asked["spec"]["boundObjectRef"];
        let of_pod = self.bind_to(account, reference, &mut private)?;
        let audiences = match asked["spec"]["audiences"].as_array() {
            Some(audiences) if !audiences.is_empty() => audiences.clone(),
            _ => vec![ISSUER.into()],
        };
        let now = self.time().as_second();
        let extended = of_pod && seconds == EXTENDED.0 && audiences == [Value::from(ISSUER)];
        if extended {
            private["warnafter"] = (now + seconds).into();
        }
        let ends = now + if extended { EXTENDED.1 } else { seconds };
        let claims = json!({
            "aud": audiences, "exp": ends, "iat": now, "iss": ISSUER, "jti": id,
            "kubernetes.io": sorted(&private), "nbf": now,
            "sub": User::account(&account.namespace, &account.name).name,
        });
        let token = self.sign(&claims)?;
        let expires = Timestamp::from_second(now + seconds).map(|at| at.to_string()).unwrap_or_default();
        let mut spec = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null});
        if reference.is_object() {
            spec["boundObjectRef"] = reference.clone();
        }
        Ok(json!({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": *account.name, "namespace": *account.namespace, "creationTimestamp": self.stamp()},
            "spec": spec, "status": {"token": token, "expirationTimestamp": expires},
        }))
    }

    /// Puts the object that a token is to live with into its claims; `true` if that is a pod.
    fn bind_to(&self, account: &Key, reference: &Value, private: &mut Value) -> Result<bool, Error> {
        if !reference.is_object() {
            return Ok(false);
        }
        let field = |name: &str| text(&reference[name]);
        let (version, kind, name, wanted) = (field("apiVersion"), field("kind"), field("name"), field("uid"));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let (bound, at) = match (group, kind.as_str()) {
            ("", "Pod") => (Kind::Pod, &*account.namespace),
            ("", "Secret") => (Kind::Secret, &*account.namespace),
            ("", "Node") => (Kind::Node, ""),
            _ => {
                let message = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
                return Err(Error::bad_request(message));
            }
        };
        let there = self.get(&Key::new(bound, at, &name))?.to_value();
        let uid = text(&there["metadata"]["uid"]);
        private[kind.to_lowercase()] = json!({"name": name, "uid": uid});
        if bound == Kind::Pod {
            let own = text(&there["spec"]["serviceAccountName"]);
            if own != *account.name {
                return Err(Error::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    &*account.name
                )));
            }
            let node = text(&there["spec"]["nodeName"]);
            if !node.is_empty() {
                private["node"] = json!({"name": node});
                if let Ok(node) = self.get(&Key::new(Kind::Node, "", &node)) {
                    private["node"]["uid"] = node.object.uid().into();
                }
            }
        }
        if !wanted.is_empty() && wanted != uid {
            let why = format!(
                "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have \
                 been deleted and then recreated"
            );
            return Err(Error::conflict_on(&kind, &name, &why));
        }
        Ok(bound == Kind::Pod)
    }

    /// A token for a Secret: it has no end of its own, and is good as long as it lies there (`LegacyClaims`).
    ///
    /// # Errors
    ///
    /// If it can't be signed.
    pub fn token_for_secret(&self, account: &Key, uid: &str, secret: &str) -> Result<String, Error> {
        let claim = |name: &str| format!("kubernetes.io/serviceaccount/{name}");
        let sub = User::account(&account.namespace, &account.name).name;
        let claims = json!({
            "iss": LEGACY, claim("namespace"): *account.namespace, claim("secret.name"): secret,
            claim("service-account.name"): *account.name, claim("service-account.uid"): uid, "sub": sub,
        });
        self.sign(&claims)
    }

    fn sign(&self, claims: &Value) -> Result<String, Error> {
        self.signer.sign(claims).ok_or_else(|| Error::internal("failed to generate token"))
    }
}

fn text(value: impl std::borrow::Borrow<Value>) -> String {
    value.borrow().as_str().unwrap_or_default().to_string()
}

fn sorted(value: &Value) -> Value {
    let mut fields: Vec<_> = value.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}
