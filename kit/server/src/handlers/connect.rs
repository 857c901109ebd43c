//! What the API server has to ask a kubelet for, or another server: logs, `exec`, `attach`, `port-forward`, and metrics.
//!
//! A request comes so far that it is known who asks, that they may, and what exactly they want. Whoever keeps the nodes
//! answers it. Sources: `pkg/registry/core/pod/strategy.go` (`LogLocation`, `streamLocation`, `validateContainer`),
//! `pkg/registry/core/pod/rest/{log,subresources}.go`, `pkg/apis/core/validation/validation.go`
//! (`ValidatePodLogOptions`).

use super::query::Query;
use super::{Body, Response};
use crate::field::{At, Errors};
use crate::{Error, Server};
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::pod;
use kit_apimachinery::object::Key;
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// One container of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The pod.
    pub pod: Key,
    /// Its uid.
    pub uid: String,
    /// Its node; empty if it has none yet.
    pub node: String,
    /// The container's name.
    pub container: String,
}

/// What somebody wants to read of a log (`PodLogOptions`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogOptions {
    /// Go on until the container ends.
    pub follow: bool,
    /// The run before.
    pub previous: bool,
    /// So many lines from the end.
    pub tail: Option<u64>,
    /// What was written since then.
    pub since: Option<Timestamp>,
    /// With the time before each line.
    pub timestamps: bool,
    /// At most so many bytes.
    pub limit: Option<u64>,
}

/// Which streams somebody wants (`PodExecOptions`, `PodAttachOptions`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streams {
    /// Input goes in.
    pub stdin: bool,
    /// Output comes out.
    pub stdout: bool,
    /// Errors come out, on a stream of their own.
    pub stderr: bool,
    /// Input and output are a terminal.
    pub tty: bool,
}

/// Something that another server answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Connection {
    /// A log.
    Log(Container, LogOptions),
    /// A command in a container.
    Exec(Container, Vec<String>, Streams),
    /// What a container writes.
    Attach(Container, Streams),
    /// Ports of a pod.
    PortForward(Container),
    /// Metrics, of a node or of pods.
    Metrics(Metrics),
    /// What a node, a pod or a service serves over HTTP.
    Proxy(Proxied),
}

/// Where a request goes that the API server passes on, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    /// The node, the pod or the service.
    pub to: Key,
    /// Its port, by number or name; empty for the one that it has by default.
    pub port: String,
    /// The path there, with a `/` before it.
    pub path: String,
}

/// Which metrics somebody wants (`metrics.k8s.io/v1beta1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Of nodes, or of pods.
    pub nodes: bool,
    /// In one namespace; empty for all.
    pub namespace: String,
    /// Of one; otherwise of all.
    pub name: Option<String>,
    /// Labels that are asked for.
    pub labels: String,
}

/// The group of metrics.
const METRICS: &str = "metrics.k8s.io";

/// What metrics-server serves (`pkg/api/install.go` there).
static METRICS_SERVER: LazyLock<[Resource; 2]> = LazyLock::new(|| {
    let resource = |kind: &str, plural: &str, namespaced: bool| Resource {
        group: METRICS.into(),
        version: "v1beta1".into(),
        api_version: format!("{METRICS}/v1beta1"),
        kind: kind.into(),
        plural: plural.into(),
        singular: String::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced,
        verbs: vec!["get".into(), "list".into()],
        subresources: Vec::new(),
        custom: true,
        definition: None,
        kept_as: None,
    };
    [resource("NodeMetrics", "nodes", false), resource("PodMetrics", "pods", true)]
});

impl Server {
    /// Serves metrics as well; somebody else answers what is asked of them ([`Connection::Metrics`]).
    pub fn aggregate_metrics(&mut self) {
        self.aggregated = METRICS_SERVER.iter().collect();
    }

    /// What metrics are asked for; none if it is about something else.
    pub(super) fn metrics(&self, path: &super::Target, query: &Query) -> Option<Response> {
        let resource = path.kind.resource();
        (resource.group == METRICS).then(|| {
            connect(Connection::Metrics(Metrics {
                nodes: !resource.namespaced,
                namespace: path.namespace.clone(),
                name: path.name.clone(),
                labels: query.get("labelSelector").into(),
            }))
        })
    }

    /// Whom a request is passed on to: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT` (`SplitSchemeNamePort` of
    /// `apimachinery/pkg/util/net/port_split.go`).
    pub(super) fn proxy(&self, target: &super::Target, path: &str) -> Result<Response, Error> {
        let key = target.key();
        let parts: Vec<&str> = key.name.split(':').collect();
        let (name, port) = match parts[..] {
            [name] => (name, ""),
            [name, port] => (name, port),
            ["http" | "https" | "", name, port] => (name, port),
            _ => {
                return Err(Error::bad_request(format!(
                    "invalid {} request {:?}",
                    key.kind.name().to_lowercase(),
                    key.name
                )));
            }
        };
        let to = Key::new(key.kind, &key.namespace, name);
        self.get(&to)?;
        let path = path.split_once("/proxy").map_or("", |(_, path)| path).trim_start_matches('/');
        Ok(connect(Connection::Proxy(Proxied { to, port: port.into(), path: format!("/{path}") })))
    }

    /// What somebody wants of a container.
    pub(super) fn connect(&self, path: &super::Target, name: &str, query: &Query) -> Result<Response, Error> {
        let key = path.key();
        let options = if name == "log" { Some(self.log_options(&key, query)?) } else { None };
        let pod = self.get(&key)?.get::<Pod>().ok_or_else(|| Error::not_found(&key))?;
        let container = match name {
            "portforward" => String::new(),
            _ => container(pod, query.get("container"))?,
        };
        let node = pod::node_name(pod).unwrap_or_default().to_string();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let target = Container { pod: key.clone(), uid, node, container };
        if let Some(options) = options {
            return Ok(connect(Connection::Log(target, options)));
        }
        if target.node.is_empty() {
            return Err(Error::bad_request(format!("pod {} does not have a host assigned", key.name)));
        }
        let tty = query.flag("tty");
        let streams = Streams {
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr") && !tty,
            tty,
        };
        Ok(connect(match name {
            "exec" => Connection::Exec(target, query.all("command").map(str::to_string).collect(), streams),
            "attach" => Connection::Attach(target, streams),
            _ => Connection::PortForward(target),
        }))
    }

    fn log_options(&self, key: &Key, query: &Query) -> Result<LogOptions, Error> {
        let (tail, limit) = (query.int("tailLines")?, query.int("limitBytes")?);
        let seconds = query.int("sinceSeconds")?;
        let time = query.get("sinceTime");
        let since: Option<Timestamp> = match time {
            "" => None,
            time => Some(time.parse().map_err(|_| {
                let layout = "2006-01-02T15:04:05Z07:00";
                Error::bad_request(format!("parsing time {time:?} as {layout:?}: cannot parse {time:?} as \"2006\""))
            })?),
        };
        let values = json!({"tailLines": tail, "limitBytes": limit, "sinceSeconds": seconds});
        let at = |name: &str| At::root(&values).at(name);
        let mut errors = Errors::default();
        if tail.is_some_and(|tail| tail < 0) {
            errors.invalid(&at("tailLines"), "must be greater than or equal to 0");
        }
        if limit.is_some_and(|limit| limit < 1) {
            errors.invalid(&at("limitBytes"), "must be greater than 0");
        }
        if seconds.is_some() && since.is_some() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.forbidden(&At::root(&values), why);
        } else if seconds.is_some_and(|seconds| seconds < 1) {
            errors.invalid(&at("sinceSeconds"), "must be greater than 0");
        }
        if !errors.0.is_empty() {
            return Err(Error::invalid("", "PodLogOptions", &key.name, errors.0));
        }
        let ago = seconds.and_then(|seconds| self.time().checked_sub(SignedDuration::from_secs(seconds)).ok());
        Ok(LogOptions {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            tail: tail.and_then(|tail| tail.try_into().ok()),
            since: since.or(ago),
            timestamps: query.flag("timestamps"),
            limit: limit.and_then(|limit| limit.try_into().ok()),
        })
    }
}

/// What a client wants of a pod, as admission is told of it (`PodExecOptions` and the like).
pub(super) fn options(name: &str, query: &Query) -> Value {
    let kind = match name {
        "exec" => "PodExecOptions",
        "attach" => "PodAttachOptions",
        _ => "PodPortForwardOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    for flag in ["stdin", "stdout", "stderr", "tty"].into_iter().filter(|flag| query.flag(flag)) {
        options[flag] = true.into();
    }
    if !query.get("container").is_empty() {
        options["container"] = query.get("container").into();
    }
    let command: Vec<&str> = query.all("command").collect();
    if name == "exec" && !command.is_empty() {
        options["command"] = json!(command);
    }
    options
}

fn connect(connection: Connection) -> Response {
    Response { code: 200, content_type: "text/plain", warnings: Vec::new(), body: Body::Connect(Box::new(connection)) }
}

/// The container that is meant (`validateContainer`).
fn container(pod: &Pod, asked: &str) -> Result<String, Error> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let containers: Vec<&str> = spec.into_iter().flat_map(|spec| &spec.containers).map(|c| c.name.as_str()).collect();
    let inits = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
    let inits: Vec<&str> = inits.map(|container| container.name.as_str()).collect();
    let guests = spec.and_then(|spec| spec.ephemeral_containers.as_ref()).into_iter().flatten();
    let guests: Vec<&str> = guests.map(|container| container.name.as_str()).collect();
    if !asked.is_empty() {
        return match containers.iter().chain(&inits).chain(&guests).any(|name| *name == asked) {
            true => Ok(asked.into()),
            false => Err(Error::bad_request(format!("container {asked} is not valid for pod {name}"))),
        };
    }
    if let [only] = containers[..] {
        return Ok(only.into());
    }
    let mut message = format!("a container name must be specified for pod {name}");
    if !containers.is_empty() {
        message += &format!(", choose one of: [{}]", containers.join(" "));
        if !inits.is_empty() {
            message += &format!(" or one of the init containers: [{}]", inits.join(" "));
        }
    }
    Err(Error::bad_request(message))
}
