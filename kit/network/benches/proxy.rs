//! What kube-proxy computes for 10,000 services with 10 endpoints each: `cargo bench -p kit-network --bench proxy`.
//!
//! Printed are the full sync and the one after one endpoint has changed, which has to write the shared chains again and the
//! chains of one service; and how much less that is. Both end with the text for `iptables-restore`; what the kernel does with it takes
//! longer, and is not counted. There is no Kubernetes beside it: compare ratios.

use kit_api::core::{Service, ServicePort, ServiceSpec};
use kit_api::discovery::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kit_api::meta::ObjectMeta;
use kit_network::proxy::Family;
use kit_network::proxy::iptables::{Config, LocalDetector, Proxier};
use std::time::{Duration, Instant};

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 10;
const CHANGES: usize = 20;

fn name(service: usize) -> String {
    format!("service-{service}")
}

fn service(index: usize) -> Service {
    let cluster_ip = format!("10.96.{}.{}", index / 250, index % 250 + 1);
    Service {
        metadata: ObjectMeta { namespace: Some("shop".into()), name: Some(name(index)), ..Default::default() },
        spec: Some(ServiceSpec {
            cluster_ip: Some(cluster_ip.clone()),
            cluster_ips: Some(vec![cluster_ip]),
            ip_families: Some(vec!["IPv4".into()]),
            ports: Some(vec![ServicePort { name: Some("http".into()), port: 80, ..Default::default() }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// `shift` moves the last endpoint to another address.
fn slice(index: usize, shift: usize) -> EndpointSlice {
    let endpoint = |at: usize| {
        let number = index * ENDPOINTS + at + if at + 1 == ENDPOINTS { shift * SERVICES * ENDPOINTS } else { 0 };
        Endpoint {
            addresses: vec![format!("10.{}.{}.{}", 128 + number / 65_536 % 100, number / 256 % 256, number % 256)],
            conditions: Some(EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) }),
            node_name: Some(format!("node-{}", number % 1000)),
            ..Default::default()
        }
    };
    let labels = [("kubernetes.io/service-name".to_string(), name(index))];
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some(format!("{}-abcde", name(index))),
            labels: Some(labels.into()),
            ..Default::default()
        },
        address_type: "IPv4".into(),
        endpoints: (0..ENDPOINTS).map(endpoint).collect(),
        ports: Some(vec![EndpointPort { name: Some("http".into()), port: Some(8080), ..Default::default() }]),
    }
}

fn main() {
    let mut config = Config::new("node-1", Family::V4);
    config.pods = "10.128.0.0/9".parse().map_or(LocalDetector::None, LocalDetector::Range);
    let mut proxier = Proxier::new(config, solutions::modules().kube_proxy.make(&()));
    let start = Instant::now();
    for index in 0..SERVICES {
        proxier.set_service(&service(index));
        proxier.set_slice(&slice(index, 0));
    }
    let reading = start.elapsed();
    let start = Instant::now();
    let sync = proxier.sync(0, &[]);
    let full = start.elapsed();
    let lines = sync.restore.lines().count();
    println!("{SERVICES} services with {ENDPOINTS} endpoints each");
    println!("reading objects  {:>10.1} ms", millis(reading));
    println!("full sync        {:>10.1} ms   {lines} lines, {} MB", millis(full), sync.restore.len() / 1_000_000);
    let mut all = Duration::ZERO;
    let mut lines = 0;
    for change in 0..CHANGES {
        let index = change * SERVICES / CHANGES;
        proxier.set_slice(&slice(index, 1));
        let start = Instant::now();
        let sync = proxier.sync(change as i64, &[]);
        all += start.elapsed();
        lines = sync.restore.lines().count();
    }
    let one = all / CHANGES as u32;
    println!("after one change {:>10.1} ms   {lines} lines", millis(one));
    println!("ratio            {:>10.0}", full.as_secs_f64() / one.as_secs_f64());
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
