//! The container runtime below a kubelet, as somebody outside sees it: containerd or CRI-O.
//!
//! They do the same, and say it in other words. Errors of both come to the kubelet over gRPC, where those of the code `Unknown` lose
//! that word (`PullImage` of `cri-client/pkg/remote_image.go`).

use super::image::Reference;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use std::str::FromStr;

/// Which runtime it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// containerd 2.1.
    #[default]
    Containerd,
    /// CRI-O 1.33.
    CriO,
}

/// Why an image can't be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The registry has none of this name and version.
    NotFound,
    /// The registry wants to know who asks.
    Unauthorized,
    /// Too much was pulled from it.
    TooManyRequests,
    /// Nothing answers at its address.
    Unreachable,
    /// Nobody knows its address.
    UnknownHost,
    /// The image is for machines of another architecture.
    OtherArchitecture,
}

/// What Docker Hub says to those who pull too much.
const LIMIT: &str = "toomanyrequests: You have reached your unauthenticated pull rate limit. \
                     https://www.docker.com/increase-rate-limit";

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Runtime, String> {
        match text {
            "containerd" => Ok(Runtime::Containerd),
            "cri-o" => Ok(Runtime::CriO),
            _ => Err("there are `containerd` and `cri-o`".into()),
        }
    }
}

impl Runtime {
    /// What the runtime is called in ids of containers.
    pub fn scheme(self) -> &'static str {
        match self {
            Runtime::Containerd => "containerd",
            Runtime::CriO => "cri-o",
        }
    }

    /// `containerRuntimeVersion` of a node.
    pub fn version(self) -> &'static str {
        match self {
            Runtime::Containerd => "containerd://2.1.1",
            Runtime::CriO => "cri-o://1.33.0",
        }
    }

    /// The error of a pull, as the kubelet has it; `digest` is that of the image.
    pub fn refuses(self, image: &Reference, refusal: Refusal, digest: &str) -> String {
        match self {
            Runtime::Containerd => containerd(image, refusal, digest),
            Runtime::CriO => crio(image, refusal),
        }
    }
}

/// `core/remotes/docker/{resolver,fetcher,pusher}.go` of containerd.
fn containerd(image: &Reference, refusal: Refusal, digest: &str) -> String {
    let (whole, host, path) = (image.whole(), image.host(), image.path());
    let pull = format!("failed to pull and unpack image {whole:?}");
    let resolve = format!("{pull}: failed to resolve reference {whole:?}");
    let head =
        format!("{resolve}: failed to do request: Head \"https://{host}/v2/{path}/manifests/{}\"", image.version());
    match refusal {
        Refusal::NotFound => format!("rpc error: code = NotFound desc = {resolve}: {whole}: not found"),
        Refusal::Unauthorized => {
            let why = match image.is_hub() {
                true => "server message: insufficient_scope: authorization failed",
                false => "authorization failed: no basic auth credentials",
            };
            format!("{resolve}: pull access denied, repository does not exist or may require authorization: {why}")
        }
        Refusal::TooManyRequests => format!(
            "{pull}: failed to copy: httpReadSeeker: failed open: unexpected status code \
             https://{host}/v2/{path}/manifests/{digest}: 429 Too Many Requests - Server message: {LIMIT}"
        ),
        Refusal::Unreachable => format!("{head}: dial tcp 192.0.2.1:443: connect: connection refused"),
        Refusal::UnknownHost => format!("{head}: dial tcp: lookup {host}: no such host"),
        Refusal::OtherArchitecture => {
            format!("rpc error: code = NotFound desc = {pull}: no match for platform in manifest: not found")
        }
    }
}

/// `internal/storage/image.go` and `server/image_pull.go` of CRI-O, which tries an OCI artifact after an image.
fn crio(image: &Reference, refusal: Refusal) -> String {
    let (host, repository, version) = (image.host(), image.repository(), image.version());
    let source = format!("docker://{}", image.familiar());
    let manifest = |why: &str| format!("reading manifest {version} in {repository}: {why}");
    let ping = |why: &str| format!("pinging container registry {host}: Get \"https://{host}/v2/\": dial tcp{why}");
    let why = match refusal {
        Refusal::NotFound => manifest("manifest unknown"),
        Refusal::Unauthorized if image.is_hub() => manifest("requested access to the resource is denied"),
        Refusal::Unauthorized => manifest("unauthorized: authentication required"),
        Refusal::TooManyRequests => manifest(LIMIT),
        Refusal::Unreachable => ping(" 192.0.2.1:443: connect: connection refused"),
        Refusal::UnknownHost => ping(&format!(": lookup {host}: no such host")),
        Refusal::OtherArchitecture => {
            let why = "no image found in image index for architecture \"amd64\", variant \"\", OS \"linux\"";
            return format!(
                "unable to pull image or OCI artifact: pull image err: choosing image instance: {why}; artifact err: \
                 get manifest: choose instance: {why}"
            );
        }
    };
    let both = format!(
        "unable to pull image or OCI artifact: pull image err: initializing source {source}: {why}; artifact err: get \
         manifest: build image source: {why}"
    );
    // Only a refused connection is told apart (`PullImage`).
    if refusal == Refusal::Unreachable { format!("RegistryUnavailable: {both}") } else { both }
}

/// What the kubelet makes of a pull's error: the reason and the message of the container (`evalCRIPullErr` of
/// `pkg/kubelet/images/image_manager.go`).
pub fn explain(image: &str, error: &str) -> (&'static str, String) {
    match error.strip_prefix("RegistryUnavailable") {
        Some(rest) => {
            ("RegistryUnavailable", format!("image pull failed for {image} because the registry is unavailable{rest}"))
        }
        None => ("ErrImagePull", error.to_string()),
    }
}

/// What a pod's pull secrets say: names and passwords for registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logins {
    known: Vec<(String, String)>,
    /// Secrets that aren't there.
    pub missing: Vec<String>,
}

impl Logins {
    /// Takes in the `.dockerconfigjson` of a secret; what can't be read is none (`MakeDockerKeyring` of
    /// `pkg/credentialprovider/secrets/secrets.go`).
    pub fn read(&mut self, config: &[u8]) {
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        for (registry, login) in config["auths"].as_object().into_iter().flatten() {
            let text = |field: &str| login[field].as_str().filter(|text| !text.is_empty());
            let auth = text("auth").and_then(|auth| String::from_utf8(STANDARD.decode(auth).ok()?).ok());
            let plain = || Some(format!("{}:{}", text("username")?, text("password")?));
            self.known.extend(auth.or_else(plain).map(|login| (host_of(registry).to_string(), login)));
        }
    }

    /// Whether one of them is this one of this registry.
    pub fn open(&self, image: &Reference, login: &str) -> bool {
        let host = if image.is_hub() { "index.docker.io" } else { image.host() };
        let is_host = |of: &str| of == host || image.is_hub() && of == "docker.io";
        self.known.iter().any(|(of, known)| is_host(of) && known == login)
    }
}

/// The host of a registry, which is often written as an address: `https://index.docker.io/v1/`.
fn host_of(registry: &str) -> &str {
    let plain = registry.split_once("://").map_or(registry, |(_, rest)| rest);
    plain.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
