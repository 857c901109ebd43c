//! The simulated cloud: what its API has and answers.
//!
//! It is behind the interfaces of `staging/src/k8s.io/cloud-provider/cloud.go`: `InstancesV2`, `LoadBalancer` and `Routes`.
//! Where clouds differ it follows Google's: the times of its health checks, and load balancers that send packets to node
//! ports (`legacy-cloud-providers/gce`).

use kit_api::core::{Node, NodeAddress, Service, ServiceSpec};
use kit_contract::network::load_balancer::Host;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// How long a load balancer takes to be made; one that is there is changed faster.
const MAKE: Instant = Instant::seconds(10);
const CHANGE: Instant = Instant::seconds(1);
const REMOVE: Instant = Instant::seconds(3);
/// So often in a row a target must not answer until it gets no new connections; one answer brings it back.
pub const UNHEALTHY_THRESHOLD: u32 = 3;
/// From one question of a health check to the next.
pub const CHECK_INTERVAL: Instant = Instant::seconds(8);
/// The port at which kube-proxy says whether it is well (`--healthz-bind-address`).
pub const KUBE_PROXY_PORT: i32 = 10_256;

/// What is wrong with the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Every call takes so much longer.
    Slow(Instant),
    /// Every call fails.
    Failing,
    /// Every call of load balancers is refused, with the wish to be asked again after so many seconds.
    Throttling(u32),
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// Why.
    pub message: String,
    /// When the cloud wants to be asked again, if it said so.
    pub retry_after_seconds: Option<u32>,
}

impl std::fmt::Display for CloudError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

fn error(message: impl Into<String>) -> CloudError {
    CloudError { message: message.into(), retry_after_seconds: None }
}

/// A machine that can be a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name, which is that of its node.
    pub name: String,
    /// Its zone, if the cloud has several.
    pub zone: Option<String>,
    /// What it was ordered as.
    pub instance_type: String,
    /// Its addresses.
    pub addresses: Vec<NodeAddress>,
    /// Whether it was shut down.
    pub stopped: bool,
}

impl Instance {
    /// `spec.providerID` of its node.
    pub fn provider_id(&self) -> String {
        format!("sim://{}/{}", self.zone.as_deref().unwrap_or("zone"), self.name)
    }
}

/// A load balancer: one address, and nodes that take what arrives there.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancer {
    /// Its name in the cloud.
    pub name: String,
    /// Namespace and name of the service.
    pub service: String,
    /// Where clients find it.
    pub address: String,
    /// Its ports.
    pub listeners: Vec<Listener>,
    /// How it learns which targets want traffic.
    pub check: HealthCheck,
    /// Who may come in, as CIDRs; everybody if there are none.
    pub source_ranges: Vec<String>,
    /// The nodes, by name.
    pub targets: BTreeMap<String, Target>,
}

/// A port of a load balancer, and the port of the nodes that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The protocol.
    pub protocol: String,
    /// The port at the address of the load balancer.
    pub port: i32,
    /// The node port.
    pub node_port: i32,
}

/// What targets are asked: a GET of `/healthz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheck {
    /// kube-proxy, whether it is well and the node is to stay; every such node can send packets on.
    KubeProxy,
    /// The health check node port of the service, whether the node has a ready endpoint of its own.
    Local {
        /// `spec.healthCheckNodePort`.
        port: i32,
    },
}

impl HealthCheck {
    /// The port that is asked.
    pub fn port(self) -> i32 {
        match self {
            HealthCheck::KubeProxy => KUBE_PROXY_PORT,
            HealthCheck::Local { port } => port,
        }
    }
}

/// A node behind a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Which instance it is.
    pub provider_id: String,
    /// Whether it gets new connections; not known until it has been asked.
    pub healthy: Option<bool>,
    /// How often in a row it has not answered.
    pub failures: u32,
}

/// A route: the packets for these addresses go to this instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The node.
    pub node: String,
    /// The addresses of its pods.
    pub cidr: String,
    /// It leads nowhere, as its instance is gone.
    pub blackhole: bool,
}

/// What the cloud has.
#[derive(Debug, Default)]
pub struct Cloud {
    /// Its region.
    pub region: String,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// How many load balancers there may be; any number without it.
    pub quota: Option<usize>,
    instances: BTreeMap<String, Instance>,
    balancers: BTreeMap<String, Balancer>,
    routes: Vec<Route>,
}

/// The name of a service's load balancer (`DefaultLoadBalancerName`).
pub fn balancer_name(service: &Service) -> String {
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    let letters = uid.chars().filter(|letter| *letter != '-');
    std::iter::once('a').chain(letters).take(32).collect()
}

impl Cloud {
    /// A cloud with these machines.
    pub fn new(region: &str, instances: impl IntoIterator<Item = Instance>) -> Cloud {
        let instances = instances.into_iter().map(|instance| (instance.name.clone(), instance)).collect();
        Cloud { region: region.into(), instances, ..Cloud::default() }
    }

    fn answer(&self) -> Result<(), CloudError> {
        match self.trouble {
            Trouble::Failing => Err(error("the cloud's API answers 503 Service Unavailable")),
            _ => Ok(()),
        }
    }

    fn answer_about_balancers(&self) -> Result<(), CloudError> {
        match self.trouble {
            Trouble::Throttling(seconds) => Err(CloudError {
                message: "the cloud's API answers 429 Too Many Requests".into(),
                retry_after_seconds: Some(seconds),
            }),
            _ => self.answer(),
        }
    }

    fn takes(&self, usual: Instant) -> Instant {
        match self.trouble {
            Trouble::Slow(more) => usual + more,
            Trouble::Failing | Trouble::Throttling(_) => CHANGE,
            Trouble::None => usual,
        }
    }

    /// How long it takes to make this load balancer as the service says.
    pub fn ensure_takes(&self, service: &Service) -> Instant {
        self.takes(if self.balancers.contains_key(&balancer_name(service)) { CHANGE } else { MAKE })
    }

    /// How long it takes to give a load balancer other hosts.
    pub fn update_takes(&self) -> Instant {
        self.takes(CHANGE)
    }

    /// How long it takes to delete a load balancer.
    pub fn delete_takes(&self) -> Instant {
        self.takes(REMOVE)
    }

    /// The load balancer of a service, if there is one.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked.
    pub fn balancer(&self, service: &Service) -> Result<Option<&Balancer>, CloudError> {
        self.answer_about_balancers()?;
        Ok(self.balancers.get(&balancer_name(service)))
    }

    /// All load balancers, for those who look at the cloud from outside.
    pub fn balancers(&self) -> impl Iterator<Item = &Balancer> {
        self.balancers.values()
    }

    /// The same, to be changed.
    pub(super) fn balancers_mut(&mut self) -> impl Iterator<Item = &mut Balancer> {
        self.balancers.values_mut()
    }

    /// Makes a load balancer as the service says, or changes the one that is there. The answer is its addresses.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked, has no more room, or can't do what the service asks for.
    pub fn ensure(&mut self, service: &Service, hosts: &[Host]) -> Result<Vec<String>, CloudError> {
        self.answer_about_balancers()?;
        let name = balancer_name(service);
        let spec = service.spec.clone().unwrap_or_default();
        let listeners = listeners(&spec)?;
        if let (None, Some(quota)) = (self.balancers.get(&name), self.quota)
            && self.balancers.len() >= quota
        {
            return Err(error(format!("the quota of load balancers is used up: {} of {quota}", self.balancers.len())));
        }
        let before = self.balancers.get(&name);
        let asked = spec.load_balancer_ip.filter(|address| !address.is_empty());
        let taken = |address: &str| self.balancers.values().any(|other| other.name != name && other.address == address);
        let address = match (asked, before) {
            (Some(asked), _) if taken(&asked) => return Err(error(format!("the address {asked} is in use"))),
            (Some(asked), _) => asked,
            (None, Some(before)) => before.address.clone(),
            (None, None) => {
                // TEST-NET-3 is for documentation, and leads nowhere. A cluster that was stopped finds its addresses again.
                let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
                let had = status.into_iter().flat_map(|status| status.ingress.iter().flatten());
                let had = had.filter_map(|entry| entry.ip.clone()).filter(|address| address.starts_with("203.0.113."));
                let mut all = had.chain((10..=254).map(|host| format!("203.0.113.{host}")));
                all.find(|address| !taken(address)).ok_or_else(|| error("the cloud has no address left"))?
            }
        };
        let check = match spec.health_check_node_port {
            Some(port @ 1..) if spec.external_traffic_policy.as_deref() == Some("Local") => HealthCheck::Local { port },
            _ => HealthCheck::KubeProxy,
        };
        // Who is asked something else has not been asked yet.
        let known = before.filter(|before| before.check == check).map(|before| before.targets.clone());
        let meta = &service.metadata;
        let balancer = Balancer {
            service: [&meta.namespace, &meta.name].map(|part| part.clone().unwrap_or_default()).join("/"),
            address: address.clone(),
            listeners,
            check,
            source_ranges: spec.load_balancer_source_ranges.unwrap_or_default(),
            targets: targets(&known.unwrap_or_default(), hosts),
            name: name.clone(),
        };
        self.balancers.insert(name, balancer);
        Ok(vec![address])
    }

    /// Gives the load balancer of a service these hosts.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked, or has no load balancer of the service.
    pub fn update(&mut self, service: &Service, hosts: &[Host]) -> Result<(), CloudError> {
        self.answer_about_balancers()?;
        let name = balancer_name(service);
        let balancer =
            self.balancers.get_mut(&name).ok_or_else(|| error(format!("there is no load balancer {name}")))?;
        balancer.targets = targets(&balancer.targets, hosts);
        Ok(())
    }

    /// Deletes the load balancer of a service, if there is one.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked.
    pub fn delete(&mut self, service: &Service) -> Result<(), CloudError> {
        self.answer_about_balancers()?;
        self.balancers.remove(&balancer_name(service));
        Ok(())
    }

    /// The instance of a node, by its provider ID, else by its name; none if it is gone.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked.
    pub fn instance(&self, node: &Node) -> Result<Option<&Instance>, CloudError> {
        self.answer()?;
        let id = node.spec.as_ref().and_then(|spec| spec.provider_id.clone()).filter(|id| !id.is_empty());
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let is = |instance: &&Instance| match &id {
            Some(id) => instance.provider_id() == *id,
            None => instance.name == name,
        };
        Ok(self.instances.values().find(is))
    }

    /// Whether a machine runs, as the health checks see it.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.instances.get(name).is_some_and(|instance| !instance.stopped)
    }

    /// Shuts a machine down, or starts it again; `false` if there is none of this name.
    pub fn set_stopped(&mut self, name: &str, stopped: bool) -> bool {
        self.instances.get_mut(name).map(|instance| instance.stopped = stopped).is_some()
    }

    /// Adds a machine.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked.
    pub fn add_instance(&mut self, instance: Instance) -> Result<(), CloudError> {
        self.answer()?;
        self.instances.insert(instance.name.clone(), instance);
        Ok(())
    }

    /// Whether the cloud has a machine of this name.
    pub fn has_instance(&self, name: &str) -> bool {
        self.instances.contains_key(name)
    }

    /// Whether the cloud answers now.
    ///
    /// # Errors
    ///
    /// If it doesn't.
    pub fn check(&self) -> Result<(), CloudError> {
        self.answer()
    }

    /// Deletes a machine: it is not there any more. The answer is what it was.
    pub fn remove_instance(&mut self, name: &str) -> Option<Instance> {
        for route in self.routes.iter_mut().filter(|route| route.node == name) {
            route.blackhole = true;
        }
        self.instances.remove(name)
    }

    /// All routes.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked.
    pub fn routes(&self) -> Result<Vec<Route>, CloudError> {
        self.answer()?;
        Ok(self.routes.clone())
    }

    /// Makes a route.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked, or has no such instance.
    pub fn add_route(&mut self, route: Route) -> Result<(), CloudError> {
        self.answer()?;
        if !self.instances.contains_key(&route.node) {
            return Err(error(format!("there is no instance {}", route.node)));
        }
        self.routes.push(route);
        self.routes.sort();
        self.routes.dedup();
        Ok(())
    }

    /// Takes a route away.
    ///
    /// # Errors
    ///
    /// If the cloud can't be asked.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), CloudError> {
        self.answer()?;
        self.routes.retain(|there| there != route);
        Ok(())
    }
}

fn listeners(spec: &ServiceSpec) -> Result<Vec<Listener>, CloudError> {
    let listener = |port: &kit_api::core::ServicePort| match port.node_port {
        Some(node_port @ 1..) => {
            Ok(Listener { protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()), port: port.port, node_port })
        }
        _ => Err(error(format!("port {} has no node port, and this cloud knows no other way to pods", port.port))),
    };
    spec.ports.iter().flatten().map(listener).collect()
}

/// These hosts as targets; what is known of them stays known.
fn targets(before: &BTreeMap<String, Target>, hosts: &[Host]) -> BTreeMap<String, Target> {
    let target = |host: &Host| {
        let known = before.get(&host.name).filter(|known| known.provider_id == host.provider_id);
        let new = || Target { provider_id: host.provider_id.clone(), ..Target::default() };
        (host.name.clone(), known.cloned().unwrap_or_else(new))
    };
    hosts.iter().map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn cloud() -> Cloud {
        let instance = |name: &str| Instance {
            name: name.into(),
            zone: Some("zone-1".into()),
            instance_type: "standard".into(),
            addresses: Vec::new(),
            stopped: false,
        };
        Cloud::new("region", ["node-1", "node-2"].map(instance))
    }

    fn service(uid: &str, spec: Value) -> Service {
        let mut json = json!({"metadata": {"name": uid, "namespace": "shop", "uid": uid},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]}});
        for (field, value) in spec.as_object().expect("fields") {
            json["spec"][field] = value.clone();
        }
        serde_json::from_value(json).expect("a service")
    }

    fn hosts(names: &[&str]) -> Vec<Host> {
        names.iter().map(|name| Host { name: (*name).into(), provider_id: format!("sim://zone-1/{name}") }).collect()
    }

    #[test]
    fn each_has_an_address_that_it_keeps_until_it_is_deleted() {
        let mut cloud = cloud();
        let (web, api) = (service("web", json!({})), service("api", json!({})));
        assert_eq!(cloud.ensure(&web, &[]), Ok(vec!["203.0.113.10".into()]));
        assert_eq!(cloud.ensure(&api, &[]), Ok(vec!["203.0.113.11".into()]));
        assert_eq!(cloud.ensure(&web, &hosts(&["node-1"])), Ok(vec!["203.0.113.10".into()]));
        assert_eq!(cloud.delete(&web), Ok(()));
        assert_eq!(cloud.balancer(&web), Ok(None));
        let wish = |name: &str| service(name, json!({"loadBalancerIP": "203.0.113.11"}));
        assert_eq!(cloud.ensure(&wish("api"), &[]), Ok(vec!["203.0.113.11".into()]));
        assert_eq!(
            cloud.ensure(&wish("web"), &[]).map_err(|e| e.message),
            Err("the address 203.0.113.11 is in use".into())
        );
    }

    #[test]
    fn troubles_are_told_and_end() {
        let mut cloud = cloud();
        cloud.quota = Some(1);
        let (web, api) = (service("web", json!({})), service("api", json!({})));
        cloud.ensure(&web, &[]).expect("there is room for one");
        let full = "the quota of load balancers is used up: 1 of 1";
        assert_eq!(cloud.ensure(&api, &[]).map_err(|e| e.message), Err(full.into()));
        assert!(cloud.ensure(&web, &[]).is_ok(), "what is there can be changed");
        cloud.trouble = Trouble::Throttling(20);
        assert_eq!(cloud.delete(&web).map_err(|e| e.retry_after_seconds), Err(Some(20)));
        cloud.trouble = Trouble::Failing;
        assert_eq!(cloud.delete(&web).map_err(|e| e.retry_after_seconds), Err(None));
        let usual = Cloud::default().delete_takes();
        cloud.trouble = Trouble::Slow(Instant::seconds(60));
        assert_eq!(cloud.delete_takes(), usual + Instant::seconds(60));
        assert!(cloud.delete(&web).is_ok());
    }

    #[test]
    fn local_traffic_is_asked_for_at_the_port_of_the_service() {
        let mut cloud = cloud();
        let local = json!({"externalTrafficPolicy": "Local", "healthCheckNodePort": 31000});
        for (spec, port) in [(json!({"healthCheckNodePort": 0}), KUBE_PROXY_PORT), (local, 31_000)] {
            let web = service("web", spec);
            cloud.ensure(&web, &hosts(&["node-1"])).expect("it can");
            assert_eq!(cloud.balancer(&web).expect("it can").expect("it is there").check.port(), port);
        }
        let without = service("web", json!({"ports": [{"port": 80}]}));
        assert!(cloud.ensure(&without, &[]).is_err(), "there is no way to the pods");
    }

    #[test]
    fn instances_are_found_by_provider_id_and_else_by_name() {
        let mut cloud = cloud();
        let node = |id: &str| -> Node {
            serde_json::from_value(json!({"metadata": {"name": "node-1"}, "spec": {"providerID": id}})).expect("a node")
        };
        for (id, found) in
            [("", Some("node-1")), ("sim://zone-1/node-2", Some("node-2")), ("sim://zone-2/node-1", None)]
        {
            let instance = cloud.instance(&node(id)).expect("it can").map(|instance| instance.name.clone());
            assert_eq!(instance.as_deref(), found);
        }
        let route = Route { node: "node-1".into(), cidr: "10.244.0.0/24".into(), blackhole: false };
        cloud.add_route(route.clone()).expect("it can");
        cloud.remove_instance("node-1").expect("it was there");
        assert_eq!(cloud.routes(), Ok(vec![Route { blackhole: true, ..route }]));
        assert_eq!(cloud.instance(&node("")), Ok(None));
    }
}
