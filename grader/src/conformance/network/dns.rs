//! Names: the server's answers, the resolver's tries, and the file that the kubelet writes.

use kit_api::core::{Namespace, Pod, Service};
use kit_api::discovery::EndpointSlice;
use kit_network::dns::resolv_conf::Kubelet;
use kit_network::dns::resolver::{Library, Resolver};
use kit_network::dns::{Config, Kubernetes, PodsMode, RecordData, RecordType, ResourceRecord, Upstream};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

fn objects<T: DeserializeOwned>(case: &Value, kind: &str) -> Result<Vec<T>, String> {
    match &case["objects"][kind] {
        Value::Null => Ok(Vec::new()),
        objects => {
            let mut objects = objects.clone();
            // A port without any field was recorded as null.
            for slice in objects.as_array_mut().into_iter().flatten() {
                let ports = slice.get_mut("ports").and_then(Value::as_array_mut);
                ports.into_iter().flatten().filter(|port| port.is_null()).for_each(|port| *port = json!({}));
            }
            serde_json::from_value(objects).map_err(|e| format!("{kind}: {e}"))
        }
    }
}

/// Records outside the zones, as text. Aliases are followed.
struct Outside(Vec<(String, RecordType, ResourceRecord)>);

impl Outside {
    fn read(lines: &[String]) -> Result<Outside, String> {
        let record = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, ttl, "IN", kind, data] = words[..] else { return None };
            let record_type = RecordType::by_name(kind)?;
            let data = match kind {
                "A" => RecordData::A(data.parse().ok()?),
                "AAAA" => RecordData::Aaaa(data.parse().ok()?),
                "CNAME" => RecordData::Cname(data.into()),
                _ => return None,
            };
            Some((name.to_string(), record_type, ResourceRecord { name: name.into(), ttl: ttl.parse().ok()?, data }))
        };
        lines
            .iter()
            .map(|line| record(line).ok_or_else(|| format!("no record: {line}")))
            .collect::<Result<_, _>>()
            .map(Outside)
    }
}

impl Upstream for Outside {
    fn lookup(&self, name: &str, record_type: RecordType) -> Vec<ResourceRecord> {
        let of = |kind: RecordType| {
            let mine = self.0.iter().filter(move |(owner, of, _)| owner.eq_ignore_ascii_case(name) && *of == kind);
            mine.map(|(_, _, record)| record.clone()).collect::<Vec<_>>()
        };
        let mut records = of(RecordType::CNAME);
        if let Some(ResourceRecord { data: RecordData::Cname(target), .. }) = records.first() {
            records.extend(self.lookup(&target.clone(), record_type));
            return records;
        }
        of(record_type)
    }
}

fn config(case: &Value) -> Result<Config, String> {
    let config = &case["config"];
    let pods = match config["pods"].as_str() {
        Some("insecure") => PodsMode::Insecure,
        Some("verified") => PodsMode::Verified,
        _ => PodsMode::Disabled,
    };
    let is = |field: &str| config[field] == json!(true);
    Ok(Config {
        zones: strings(&config["zones"]),
        pods,
        ttl: config["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).ok_or("no ttl")?,
        endpoint_pod_names: is("endpointPodNames"),
        ignore_empty_service: is("ignoreEmptyService"),
        namespaces: strings(&config["namespaces"]),
        namespace_labels: config["namespaceLabels"].as_str().map(str::parse).transpose()?,
        labels: config["labels"].as_str().map(str::parse).transpose()?,
        no_endpoints: is("noendpoints"),
        fall_through: strings(&config["fallthrough"]),
        local_addresses: strings(&config["localIPs"]).iter().filter_map(|address| address.parse().ok()).collect(),
    })
}

/// The records of one section; only aliases have an order.
fn section(records: &[ResourceRecord]) -> Vec<String> {
    let (aliases, mut others): (Vec<String>, Vec<String>) =
        records.iter().map(ToString::to_string).partition(|record| record.contains(" IN CNAME "));
    others.sort();
    aliases.into_iter().chain(others).collect()
}

pub fn dns(case: &Value) -> Result<(), String> {
    let mut server = Kubernetes::new(config(case)?, solutions::modules().dns.make(&()));
    for namespace in objects::<Namespace>(case, "namespaces")? {
        server.objects.set_namespace(&namespace);
    }
    for service in objects::<Service>(case, "services")? {
        server.objects.set_service(&service);
    }
    for slice in objects::<EndpointSlice>(case, "endpointSlices")? {
        server.objects.set_slice(&slice);
    }
    for pod in objects::<Pod>(case, "pods")? {
        server.objects.set_pod(&pod);
    }
    let outside = Outside::read(&strings(&case["config"]["upstream"]))?;
    for query in case["queries"].as_array().into_iter().flatten() {
        let (name, kind) = (query["name"].as_str().unwrap_or_default(), query["type"].as_str().unwrap_or_default());
        let record_type = RecordType::by_name(kind).ok_or_else(|| format!("no type {kind}"))?;
        let reply = server.answer(name, record_type, &outside);
        let got = match &reply.response {
            None => json!({"passedToNext": true}),
            Some(response) => json!({
                "rcode": response.rcode.to_string(),
                "answer": section(&response.answer),
                "authority": section(&response.authority),
                "additional": section(&response.additional),
            }),
        };
        let expected = match query["passedToNext"].as_bool() {
            Some(true) => json!({"passedToNext": true}),
            _ => json!({
                "rcode": query["rcode"],
                "answer": strings(&query["answer"]),
                "authority": strings(&query["authority"]),
                "additional": strings(&query["additional"]),
            }),
        };
        if got != expected {
            return Err(format!("{name} {kind}: expected {expected}, got {got}, because {}", reply.why.join("; ")));
        }
    }
    Ok(())
}

pub fn resolver_search(case: &Value) -> Result<(), String> {
    let options = [format!("ndots:{}", case["ndots"])];
    let resolver = Resolver::new(&strings(&case["search"]), &options, Library::Glibc);
    let (tries, expected) = (resolver.tries(case["name"].as_str().unwrap_or_default()), strings(&case["tries"]));
    if tries == expected { Ok(()) } else { Err(format!("expected {expected:?}, got {tries:?}")) }
}

pub fn pod_resolv_conf(case: &Value) -> Result<(), String> {
    let pod = &case["pod"];
    let addresses = |field: &str| strings(&pod[field]).iter().filter_map(|address| address.parse().ok()).collect();
    let kubelet = Kubelet {
        cluster_dns: addresses("clusterDNS"),
        cluster_domain: pod["clusterDomain"].as_str().unwrap_or_default().into(),
        node_addresses: addresses("nodeIPs"),
        host_resolv_conf: pod["hostResolvConf"].as_str().map(String::from),
    };
    // The recorder's pod.
    let object = json!({
        "metadata": {"name": "web", "namespace": pod["namespace"], "uid": "uid-web"},
        "spec": {
            "containers": [],
            "dnsPolicy": pod["dnsPolicy"],
            "dnsConfig": pod["dnsConfig"],
            "hostNetwork": pod["hostNetwork"],
        },
    });
    let object: Pod = serde_json::from_value(object).map_err(|e| e.to_string())?;
    let got = match kubelet.resolv_conf(&object) {
        Ok((conf, events)) => json!({
            "nameservers": conf.nameservers,
            "searches": conf.searches,
            "options": conf.options.iter().collect::<BTreeSet<_>>(),
            "events": events.iter().map(|e| format!("Warning {} {}", e.reason, e.message)).collect::<Vec<_>>(),
        }),
        Err(error) => json!({"error": error}),
    };
    let expected = match case.get("error") {
        Some(error) => json!({"error": error}),
        None => json!({
            "nameservers": strings(&case["nameservers"]),
            "searches": strings(&case["searches"]),
            "options": strings(&case["options"]),
            "events": strings(&case["events"]),
        }),
    };
    if got == expected { Ok(()) } else { Err(format!("expected {expected}, got {got}")) }
}
