//! The image registry: how the containers of each image behave. Containers are simulated; this is all that they do.

use super::cri::{Refusal, Runtime};
use super::garbage::Kept;
use super::user;
use kit_api::core::{Container, ContainerImage};
use kit_time::random::{Purpose, Random};
use regex_lite::Regex;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Work that comes in bursts: so often, in seconds, so many threads begin at once, and each needs so many seconds of CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// How far apart they are.
    pub every: f64,
    /// How many threads have something to do.
    pub threads: usize,
    /// How much CPU time each of them needs.
    pub cpu: f64,
}

/// How containers of one image behave. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// How long a node takes to pull it, each time.
    pub pull: f64,
    /// Whether it can be pulled at all.
    pub exists: bool,
    /// Why it can't be pulled, where that is something else; in clusters with programs.
    pub refused: Option<Refusal>,
    /// The name and the password that its registry asks for, as `name:password`; in clusters with programs.
    pub login: Option<String>,
    /// From pulled to running.
    pub start: f64,
    /// From running to ready.
    pub ready: f64,
    /// From the signal to stop to the end.
    pub stop: f64,
    /// How long it runs before it ends by itself; none for ever.
    pub exits_after: Option<f64>,
    /// With which code it ends then.
    pub exit_code: i32,
    /// Thousandths of a CPU that it uses without load.
    pub milli_cpu: i64,
    /// Work beside that, which a quota throttles though little is used in a second.
    pub bursts: Option<Bursts>,
    /// Bytes of memory that it uses.
    pub memory: i64,
    /// Bytes that it writes on disk, beside its image.
    pub disk: i64,
    /// Processes that it is.
    pub processes: i64,
    /// How long after it began it uses all of its memory. If its limit is less, it is killed then; without this nobody looks.
    pub fills_after: Option<f64>,
    /// What one request costs it; without this it answers at once.
    pub request: Option<Request>,
    /// What it says as an admission webhook; without this it is none.
    pub webhook: Option<Webhook>,
    /// Who runs in it unless its pod says otherwise: a number or a name, as `USER` of a Dockerfile; in clusters with programs.
    pub user: String,
}

/// What a request costs a container. Threads that wait for a CPU, or for the next period of their quota, make it slow.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Seconds of CPU time,
    pub cpu: f64,
    /// in so many threads at once.
    #[serde(default = "one")]
    pub threads: usize,
}

fn one() -> usize {
    1
}

/// What a container says to the API server as an admission webhook.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// What must be true of a request, in CEL about `request`; otherwise it is refused. Empty if everything is allowed.
    pub allow: String,
    /// What is said of what is refused.
    pub message: String,
    /// What is done to what is allowed, as the operations of a JSON patch.
    pub patch: Vec<serde_json::Value>,
    /// How many seconds an answer takes.
    pub latency: f64,
}

impl Default for Image {
    fn default() -> Self {
        Image {
            pull: 0.1,
            exists: true,
            refused: None,
            login: None,
            start: 0.1,
            ready: 0.1,
            stop: 0.4,
            exits_after: None,
            exit_code: 0,
            milli_cpu: 1,
            bursts: None,
            memory: 16 << 20,
            disk: 0,
            processes: 1,
            fills_after: None,
            request: None,
            webhook: None,
            user: String::new(),
        }
    }
}

impl Image {
    /// Thousandths of a CPU that it uses on average without load.
    pub fn average(&self) -> i64 {
        let of_bursts = |bursts: &Bursts| bursts.threads as f64 * bursts.cpu / bursts.every.max(0.001) * 1000.0;
        self.milli_cpu + self.bursts.as_ref().map_or(0.0, of_bursts) as i64
    }
}

/// Images by name, with their tag. What isn't here behaves as the default image does.
pub type Registry = BTreeMap<String, Image>;

/// What an image is called, without its registry, its path and its version: `nginx` of `docker.io/library/nginx:1.27`.
pub fn called(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default()
}

/// How a container behaves in a pod that is restarted `Always`, or not.
///
/// An image that no one described can't be pulled if its name has `broken` in it, and is a task of one second in a
/// pod that is not restarted always; the task fails if its command has `fail` in it.
pub fn behaviour(registry: &Registry, container: &Container, always: bool) -> Image {
    let name = container.image.as_deref().unwrap_or_default();
    if let Some(image) = registry.get(name) {
        return image.clone();
    }
    if let Some(image) = super::stress::behaviour(container) {
        return image;
    }
    if called(name) == crate::database::PROGRAM {
        // It needs a moment to begin, and one to write down what it has.
        return Image { start: 1.0, ready: 1.0, stop: 2.0, ..Image::default() };
    }
    let mut words = container.command.iter().chain(&container.args).flatten();
    let fails = words.any(|word| word.contains("fail"));
    Image {
        exists: !name.contains("broken"),
        refused: Reference::parse(name).and_then(|reference| reference.refused()),
        user: user::of(name).into(),
        exits_after: (!always).then_some(1.0),
        exit_code: i32::from(fails),
        ..Image::default()
    }
}

/// Of how many images a node's status tells (`nodeStatusMaxImages`).
const MOST_TOLD: usize = 50;

/// The images that a node has.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// Who keeps and runs them.
    pub runtime: Runtime,
    names: BTreeMap<String, Kept>,
    bytes: i64,
}

impl Images {
    /// None, in this runtime.
    pub fn on(runtime: Runtime) -> Images {
        Images { runtime, ..Images::default() }
    }

    /// Whether an image is there.
    pub fn has(&self, image: &str) -> bool {
        self.names.contains_key(image)
    }

    /// It was pulled.
    pub fn insert(&mut self, image: &str) {
        if !self.has(image) {
            self.names.insert(image.into(), Kept::default());
            self.measure();
        }
    }

    /// All of them, with what is known of each.
    pub fn all(&mut self) -> impl Iterator<Item = (&str, &mut Kept)> {
        self.names.iter_mut().map(|(name, kept)| (name.as_str(), kept))
    }

    /// Removes one; how many bytes it has, though those of a layer that others have, too, stay.
    pub fn remove(&mut self, image: &str) -> i64 {
        let size = self.names.remove(image).map_or(0, |_| bytes(image));
        self.measure();
        size
    }

    /// Counts each layer once.
    fn measure(&mut self) {
        let own = |image: &String| bytes(image) - base(image).map_or(0, |(_, size)| size);
        let bases: BTreeSet<_> = self.names.keys().filter_map(|image| base(image)).collect();
        self.bytes = self.names.keys().map(own).sum::<i64>() + bases.iter().map(|(_, size)| size).sum::<i64>();
    }

    /// How much of the disk all of them take, in bytes: what several are made of is there once.
    pub fn size(&self) -> i64 {
        self.bytes
    }

    /// Removes all that nobody needs; how many bytes that wins.
    pub fn keep(&mut self, needed: &BTreeSet<&str>) -> i64 {
        let before = self.bytes;
        self.names.retain(|image, _| needed.contains(image.as_str()));
        self.measure();
        before - self.bytes
    }

    /// What a node's status says of them, the largest first (`Images` of `pkg/kubelet/nodestatus/setters.go`).
    pub fn list(&self) -> Vec<ContainerImage> {
        let image = |name: &String| {
            let reference = Reference::parse(name)?;
            let names = vec![format!("{}@{}", reference.repository(), digest(name)), reference.whole()];
            Some(ContainerImage { names: Some(names), size_bytes: Some(bytes(name)) })
        };
        let mut list: Vec<ContainerImage> = self.names.keys().filter_map(image).collect();
        list.sort_by_key(|image| std::cmp::Reverse(image.size_bytes));
        list.truncate(MOST_TOLD);
        list
    }
}

/// A name that looks like a hash.
pub fn hash(object: &str, reason: &str, attempt: u64) -> String {
    let part = |part: u64| Random::new(part).bits(Purpose { component: "runtime", object, reason, attempt });
    (0..4).map(|at| format!("{:016x}", part(at))).collect()
}

/// What an image's manifest is called.
pub fn digest(image: &str) -> String {
    format!("sha256:{}", hash(image, "image", 0))
}

/// The layers that images begin with, the smallest first, and their bytes.
const BASES: [(&str, i64); 3] = [("alpine", 3_600_000), ("debian-slim", 28_000_000), ("debian", 49_000_000)];

/// The layer that an image has in common with others: the largest that is no more than half of it.
fn base(image: &str) -> Option<(&'static str, i64)> {
    let size = bytes(image);
    BASES.into_iter().rfind(|(_, base)| *base <= size / 2)
}

fn bytes(image: &str) -> i64 {
    i64::try_from(size(image)).unwrap_or(i64::MAX)
}

/// How large an image is, in bytes: something between 2 and 200 MB, the same wherever it is pulled.
pub fn size(image: &str) -> u64 {
    let purpose = Purpose { component: "registry", object: image, reason: "size", attempt: 0 };
    2_000_000 + Random::new(0).below(198_000_000, purpose)
}

/// The parts of an image's name, as `github.com/distribution/reference` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    domain: String,
    path: String,
    /// With its `:` or `@`.
    version: String,
}

impl Reference {
    /// The parts of a name; none if it is not one.
    pub fn parse(image: &str) -> Option<Reference> {
        static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
            let part = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*";
            let version = "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?";
            Regex::new(&format!("^(?:([A-Za-z0-9.-]+(?::[0-9]+)?)/)?({part}(?:/{part})*)({version})$")).ok()
        });
        let (first, rest) = image.split_once('/').unwrap_or(("", image));
        // The first part is a host if it looks like one.
        let host = first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase);
        let whole = if host { image.to_string() } else { format!("docker.io/{image}") };
        let found = FORM.as_ref()?.captures(&whole)?;
        let part = |index: usize| found.get(index).map_or("", |part| part.as_str()).to_string();
        let library = !host && !image.contains('/') && rest == image;
        let path = if library { format!("library/{}", part(2)) } else { part(2) };
        let version = Some(part(3)).filter(|version| !version.is_empty()).unwrap_or_else(|| ":latest".into());
        Some(Reference { domain: part(1), path, version })
    }

    /// The name without its version.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The whole name.
    pub fn whole(&self) -> String {
        format!("{}{}", self.repository(), self.version)
    }

    /// As people write it: without what goes without saying.
    pub fn familiar(&self) -> String {
        let whole = self.whole();
        let short = whole.strip_prefix("docker.io/library/").or_else(|| whole.strip_prefix("docker.io/"));
        short.unwrap_or(&whole).to_string()
    }

    /// The tag or the digest.
    pub fn version(&self) -> &str {
        self.version.trim_start_matches([':', '@'])
    }

    /// The name in its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether its registry is Docker Hub.
    pub fn is_hub(&self) -> bool {
        self.domain == "docker.io"
    }

    /// The host of its registry.
    pub fn host(&self) -> &str {
        if self.is_hub() { "registry-1.docker.io" } else { &self.domain }
    }

    /// Why it can't be pulled, where its name says so: hosts that can't be there (RFC 2606), and what Docker Hub keeps apart for other
    /// architectures.
    fn refused(&self) -> Option<Refusal> {
        let other = ["arm32v5/", "arm32v6/", "arm32v7/", "arm64v8/", "ppc64le/", "riscv64/", "s390x/"];
        match () {
            () if self.domain.ends_with(".invalid") => Some(Refusal::UnknownHost),
            () if self.is_hub() && other.iter().any(|prefix| self.path.starts_with(prefix)) => {
                Some(Refusal::OtherArchitecture)
            }
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_images_share_are_there_once() {
        let mut images = Images::default();
        // Two of one base, and a third.
        let names: Vec<String> = (0..60).map(|number| format!("app:{number}")).collect();
        let of =
            |wanted: &'static str| names.iter().filter(move |name| base(name).is_some_and(|(base, _)| base == wanted));
        let (pair, other): (Vec<_>, _) = (of("debian").take(2).collect(), of("debian-slim").next());
        let (_, shared) = BASES[2];
        pair.iter().copied().chain(other).for_each(|name| images.insert(name));
        let all: i64 = pair.iter().copied().chain(other).map(|name| bytes(name)).sum();
        assert_eq!((pair.len(), other.is_some(), images.size()), (2, true, all - shared));
        // The kubelet counts the whole image, and the disk wins less.
        let before = images.size();
        assert_eq!(images.remove(pair[0]), bytes(pair[0]));
        assert_eq!(before - images.size(), bytes(pair[0]) - shared);
        assert_eq!(images.remove(pair[1]), bytes(pair[1]));
        assert_eq!(Some(images.size()), other.map(|name| bytes(name)));
    }

    #[test]
    fn names_of_images_are_read_as_registries_read_them() {
        let digest = format!("app@sha256:{}", "a".repeat(64));
        let cases = [
            ("nginx", Some("docker.io/library/nginx:latest")),
            ("nginx:1.27", Some("docker.io/library/nginx:1.27")),
            ("team/app:v1", Some("docker.io/team/app:v1")),
            ("registry.k8s.io/e2e-test-images/agnhost:2.53", Some("registry.k8s.io/e2e-test-images/agnhost:2.53")),
            ("localhost:5000/app", Some("localhost:5000/app:latest")),
            ("Nginx", None),
            ("nginx:", None),
            ("nginx latest", None),
            ("", None),
            ("team//app", None),
        ];
        for (name, whole) in cases {
            let got =
                Reference::parse(name).map(|reference| format!("{}{}", reference.repository(), reference.version));
            assert_eq!(got.as_deref(), whole, "{name}");
        }
        assert!(Reference::parse(&digest).is_some_and(|reference| reference.version.starts_with("@sha256:")));
        assert!((2_000_000..200_000_000).contains(&size("nginx")) && size("nginx") != size("redis"));
    }
}
