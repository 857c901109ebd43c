//! The `resolv.conf` that the kubelet gives a pod.
//!
//! Source: `pkg/kubelet/network/dns/dns.go` (`GetPodDNS`).

use kit_api::core::{Pod, PodDNSConfigOption};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What the kubelet knows. Its flags may also stand in its configuration file, as `clusterDNS`, `clusterDomain` and `resolvConf`.
#[derive(Debug, Clone, Default)]
pub struct Kubelet {
    /// `--cluster-dns`.
    pub cluster_dns: Vec<IpAddr>,
    /// `--cluster-domain`.
    pub cluster_domain: String,
    /// The addresses of the node.
    pub node_addresses: Vec<IpAddr>,
    /// The text of the file that `--resolv-conf` names; `None` if the flag is empty.
    pub host_resolv_conf: Option<String>,
}

/// What stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Whom to ask. Most libraries ask the second only if the first is silent.
    pub nameservers: Vec<String>,
    /// Search paths.
    pub searches: Vec<String>,
    /// `ndots:5` and others.
    pub options: Vec<String>,
}

/// A warning that the kubelet leaves on the pod or, the first `MissingClusterDNS`, on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether it is about the node.
    pub on_node: bool,
    /// `DNSConfigForming` or `MissingClusterDNS`.
    pub reason: &'static str,
    /// In the kubelet's words.
    pub message: String,
}

/// `MaxDNSNameservers`, `MaxDNSSearchPaths`, `MaxDNSSearchListChars` (`pkg/apis/core/validation`), and the longest name of DNS.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;
const MAX_NAME: usize = 253;

impl fmt::Display for ResolvConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.nameservers {
            writeln!(f, "nameserver {server}")?;
        }
        if !self.searches.is_empty() {
            writeln!(f, "search {}", self.searches.join(" "))?;
        }
        if !self.options.is_empty() {
            writeln!(f, "options {}", self.options.join(" "))?;
        }
        Ok(())
    }
}

/// `parseResolvConf`: nameservers add up, while the last line of `search` and of `options` wins. `domain` is not known.
fn parse(text: &str) -> Result<ResolvConf, String> {
    let (mut conf, mut without_address) = (ResolvConf::default(), false);
    for line in text.split('\n').map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => match words.next() {
                Some(address) => conf.nameservers.push(address.into()),
                None => without_address = true,
            },
            Some("search") => {
                // The root is no search path, and the same path with a dot is the same.
                let paths = words.filter(|path| *path != ".");
                conf.searches = paths.map(|path| path.strip_suffix('.').unwrap_or(path).to_string()).collect();
            }
            Some("options") => conf.options = words.map(String::from).collect(),
            _ => {}
        }
    }
    if without_address {
        return Err("Encountered error while parsing resolv conf file. Error: nameserver list is empty ".into());
    }
    Ok(conf)
}

fn without_duplicates(items: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}

/// `mergeDNSOptions`: the pod's options replace those of the same name. Upstream their order is by chance; here it is that of their names.
fn merged(options: &[String], of_pod: &[PodDNSConfigOption]) -> Vec<String> {
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for option in options {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        by_name.insert(name.into(), value.into());
    }
    for option in of_pod {
        by_name.insert(option.name.clone().unwrap_or_default(), option.value.clone().unwrap_or_default());
    }
    by_name.into_iter().map(|(name, value)| if value.is_empty() { name } else { format!("{name}:{value}") }).collect()
}

impl Kubelet {
    /// The file for a pod, and what is said about it.
    ///
    /// # Errors
    ///
    /// If the node's own file can't be read; the pod then doesn't start.
    pub fn resolv_conf(&self, pod: &Pod) -> Result<(ResolvConf, Vec<Event>), String> {
        let mut events = Vec::new();
        let host = self.host_resolv_conf.as_deref().map(parse).transpose()?.unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        let host_network = spec.host_network == Some(true);
        let mut conf = match spec.dns_policy.as_deref() {
            Some("None") => ResolvConf::default(),
            Some("Default") => self.of_host(host),
            Some("ClusterFirst") if host_network => self.of_host(host),
            // Also for policies that the API server wouldn't let pass.
            _ if self.cluster_dns.is_empty() => {
                events.extend(missing_cluster_dns(pod));
                self.of_host(host)
            }
            _ => self.of_cluster(host, pod.metadata.namespace.as_deref().unwrap_or_default()),
        };
        if let Some(config) = spec.dns_config {
            conf.nameservers =
                without_duplicates(conf.nameservers.into_iter().chain(config.nameservers.unwrap_or_default()));
            conf.searches = without_duplicates(conf.searches.into_iter().chain(config.searches.unwrap_or_default()));
            conf.options = merged(&conf.options, &config.options.unwrap_or_default());
        }
        within_limits(&mut conf, &mut events);
        Ok((conf, events))
    }

    /// With an empty `--resolv-conf` the pod asks a server on its own machine, and searches nothing.
    fn of_host(&self, host: ResolvConf) -> ResolvConf {
        if self.host_resolv_conf.is_some() {
            return host;
        }
        let loopback = |address: &IpAddr| if address.is_ipv6() { "::1" } else { "127.0.0.1" }.to_string();
        let mut nameservers: Vec<String> = self.node_addresses.iter().map(loopback).collect();
        if nameservers.is_empty() {
            nameservers.push("127.0.0.1".into());
        }
        ResolvConf { nameservers, searches: vec![".".into()], options: host.options }
    }

    /// The node's search paths come after those of the cluster; its options are dropped.
    fn of_cluster(&self, host: ResolvConf, namespace: &str) -> ResolvConf {
        let searches = match self.cluster_domain.as_str() {
            "" => host.searches,
            domain => {
                let own = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_string()];
                without_duplicates(own.into_iter().chain(host.searches))
            }
        };
        let nameservers = self.cluster_dns.iter().map(IpAddr::to_string).collect();
        ResolvConf { nameservers, searches, options: vec!["ndots:5".into()] }
    }
}

fn missing_cluster_dns(pod: &Pod) -> [Event; 2] {
    let message = "kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" policy. \
                   Falling back to \"Default\" policy.";
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (name, namespace) = (text(&pod.metadata.name), text(&pod.metadata.namespace));
    let of_pod = format!("pod: \"{name}_{namespace}({})\". {message}", text(&pod.metadata.uid));
    let event = |on_node, message| Event { on_node, reason: "MissingClusterDNS", message };
    [event(true, message.into()), event(false, of_pod)]
}

/// `formDNSConfigFitsLimits`.
fn within_limits(conf: &mut ResolvConf, events: &mut Vec<Event>) {
    let mut tell = |what: &str, omitted: &str, line: &str, applied: &[String]| {
        let message = format!(
            "{what} limits were exceeded, some {omitted} have been omitted, the applied {line} line is: {}",
            applied.join(" ")
        );
        events.push(Event { on_node: false, reason: "DNSConfigForming", message });
    };
    if conf.nameservers.len() > MAX_NAMESERVERS {
        conf.nameservers.truncate(MAX_NAMESERVERS);
        tell("Nameserver", "nameservers", "nameserver", &conf.nameservers);
    }
    let before = conf.searches.len();
    conf.searches.truncate(MAX_SEARCHES);
    conf.searches.retain(|path| path.len() <= MAX_NAME);
    while conf.searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
        conf.searches.pop();
    }
    if conf.searches.len() < before {
        tell("Search Line", "search paths", "search", &conf.searches);
    }
}
