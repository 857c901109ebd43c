//! The service `kubernetes` in the namespace `default`, by which pods find the API server.
//!
//! No selector and no pods stand behind it: the API server itself makes the service, its Endpoints and its slice, and looks
//! every ten seconds whether they are still there. A service that somebody has changed it leaves alone; addresses and ports it
//! sets right.
//!
//! Sources: `pkg/controlplane/controller/kubernetesservice/controller.go`, `pkg/controlplane/reconcilers/endpointsadapter.go`.

use super::SERVICE_NAME;
use kit_api::core::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service, ServicePort, ServiceSpec};
use kit_api::discovery::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};
use kit_api::int_or_percent::IntOrString;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{AsKind, Kind};
use kit_client::component::{Component, World};
use kit_server::{Change, Error};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
/// The first address for services (`--service-cluster-ip-range`).
const CLUSTER_IP: &str = "10.96.0.1";
/// Where the simulated API server is (`--advertise-address`): on no node, and on the nodes' network.
pub const ADVERTISED: &str = "192.168.255.1";
/// `--secure-port`
const PORT: i32 = 6443;
/// `DefaultEndpointReconcilerInterval`
const INTERVAL: Instant = Instant::seconds(10);

/// Keeps the service and who stands behind it.
#[derive(Debug, Default)]
pub struct KubernetesService {
    next: Instant,
}

fn named(labels: &[(&str, &str)]) -> ObjectMeta {
    let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    ObjectMeta {
        name: Some(NAME.into()),
        namespace: Some(NAMESPACE.into()),
        labels: Some(labels.collect::<BTreeMap<_, _>>()),
        ..ObjectMeta::default()
    }
}

fn service() -> Service {
    let port = ServicePort {
        name: Some("https".into()),
        port: 443,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::Int(PORT)),
        ..ServicePort::default()
    };
    Service {
        metadata: named(&[("component", "apiserver"), ("provider", "kubernetes")]),
        spec: Some(ServiceSpec {
            cluster_ip: Some(CLUSTER_IP.into()),
            ip_family_policy: Some("SingleStack".into()),
            ports: Some(vec![port]),
            session_affinity: Some("None".into()),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn endpoints() -> Endpoints {
    let address = EndpointAddress { ip: ADVERTISED.into(), ..EndpointAddress::default() };
    let port = EndpointPort {
        name: Some("https".into()),
        port: PORT,
        protocol: Some("TCP".into()),
        ..EndpointPort::default()
    };
    let subset =
        EndpointSubset { addresses: Some(vec![address]), ports: Some(vec![port]), ..EndpointSubset::default() };
    Endpoints { metadata: named(&[("endpointslice.kubernetes.io/skip-mirror", "true")]), subsets: Some(vec![subset]) }
}

fn slice() -> EndpointSlice {
    let endpoint = Endpoint {
        addresses: vec![ADVERTISED.into()],
        conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
        ..Endpoint::default()
    };
    let port = SlicePort {
        name: Some("https".into()),
        port: Some(PORT),
        protocol: Some("TCP".into()),
        ..SlicePort::default()
    };
    EndpointSlice {
        metadata: named(&[(SERVICE_NAME, NAME)]),
        address_type: "IPv4".into(),
        endpoints: vec![endpoint],
        ports: Some(vec![port]),
    }
}

fn sync(world: &mut World<'_>) -> Result<(), Error> {
    if world.cache.fetch::<Service>(NAMESPACE, NAME).is_none() {
        world.server.create(service().into_object())?;
    }
    let right = endpoints();
    match world.cache.fetch::<Endpoints>(NAMESPACE, NAME).cloned() {
        None => drop(world.server.create(right.into_object())?),
        Some(there) if there.subsets != right.subsets => {
            world.server.update(Endpoints { subsets: right.subsets, ..there }.into_object())?;
        }
        Some(_) => {}
    }
    let right = slice();
    match world.cache.fetch::<EndpointSlice>(NAMESPACE, NAME).cloned() {
        None => drop(world.server.create(right.into_object())?),
        Some(there) if (&there.endpoints, &there.ports) != (&right.endpoints, &right.ports) => {
            let EndpointSlice { endpoints, ports, .. } = right;
            world.server.update(EndpointSlice { endpoints, ports, ..there }.into_object())?;
        }
        Some(_) => {}
    }
    Ok(())
}

impl Component for KubernetesService {
    fn name(&self) -> &'static str {
        "kubernetes-service"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Endpoints, Kind::EndpointSlice]
    }

    fn observe(&mut self, _: &Change, _: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        if world.now < self.next {
            return;
        }
        self.next = world.now + INTERVAL;
        // What could not be written now is written the next time.
        _ = sync(world);
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use kit_apimachinery::object::Key;
    use kit_server::DeleteOptions;

    #[test]
    fn what_pods_find_the_api_server_by_comes_back() {
        let seen = |bench: &Bench| {
            let service = bench.server.fetch::<Service>(NAMESPACE, NAME).ok().and_then(|service| service.spec);
            let endpoints = bench.server.fetch::<Endpoints>(NAMESPACE, NAME).ok();
            let slice = bench.server.fetch::<EndpointSlice>(NAMESPACE, NAME).ok();
            let first = |slice: EndpointSlice| slice.endpoints.first().map(|first| first.addresses.join(" "));
            let address =
                |endpoints: Endpoints| endpoints.subsets?.first()?.addresses.clone()?.first().map(|a| a.ip.clone());
            (service.and_then(|spec| spec.cluster_ip), endpoints.and_then(address), slice.and_then(first))
        };
        let own = Some(ADVERTISED.to_string());
        let whole = (Some(CLUSTER_IP.to_string()), own.clone(), own);
        let mut bench = Bench::new(KubernetesService::default());
        bench.run_until(Instant::seconds(1));
        assert_eq!(seen(&bench), whole);

        let mut other = bench.server.fetch::<EndpointSlice>(NAMESPACE, NAME).expect("it is there");
        other.endpoints[0].addresses = vec!["10.0.0.9".into()];
        bench.server.update(other.into_object()).expect("a slice can be changed");
        for kind in [Kind::Service, Kind::Endpoints] {
            let key = Key::new(kind, NAMESPACE, NAME);
            bench.server.delete(&key, &DeleteOptions::default()).expect("it is there");
        }
        bench.run_until(Instant::seconds(9));
        assert_eq!(seen(&bench), (None, None, Some("10.0.0.9".to_string())));
        bench.run_until(Instant::seconds(11));
        assert_eq!(seen(&bench), whole);
    }
}
