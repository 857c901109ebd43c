//! What a container finds around its program: variables, files, the name of its host.
//!
//! Sources: `pkg/kubelet/kubelet_pods.go` (`makeEnvironmentVariables`, `getServiceEnvVarMap`, `managedHostsFileContent`),
//! `pkg/kubelet/envvars/envvars.go`, `pkg/kubelet/network/dns/dns.go`, `pkg/volume/util/atomic_writer.go`,
//! `third_party/forked/golang/expansion/expand.go`.

use super::image::called;
use super::objects::Namespace;
use super::user;
use super::volumes::content::Disks;
use super::volumes::made;
use crate::program::files::{Files, absolute};
use crate::program::link::Link;
use crate::program::processes::Processes;
use crate::program::tree::{Content, Entry, Tree, Who, tree};
use crate::program::{Machine, Surroundings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_api::core::{Container, Pod, Volume, VolumeProjection};
use kit_apimachinery::object::{Key, Kind};
use kit_contract::storage::volumes::{Missing, Payload, Projection};
use kit_server::Server;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Where the cluster's DNS answers (the tenth address for Services).
const DNS: &str = "10.96.0.10";

/// Images with the tools of procps; others have those of BusyBox.
const PROCPS: [&str; 1] = ["ubuntu"];

/// What is mounted for a pod, by the names of its volumes.
pub type Volumes = BTreeMap<String, Tree>;

/// A pod, as its containers see it.
pub struct Place<'a> {
    /// The API server, for what ConfigMaps, Secrets and Services say.
    pub server: &'a Server,
    /// The pod.
    pub pod: Value,
    /// Its own address.
    pub ip: String,
    /// Its node's address.
    pub host_ip: String,
    /// Its network, if it has one.
    pub link: Option<Link>,
    /// Who says which files volumes have.
    pub volumes: Rc<dyn kit_contract::storage::Volumes>,
    /// Its node, for its programs.
    pub machine: Machine,
    /// What runs on that, if the pod is to see it (`hostPID`): whose, and with which command.
    pub host: Vec<(String, Vec<String>)>,
    /// The name of its node.
    pub node: String,
    /// The disks of the cluster.
    pub disks: Disks,
}

impl<'a> Place<'a> {
    /// The place of a pod.
    pub fn new(
        server: &'a Server,
        volumes: Rc<dyn kit_contract::storage::Volumes>,
        pod: &Pod,
        ip: &str,
        host_ip: &str,
    ) -> Place<'a> {
        let pod = serde_json::to_value(pod).unwrap_or_default();
        Place {
            server,
            pod,
            ip: ip.into(),
            host_ip: host_ip.into(),
            link: None,
            volumes,
            machine: Machine::default(),
            host: Vec::new(),
            node: String::new(),
            disks: Disks::default(),
        }
    }

    /// What a container finds whose image names this user.
    pub fn surroundings(&self, container: &Container, user: &str, volumes: &mut Volumes) -> Surroundings {
        let (hostname, who) = (self.hostname(), self.who(container, user));
        let image = called(container.image.as_deref().unwrap_or_default());
        let environment = self.environment(container, &who, &hostname);
        Surroundings {
            files: self.files(container, volumes, &environment, &hostname).seen_by(who),
            environment,
            hostname,
            tty: container.tty.unwrap_or_default(),
            stdin: container.stdin.unwrap_or_default(),
            network: self.link.clone(),
            processes: Processes::default(),
            machine: Machine { procps: PROCPS.contains(&image), ..self.machine },
        }
    }

    /// Who shares the network of its node has its name, too (`GeneratePodHostNameAndDomain`, and what runtimes do without one).
    fn hostname(&self) -> String {
        if self.pod["spec"]["hostNetwork"] == true && !self.node.is_empty() {
            return self.node.clone();
        }
        let name = self.pod["spec"]["hostname"].as_str().or_else(|| self.pod["metadata"]["name"].as_str());
        name.unwrap_or_default().chars().take(63).collect()
    }

    fn namespace(&self) -> &str {
        self.pod["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// The data of a ConfigMap or Secret.
    fn data(&self, kind: &str, name: &str) -> BTreeMap<String, Vec<u8>> {
        let key = self.server.kind_of("v1", kind).map(|kind| Key::new(kind, self.namespace(), name));
        let Some(object) = key.and_then(|key| self.server.get(&key).ok().map(|stored| stored.to_value())) else {
            return BTreeMap::new();
        };
        let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        let plain = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
        let entries = |field: &str| object[field].as_object().cloned().unwrap_or_default();
        let text = |value: &Value| if kind == "Secret" { decode(value) } else { plain(value) };
        let data = entries("data").into_iter().map(|(name, value)| (name, text(&value)));
        data.chain(entries("binaryData").into_iter().map(|(name, value)| (name, decode(&value)))).collect()
    }

    /// A field of the pod (`fieldRef`).
    fn field(&self, path: &str) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let of = |map: &str| &self.pod["metadata"][map];
        if let Some((map, rest)) = path.trim_start_matches("metadata.").split_once("['") {
            return text(&of(map)[rest.trim_end_matches("']")]);
        }
        match path {
            "metadata.labels" | "metadata.annotations" => {
                let entries = of(path.trim_start_matches("metadata.")).as_object().into_iter().flatten();
                entries.map(|(name, value)| format!("{name}={:?}", text(value))).collect::<Vec<_>>().join("\n")
            }
            "status.podIP" | "status.podIPs" => self.ip.clone(),
            "status.hostIP" | "status.hostIPs" => self.host_ip.clone(),
            path => text(path.split('.').fold(&self.pod, |value, name| &value[name])),
        }
    }

    fn environment(&self, container: &Container, who: &Who, hostname: &str) -> Vec<(String, String)> {
        let home = if who.uid == 0 { "/root" } else { "/" };
        let container = serde_json::to_value(container).unwrap_or_default();
        let mut all: BTreeMap<String, String> = self.services();
        let list = |field: &str| container[field].as_array().cloned().unwrap_or_default();
        let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_string();
        for from in list("envFrom") {
            let prefix = from["prefix"].as_str().unwrap_or_default();
            for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                let data = if from[field].is_null() { BTreeMap::new() } else { self.data(kind, &name(&from[field])) };
                let lines = data.into_iter().map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned()));
                all.extend(lines.map(|(key, value)| (format!("{prefix}{key}"), value)));
            }
        }
        for variable in list("env") {
            let from = &variable["valueFrom"];
            let key = |field: &str, kind: &str| {
                let data = self.data(kind, &name(&from[field]));
                let value = data.get(from[field]["key"].as_str().unwrap_or_default());
                value.map(|value| String::from_utf8_lossy(value).into_owned())
            };
            let value = match () {
                () if !from["fieldRef"].is_null() => {
                    Some(self.field(from["fieldRef"]["fieldPath"].as_str().unwrap_or_default()))
                }
                () if !from["configMapKeyRef"].is_null() => key("configMapKeyRef", "ConfigMap"),
                () if !from["secretKeyRef"].is_null() => key("secretKeyRef", "Secret"),
                () if !from.is_null() => None,
                () => Some(expand(variable["value"].as_str().unwrap_or_default(), &all)),
            };
            if let Some(value) = value {
                all.insert(name(&variable), value);
            }
        }
        for (name, value) in [
            ("HOME", home),
            ("HOSTNAME", hostname),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ] {
            all.entry(name.into()).or_insert_with(|| value.into());
        }
        all.into_iter().collect()
    }

    /// `KUBERNETES_SERVICE_HOST` and what else is said of each Service in the namespace.
    fn services(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let here = self.server.snapshot().list_in(Kind::Service, self.namespace());
        let links = self.pod["spec"]["enableServiceLinks"].as_bool().unwrap_or(true);
        let root = self.server.snapshot().get(&Key::new(Kind::Service, "default", "kubernetes"));
        for stored in root.into_iter().chain(here.filter(|_| links)) {
            let service = stored.to_value();
            let host = service["spec"]["clusterIP"].as_str().unwrap_or_default();
            if host.is_empty() || host == "None" {
                continue;
            }
            let prefix = stored.key.name.to_uppercase().replace('-', "_");
            for (index, port) in service["spec"]["ports"].as_array().into_iter().flatten().enumerate() {
                let number = port["port"].as_i64().unwrap_or_default();
                let protocol = port["protocol"].as_str().unwrap_or("TCP").to_string();
                let (url, at) = (
                    format!("{}://{host}:{number}", protocol.to_lowercase()),
                    format!("{prefix}_PORT_{number}_{protocol}"),
                );
                if index == 0 {
                    all.insert(format!("{prefix}_SERVICE_HOST"), host.to_string());
                    all.insert(format!("{prefix}_SERVICE_PORT"), number.to_string());
                    all.insert(format!("{prefix}_PORT"), url.clone());
                }
                if let Some(name) = port["name"].as_str().filter(|name| !name.is_empty()) {
                    let name = name.to_uppercase().replace('-', "_");
                    all.insert(format!("{prefix}_SERVICE_PORT_{name}"), number.to_string());
                }
                all.insert(at.clone(), url);
                all.insert(format!("{at}_PROTO"), protocol.to_lowercase());
                all.insert(format!("{at}_PORT"), number.to_string());
                all.insert(format!("{at}_ADDR"), host.to_string());
            }
        }
        all
    }

    fn files(
        &self,
        container: &Container,
        volumes: &mut Volumes,
        environment: &[(String, String)],
        hostname: &str,
    ) -> Files {
        let mut files = Files::default();
        let usual = || {
            let search = format!("search {}.svc.cluster.local svc.cluster.local cluster.local", self.namespace());
            format!("{search}\nnameserver {DNS}\noptions ndots:5\n")
        };
        let resolv = self.link.as_ref().and_then(|link| link.wires.network.borrow().resolv_conf(&link.sandbox));
        let hosts = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
        for (at, text) in [
            ("/etc/hostname", format!("{hostname}\n")),
            ("/etc/hosts", format!("{hosts}{}\t{hostname}\n", self.ip)),
            ("/etc/resolv.conf", resolv.unwrap_or_else(usual)),
        ] {
            files.mount(at, tree([(String::new(), text.into_bytes())]), false);
        }
        let known: BTreeMap<_, _> = environment.iter().cloned().collect();
        for mount in container.volume_mounts.iter().flatten() {
            let Some(volume) = self.volume(&mount.name) else { continue };
            let whole = self.plain(&volume, volumes);
            let fixed = made::is_made(&volume);
            let claim = volume.persistent_volume_claim.as_ref();
            let read_only =
                fixed || mount.read_only == Some(true) || claim.is_some_and(|claim| claim.read_only == Some(true));
            let expanded = mount.sub_path_expr.as_ref().map(|path| expand(path, &known));
            let part = mount.sub_path.clone().or(expanded).filter(|path| !path.is_empty());
            match part.map(|path| absolute("/", &path)) {
                None => files.mount(&mount.mount_path, whole, read_only),
                // What is behind the links now stays there, whatever is written later.
                Some(path) if fixed => files.mount(&mount.mount_path, part_of(&whole, &path), read_only),
                Some(path) => {
                    let root = whole.borrow().get("").cloned().unwrap_or(Entry::of(Content::Directory));
                    whole.borrow_mut().entry(path.clone()).or_insert(root);
                    files.mount_part(&mount.mount_path, whole, &path, read_only);
                }
            }
        }
        files
    }

    /// A volume of the pod.
    fn volume(&self, name: &str) -> Option<Volume> {
        let mut list = self.pod["spec"]["volumes"].as_array()?.iter();
        serde_json::from_value(list.find(|volume| volume["name"] == name)?.clone()).ok()
    }

    /// Who runs in a container (`securityContext` of it, and of its pod, and the user of its image).
    fn who(&self, container: &Container, user: &str) -> Who {
        let (of_image, group) = user::ids(user);
        let (own, pod) = (container.security_context.as_ref(), &self.pod["spec"]["securityContext"]);
        let id = |own: Option<i64>, field: &str| own.or(pod[field].as_i64()).and_then(|id| u32::try_from(id).ok());
        let uid = id(own.and_then(|own| own.run_as_user), "runAsUser");
        let gid = id(own.and_then(|own| own.run_as_group), "runAsGroup");
        // Another user is in no group of the image's.
        let gid = gid.unwrap_or(if uid.is_some() { 0 } else { group });
        let uid = uid.unwrap_or(of_image);
        let more = pod["supplementalGroups"].as_array().into_iter().flatten().filter_map(Value::as_i64);
        let more = more.chain(self.fs_group()).filter_map(|id| u32::try_from(id).ok());
        Who { uid, gid, groups: more.chain([gid]).collect() }
    }

    /// `fsGroup`
    pub fn fs_group(&self) -> Option<i64> {
        self.pod["spec"]["securityContext"]["fsGroup"].as_i64()
    }

    /// The user that all containers run as, if that is said of each and is the same (`FsUserFrom` of `pkg/volume/util`).
    pub fn fs_user(&self) -> Option<u32> {
        let list = |field: &str| self.pod["spec"][field].as_array().cloned().unwrap_or_default();
        let of_pod = self.pod["spec"]["securityContext"]["runAsUser"].as_i64();
        let user = |container: Value| container["securityContext"]["runAsUser"].as_i64().or(of_pod);
        let mut users = list("initContainers").into_iter().chain(list("containers")).map(user);
        let first = users.next()??;
        users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok())?
    }

    /// The pod's uid.
    pub fn uid(&self) -> &str {
        self.pod["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// The files of a volume that is made from objects, as the module says, or what is missing.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn project(&self, volume: &Volume) -> Result<Payload, Vec<Missing>> {
        self.volumes.project(&self.projection(volume))
    }

    /// What a module is asked about it. A token is for its user or its group alone, if they are known (`collectData` of
    /// `pkg/volume/projected`).
    pub fn projection(&self, volume: &Volume) -> Projection {
        let narrow = self.fs_group().is_some() || self.fs_user().is_some();
        made::projection(volume, &Namespace { name: self.namespace(), server: self.server }, narrow)
    }

    /// What the files of such a volume say, by path.
    pub fn contents(&self, volume: &Volume, payload: &Payload) -> BTreeMap<String, Vec<u8>> {
        let sources = made::sources(volume);
        let content = |from: &str| {
            let (number, key) = from.split_once('/')?;
            self.content(sources.get(number.parse::<usize>().ok()?)?, key)
        };
        payload.iter().filter_map(|(path, file)| Some((path.clone(), content(&file.text)?))).collect()
    }

    /// What a key of a source says.
    fn content(&self, source: &VolumeProjection, key: &str) -> Option<Vec<u8>> {
        if let Some(of) = &source.config_map {
            return self.data("ConfigMap", &of.name).remove(key);
        }
        if let Some(of) = &source.secret {
            return self.data("Secret", &of.name).remove(key);
        }
        if let Some(of) = &source.service_account_token {
            // Without its account a pod has no token.
            let of = serde_json::to_value(of).unwrap_or_default();
            return self.server.token_of_pod(&self.pod, &of).ok().map(String::into_bytes);
        }
        let mut fields = source.downward_api.iter().flat_map(|of| of.items.iter().flatten());
        let path = &fields.find(|item| item.path == key)?.field_ref.as_ref()?.field_path;
        Some(self.field(path).into_bytes())
    }
}

/// What a path in a tree leads to, as it is now.
fn part_of(whole: &Tree, path: &str) -> Tree {
    let mut files = Files::default();
    files.mount("/", whole.clone(), true);
    let Some(real) = files.real(path) else { return Tree::default() };
    let tree = whole.borrow();
    let below = tree.iter().filter_map(|(key, entry)| Some((key.strip_prefix(&real)?.to_string(), entry.clone())));
    let below = below.filter(|(rest, _)| rest.is_empty() || rest.starts_with('/')).collect();
    Tree::new(std::cell::RefCell::new(below))
}

/// Replaces `$(NAME)` by what is known; `$$(NAME)` stands for itself.
pub fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            plain.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known.get(name) {
                Some(value) => plain.push_str(value),
                None => plain.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            plain.push('$');
        }
    }
    plain + rest
}
