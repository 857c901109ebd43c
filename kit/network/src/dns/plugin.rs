//! CoreDNS' plugin `kubernetes`: a question in, an answer and the reasons for it out.
//!
//! Sources, at CoreDNS 1.13: `plugin/kubernetes/handler.go` (`ServeDNS`), `kubernetes.go`, `parse.go`, `reverse.go`, `ns.go`,
//! and `plugin/backend_lookup.go` (`A`, `AAAA`, `SRV`, `NS`, `SOA`, `BackendError`).

use super::names::{absolute, address, is_reverse, is_within, reverse_name, reversed_address, zone_of};
use super::objects::{Kept, Objects};
use super::record::{Rcode, RecordData, RecordType, ResourceRecord};
use kit_api::selector::Selector;
use kit_contract::network::Dns;
use kit_contract::network::dns::{Answer, Cluster, Data, Kind, Port, Question, Service, ServiceKind};
use std::net::IpAddr;

/// What a Corefile says about the plugin. The defaults are the plugin's own, for the domain `cluster.local`; the Corefile that kubeadm
/// writes says `pods insecure` and `ttl 30`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The first that isn't a reverse tree is the primary one, in which addresses have their names.
    pub zones: Vec<String>,
    /// `pods`.
    pub pods: PodsMode,
    /// `ttl`, in seconds.
    pub ttl: u32,
    /// `endpoint_pod_names`: endpoints without a hostname are called as their pods.
    pub endpoint_pod_names: bool,
    /// `ignore empty_service`: a service with cluster IPs but without ready endpoints doesn't exist.
    pub ignore_empty_service: bool,
    /// `namespaces`: only these exist. Empty for all.
    pub namespaces: Vec<String>,
    /// `namespace_labels`: only namespaces with these labels exist.
    pub namespace_labels: Option<Selector>,
    /// `labels`: only services, slices and pods with these labels exist.
    pub labels: Option<Selector>,
    /// `noendpoints`: slices are not looked at.
    pub no_endpoints: bool,
    /// `fallthrough`: below these zones the next plugin is asked about names that don't exist.
    pub fall_through: Vec<String>,
    /// The addresses of the server itself.
    pub local_addresses: Vec<IpAddr>,
}

/// What becomes of names such as `10-244-1-5.shop.pod.cluster.local.`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodsMode {
    /// They don't exist.
    #[default]
    Disabled,
    /// Each address has one, whether or not there is such a pod.
    Insecure,
    /// Those of pods exist.
    Verified,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            zones: ["cluster.local.", "in-addr.arpa.", "ip6.arpa."].map(String::from).to_vec(),
            pods: PodsMode::Disabled,
            ttl: 5,
            endpoint_pod_names: false,
            ignore_empty_service: false,
            namespaces: Vec::new(),
            namespace_labels: None,
            labels: None,
            no_endpoints: false,
            fall_through: Vec::new(),
            local_addresses: Vec::new(),
        }
    }
}

/// Where names outside the zones are looked up.
pub trait Upstream {
    /// All records that the lookup yields, aliases first; none if there is no such name.
    fn lookup(&self, name: &str, record_type: RecordType) -> Vec<ResourceRecord>;
}

/// Nothing lies outside the zones.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoUpstream;

impl Upstream for NoUpstream {
    fn lookup(&self, _: &str, _: RecordType) -> Vec<ResourceRecord> {
        Vec::new()
    }
}

/// What the plugin makes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `None` if the next plugin is asked.
    pub response: Option<Response>,
    /// Why, one sentence for each rule that applied.
    pub why: Vec<String>,
}

/// An answer. All but those that refuse are authoritative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The outcome.
    pub rcode: Rcode,
    /// What was asked for.
    pub answer: Vec<ResourceRecord>,
    /// The SOA record of the zone, where there is no answer.
    pub authority: Vec<ResourceRecord>,
    /// What will be asked next.
    pub additional: Vec<ResourceRecord>,
}

/// The plugin over the objects of a cluster.
pub struct Kubernetes {
    config: Config,
    module: Box<dyn Dns>,
    /// The objects, kept up to date by whoever watches the API.
    pub objects: Objects,
    /// The serial of SOA records: upstream the time of the last change.
    pub serial: u32,
}

/// Records, or what kind of nothing.
enum Found {
    Records { answer: Vec<ResourceRecord>, additional: Vec<ResourceRecord> },
    NoData,
    NameError,
}

/// How many aliases are followed, one after the other (`maxCnameChainLength`).
const MAX_ALIASES: usize = 10;

/// The version of the specification, and for how long it may be remembered (`Services`).
const DNS_VERSION: (&str, u32) = ("1.1.0", 28_800);

/// One question on its way: the name as asked and in lower case, and the zone as asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    name: &'a str,
    lower: &'a str,
    zone: &'a str,
}

impl Kubernetes {
    /// Without any object yet. Records of services are the module's.
    pub fn new(mut config: Config, module: Box<dyn Dns>) -> Self {
        for zone in config.zones.iter_mut().chain(&mut config.fall_through) {
            *zone = absolute(zone).to_ascii_lowercase();
        }
        Kubernetes { objects: Objects::new(&config), config, module, serial: 0 }
    }

    /// What it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Answers one question (`ServeDNS`). A name without a dot at its end gets one.
    pub fn answer(&self, name: &str, record_type: RecordType, upstream: &dyn Upstream) -> Reply {
        let name = absolute(name);
        let lower = name.to_ascii_lowercase();
        let mut why = Vec::new();
        let Some(zone) = zone_of(&self.config.zones, &name) else {
            why.push(format!("{name} lies in none of the zones {}", self.config.zones.join(" ")));
            return Reply { response: None, why };
        };
        // The case of the question is kept.
        let zone = name.get(name.len() - zone.len()..).unwrap_or(&name);
        let asked = Asked { name: &name, lower: &lower, zone };
        why.push(format!("the zone is {zone}"));
        let found = match record_type {
            RecordType::A => self.addresses(asked, Kind::A, upstream, &mut Vec::new(), &mut why),
            RecordType::AAAA => self.addresses(asked, Kind::Aaaa, upstream, &mut Vec::new(), &mut why),
            RecordType::SRV => self.find(asked, Kind::Srv, &mut why),
            RecordType::CNAME => self.find(asked, Kind::Cname, &mut why),
            RecordType::PTR => self.pointers(asked, &mut why),
            RecordType::TXT => self.text(asked, &mut why),
            RecordType::SOA if name == zone => {
                why.push("the SOA record of the zone itself".into());
                Found::Records { answer: vec![self.soa(zone)], additional: Vec::new() }
            }
            RecordType::SOA => {
                why.push("only the zone itself has an SOA record; below it no name is looked for: NODATA".into());
                Found::NoData
            }
            RecordType::AXFR | RecordType::IXFR => {
                why.push("zone transfers are refused".into());
                let none = Vec::new;
                let response =
                    Response { rcode: Rcode::Refused, answer: none(), authority: none(), additional: none() };
                return Reply { response: Some(response), why };
            }
            RecordType::NS if lower == zone => self.servers(zone, &mut why),
            _ => {
                why.push(format!("there are no {record_type} records: only whether the name exists is asked"));
                match self.find(asked, Kind::Https, &mut why) {
                    Found::NameError => Found::NameError,
                    _ => Found::NoData,
                }
            }
        };
        let (rcode, answer, additional) = match found {
            Found::Records { answer, additional } => (Rcode::NoError, answer, additional),
            Found::NoData => (Rcode::NoError, Vec::new(), Vec::new()),
            Found::NameError if zone_of(&self.config.fall_through, &lower).is_some() => {
                why.push("names that don't exist fall through to the next plugin".into());
                return Reply { response: None, why };
            }
            Found::NameError => (Rcode::NxDomain, Vec::new(), Vec::new()),
        };
        let authority = if answer.is_empty() { vec![self.soa(zone)] } else { Vec::new() };
        Reply { response: Some(Response { rcode, answer, authority, additional }), why }
    }

    fn record(&self, name: &str, data: RecordData) -> ResourceRecord {
        ResourceRecord { name: name.into(), ttl: self.config.ttl, data }
    }

    /// The record itself may be kept for 300 s at most, what it says of "no" for the whole TTL.
    fn soa(&self, zone: &str) -> ResourceRecord {
        let data = RecordData::Soa {
            server: format!("ns.dns.{zone}"),
            mailbox: format!("hostmaster.{zone}"),
            serial: self.serial,
            minimum: self.config.ttl,
        };
        ResourceRecord { name: zone.into(), ttl: self.config.ttl.min(300), data }
    }

    fn primary_zone(&self) -> &str {
        let forward = self.config.zones.iter().find(|zone| !is_reverse(&format!(".{zone}")));
        forward.or(self.config.zones.first()).map_or("cluster.local.", String::as_str)
    }

    /// `A` and `AAAA` follow aliases, inside the zone by themselves.
    fn addresses(
        &self,
        asked: Asked<'_>,
        kind: Kind,
        upstream: &dyn Upstream,
        aliases: &mut Vec<String>,
        why: &mut Vec<String>,
    ) -> Found {
        let (found, additional) = match self.find(asked, kind, why) {
            Found::Records { answer, additional } => (answer, additional),
            other => return other,
        };
        let mut answer = Vec::new();
        for record in found {
            let RecordData::Cname(target) = &record.data else {
                answer.push(record);
                continue;
            };
            if is_within(target, asked.lower) {
                why.push(format!("{target} is an alias of itself"));
                continue;
            }
            if aliases.len() > MAX_ALIASES || aliases.contains(target) {
                why.push(format!("{target} was met before: the chain of aliases is cut"));
                continue;
            }
            if is_within(target, asked.zone) {
                why.push(format!("the alias {target} lies in the zone, and is looked up here"));
                let lower = target.to_ascii_lowercase();
                let next = Asked { name: target, lower: &lower, zone: asked.zone };
                aliases.push(target.clone());
                let found = self.addresses(next, kind, upstream, aliases, why);
                aliases.pop();
                match found {
                    Found::Records { answer: records, .. } => {
                        answer.push(record);
                        answer.extend(records);
                    }
                    _ => why.push(format!("{target} has no such address, and so the alias isn't told either")),
                }
            } else {
                let wanted = if kind == Kind::A { RecordType::A } else { RecordType::AAAA };
                let records = upstream.lookup(target, wanted);
                why.push(format!("the alias {target} lies outside, where a lookup gives {} records", records.len()));
                answer.push(record);
                answer.extend(records);
            }
        }
        if answer.is_empty() { Found::NoData } else { Found::Records { answer, additional } }
    }

    /// `Services` and what is made of them; aliases aren't followed.
    fn find(&self, asked: Asked<'_>, kind: Kind, why: &mut Vec<String>) -> Found {
        // Upstream compares the name in lower case with the zone as asked (`isDefaultNS`).
        if asked.lower.strip_prefix("ns.dns.") == Some(asked.zone) {
            why.push("the name of the server itself".into());
            let mut answer = Vec::new();
            for (_, address) in self.server_addresses(asked.zone) {
                let record = self.record(asked.name, address_data(address));
                if answers(kind, &record.data) && !answer.contains(&record) {
                    answer.push(record);
                }
            }
            return if answer.is_empty() { Found::NoData } else { Found::Records { answer, additional: Vec::new() } };
        }
        let below = asked.lower.get(..asked.lower.len() - asked.zone.len()).unwrap_or_default();
        let mut labels: Vec<&str> = below.split_terminator('.').collect();
        labels.reverse();
        let (tree, namespace, rest) = match labels[..] {
            [] | ["svc"] | ["pod"] => {
                why.push("the zone, `svc` and `pod` exist, and have no such records: NODATA".into());
                return Found::NoData;
            }
            [tree @ ("svc" | "pod"), namespace, ref rest @ ..] if rest.len() <= 3 => (tree, namespace, rest),
            _ => {
                why.push("no name has this form: NXDOMAIN".into());
                return Found::NameError;
            }
        };
        if is_reverse(asked.lower) {
            why.push("addresses have only PTR records: NXDOMAIN".into());
            return Found::NameError;
        }
        if !self.objects.exposes(namespace) {
            why.push(format!("there is no namespace {namespace}, or it isn't exposed: NXDOMAIN"));
            return Found::NameError;
        }
        match rest {
            _ if tree == "pod" && self.config.pods == PodsMode::Disabled => {
                why.push("names of pods are disabled: NXDOMAIN".into());
                Found::NameError
            }
            [] => {
                why.push(format!("the namespace {namespace} exists, and has no records: NODATA"));
                Found::NoData
            }
            [pod, ..] if tree == "pod" => self.pod(asked, namespace, pod, kind, why),
            [service, rest @ ..] => self.service(asked, namespace, service, rest, kind, why),
        }
    }

    /// `findPods`. What stands before the name of a pod is not looked at.
    fn pod(&self, asked: Asked<'_>, namespace: &str, pod: &str, kind: Kind, why: &mut Vec<String>) -> Found {
        let four = pod.matches('-').count() == 3 && !pod.contains("--");
        let text = pod.replace('-', if four { "." } else { ":" });
        let count = if self.config.pods == PodsMode::Insecure {
            why.push("insecure: each address has a name, whether or not a pod has the address".into());
            1
        } else {
            why.push(format!("verified: a pod of {namespace} must have the address {text}, letter for letter"));
            self.objects.pods_with(namespace, &text)
        };
        let Some(address) = address(&text).filter(|_| count > 0) else {
            why.push("there is none: NXDOMAIN".into());
            return Found::NameError;
        };
        let data = address_data(address);
        if kind == Kind::Srv {
            let target = format!("{pod}.{namespace}.pod.{}", asked.zone);
            let weight = u16::try_from(100 / count).unwrap_or(1).max(1);
            let additional = vec![self.record(&target, data)];
            let answer = vec![self.record(asked.name, RecordData::Srv { weight, port: 0, target })];
            return Found::Records { answer, additional };
        }
        if answers(kind, &data) {
            Found::Records { answer: vec![self.record(asked.name, data)], additional: Vec::new() }
        } else {
            Found::NoData
        }
    }

    /// The module answers from what there is of one service.
    fn service(
        &self,
        asked: Asked<'_>,
        namespace: &str,
        name: &str,
        rest: &[&str],
        kind: Kind,
        why: &mut Vec<String>,
    ) -> Found {
        let Some(service) = self.objects.service(namespace, name) else {
            why.push(format!("there is no service {namespace}/{name}: NXDOMAIN"));
            return Found::NameError;
        };
        let slices: Vec<&Kept> = self.objects.slices(namespace, name).collect();
        if self.config.ignore_empty_service
            && matches!(service.kind, ServiceKind::ClusterIps(_))
            && slices.iter().all(|kept| kept.ready().next().is_none() && kept.names.is_empty())
        {
            why.push(format!("the service {namespace}/{name} has no ready endpoint, and so is ignored: NXDOMAIN"));
            return Found::NameError;
        }
        explain(service, &slices, rest, why);
        let zone = asked.zone.to_ascii_lowercase();
        let mut cluster = Cluster {
            domain: zone.trim_end_matches('.').to_string(),
            namespaces: vec![namespace.to_string()],
            services: vec![service.clone()],
            slices: slices.iter().map(|kept| kept.view.clone()).collect(),
        };
        let mut question = Question { name: asked.lower.into(), kind };
        if let [protocol, port] = rest
            && let Some(only) = any_port(protocol, port)
        {
            why.push("a single underscore stands for any port".into());
            only.keep(&mut cluster);
            question.name = format!("{name}.{namespace}.svc.{zone}");
        }
        let answer = self.module.answer(&question, &cluster);
        let mut found = self.translated(answer, asked, &zone);
        if let Some(target) = slices.iter().find_map(|kept| named(kept, service, rest)) {
            found = self.with_name(found, asked, kind, &target);
        }
        why.push(match &found {
            Found::Records { answer, .. } => format!("{} {} answer", answer.len(), plural("record", answer.len())),
            Found::NoData => format!("the name exists, without {} records: NODATA", text(kind)),
            Found::NameError => "nothing is found: NXDOMAIN".into(),
        });
        found
    }

    /// Endpoints may be names. They are aliases, and of no use for all other types.
    fn with_name(&self, found: Found, asked: Asked<'_>, kind: Kind, target: &str) -> Found {
        let alias = self.record(asked.name, RecordData::Cname(absolute(target)));
        match (found, kind) {
            (Found::Records { mut answer, additional }, Kind::A | Kind::Aaaa) => {
                answer.push(alias);
                Found::Records { answer, additional }
            }
            (Found::NoData, Kind::A | Kind::Aaaa) | (Found::NameError, Kind::A | Kind::Aaaa | Kind::Cname) => {
                Found::Records { answer: vec![alias], additional: Vec::new() }
            }
            (Found::NameError, _) => Found::NoData,
            (found, _) => found,
        }
    }

    /// The module's records, in the case of the question: its name is kept, and the zone in the names of hosts.
    fn translated(&self, answer: Answer, asked: Asked<'_>, zone: &str) -> Found {
        let as_asked = |name: &str| match name.strip_suffix(zone) {
            Some(below) => format!("{below}{}", asked.zone),
            None => name.to_string(),
        };
        let data = |data: Data| match data {
            Data::A(text) | Data::Aaaa(text) => address(&text).map(address_data),
            Data::Cname(target) => Some(RecordData::Cname(absolute(&target))),
            Data::Ptr(target) => Some(RecordData::Ptr(absolute(&target))),
            Data::Srv { weight, port, target } => Some(RecordData::Srv { weight, port, target: as_asked(&target) }),
        };
        match answer {
            Answer::Records { answer, additional } => {
                let answer = answer.into_iter().filter_map(|record| Some(self.record(asked.name, data(record.data)?)));
                let additional = additional
                    .into_iter()
                    .filter_map(|record| Some(self.record(&as_asked(&record.name), data(record.data)?)));
                let (answer, additional): (Vec<_>, Vec<_>) = (answer.collect(), additional.collect());
                if answer.is_empty() { Found::NoData } else { Found::Records { answer, additional } }
            }
            Answer::NoData => Found::NoData,
            Answer::NxDomain => Found::NameError,
        }
    }

    /// `Reverse`.
    fn pointers(&self, asked: Asked<'_>, why: &mut Vec<String>) -> Found {
        let Some(address) = reversed_address(asked.lower) else {
            if asked.lower.starts_with("ns.dns.") {
                return Found::NameError;
            }
            return match self.find(asked, Kind::Ptr, why) {
                Found::NameError => Found::NameError,
                _ => Found::NoData,
            };
        };
        let address = address.to_string();
        let services: Vec<Service> = self.objects.services_with(&address).take(1).cloned().collect();
        let slices: Vec<&Kept> = self.objects.slices_with(&address).collect();
        why.push(match (services.first(), slices.len()) {
            (Some(service), _) => format!("{address} is a cluster IP of {}/{}", service.namespace, service.name),
            (None, 0) => format!("{address} is neither a cluster IP nor a ready endpoint: NXDOMAIN"),
            (None, count) => format!("{address} is ready in {count} {}", plural("slice", count)),
        });
        let cluster = Cluster {
            domain: self.primary_zone().trim_end_matches('.').to_string(),
            namespaces: Vec::new(),
            services,
            slices: slices.iter().map(|kept| kept.view.clone()).collect(),
        };
        let name = address.parse().map_or_else(|_| asked.lower.to_string(), reverse_name);
        let answer = self.module.answer(&Question { name, kind: Kind::Ptr }, &cluster);
        self.translated(answer, asked, asked.zone)
    }

    /// `dns-version` is the only text.
    fn text(&self, asked: Asked<'_>, why: &mut Vec<String>) -> Found {
        let below = asked.lower.get(..asked.lower.len() - asked.zone.len()).unwrap_or_default();
        if below == "dns-version." {
            let (version, ttl) = DNS_VERSION;
            why.push("the version of the specification".into());
            let data = RecordData::Txt(version.into());
            let answer = vec![ResourceRecord { name: asked.name.into(), ttl, data }];
            return Found::Records { answer, additional: Vec::new() };
        }
        why.push("only `dns-version` has a text: only services and pods are looked for".into());
        if below.split_terminator('.').count() < 3 || asked.lower.starts_with("ns.dns.") {
            return Found::NameError;
        }
        match self.find(asked, Kind::Https, why) {
            Found::NameError => Found::NameError,
            _ => Found::NoData,
        }
    }

    /// `NS`: the services in front of the server itself, with their addresses.
    fn servers(&self, zone: &str, why: &mut Vec<String>) -> Found {
        why.push("the servers of the zone: the services in front of this one".into());
        let (mut answer, mut additional) = (Vec::new(), Vec::new());
        for (name, address) in self.server_addresses(zone) {
            additional.push(self.record(&name, address_data(address)));
            let server = self.record(zone, RecordData::Ns(name));
            if !answer.contains(&server) {
                answer.push(server);
            }
        }
        if answer.is_empty() { Found::NoData } else { Found::Records { answer, additional } }
    }

    /// `nsAddrs`: the names and addresses of services whose endpoints this server is, or else its own.
    fn server_addresses(&self, zone: &str) -> Vec<(String, IpAddr)> {
        let (mut servers, mut is_endpoint) = (Vec::new(), false);
        for local in &self.config.local_addresses {
            for kept in self.objects.all_slices_with(&local.to_string()) {
                is_endpoint = true;
                let Some(service) = self.objects.service(&kept.view.namespace, &kept.view.service) else { continue };
                let name = format!("{}.{}.svc.{zone}", service.name, service.namespace);
                match &service.kind {
                    ServiceKind::ClusterIps(addresses) => {
                        servers.extend(addresses.iter().filter_map(|text| Some((name.clone(), address(text)?))));
                    }
                    ServiceKind::Headless => servers.extend(
                        kept.ready().filter_map(|(text, host)| Some((format!("{host}.{name}"), address(text)?))),
                    ),
                    ServiceKind::ExternalName(_) => {}
                }
            }
        }
        if !is_endpoint {
            servers.extend(self.config.local_addresses.iter().map(|local| (format!("ns.dns.{zone}"), *local)));
        }
        servers
    }
}

fn address_data(address: IpAddr) -> RecordData {
    match address {
        IpAddr::V4(address) => RecordData::A(address),
        IpAddr::V6(address) => RecordData::Aaaa(address),
    }
}

fn answers(kind: Kind, data: &RecordData) -> bool {
    matches!((kind, data), (Kind::A, RecordData::A(_)) | (Kind::Aaaa, RecordData::Aaaa(_)))
}

fn text(kind: Kind) -> &'static str {
    match kind {
        Kind::A => "A",
        Kind::Aaaa => "AAAA",
        Kind::Cname => "CNAME",
        Kind::Ptr => "PTR",
        Kind::Srv => "SRV",
        Kind::Https => "such",
    }
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.into() } else { format!("{word}s") }
}

/// What is left of a port's name and protocol if one of the labels is a single underscore (`matchPortAndProtocol`): an empty text
/// fits everything.
struct AnyPort<'a> {
    name: &'a str,
    protocol: &'a str,
}

fn any_port<'a>(protocol: &'a str, port: &'a str) -> Option<AnyPort<'a>> {
    let bare = |label: &'a str| label.strip_prefix('_').unwrap_or(label);
    let (name, protocol) = (bare(port), bare(protocol));
    (name.is_empty() || protocol.is_empty()).then_some(AnyPort { name, protocol })
}

impl AnyPort<'_> {
    fn keep(&self, cluster: &mut Cluster) {
        let fits = |wanted: &str, text: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(text);
        let is_kept = |port: &Port| fits(self.name, &port.name) && fits(self.protocol, &port.protocol);
        cluster.services.iter_mut().for_each(|service| service.ports.retain(is_kept));
        let everything = self.name.is_empty() && self.protocol.is_empty();
        cluster.slices.retain_mut(|slice| {
            slice.ports.retain(is_kept);
            everything || !slice.ports.is_empty()
        });
    }
}

/// The first endpoint that is a name, among those that are asked for.
fn named(kept: &Kept, service: &Service, rest: &[&str]) -> Option<String> {
    let headless = service.kind == ServiceKind::Headless;
    let (_, target) =
        kept.names.iter().find(|(host, _)| match rest {
            [] => headless,
            [wanted] => host == wanted,
            [protocol, name, ..] => {
                let bare = |label: &&str| label.strip_prefix('_').unwrap_or(label).to_string();
                let (name, protocol) = (bare(name), bare(protocol));
                headless
                    && kept.view.ports.iter().any(|port| {
                        port.name.eq_ignore_ascii_case(&name) && port.protocol.eq_ignore_ascii_case(&protocol)
                    })
            }
        })?;
    Some(target.clone())
}

/// What the name of a service stands for, in words.
fn explain(service: &Service, slices: &[&Kept], rest: &[&str], why: &mut Vec<String>) {
    let name = format!("{}/{}", service.namespace, service.name);
    why.push(match &service.kind {
        ServiceKind::ClusterIps(addresses) => {
            format!(
                "the service {name} has the cluster IP {}; its endpoints don't matter for its name",
                addresses.join(" and ")
            )
        }
        ServiceKind::Headless => {
            let all: usize = slices.iter().flat_map(|kept| &kept.view.endpoints).map(|e| e.addresses.len()).sum();
            let ready: usize = slices.iter().map(|kept| kept.ready().count()).sum();
            format!(
                "the service {name} is headless: {ready} of {all} {} of its endpoints are ready",
                if all == 1 { "address" } else { "addresses" }
            )
        }
        ServiceKind::ExternalName(target) => format!("the service {name} is an alias of {target}"),
    });
    match rest {
        [host] => why.push(format!("the endpoint {host} of it is asked for")),
        [protocol, port] => why.push(format!("the port {port} of the protocol {protocol} is asked for")),
        _ => {}
    }
}
