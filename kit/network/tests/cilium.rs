//! What recorded tables don't show: names, DNS, ports by name, and what is refused.

use kit_network::policy::Direction;
use kit_network::policy::cilium::http::Request;
use kit_network::policy::cilium::identity::{Identities, IdentityId, pod_labels};
use kit_network::policy::cilium::repository::{Decision, EndpointPolicy, NamedPorts, Repository};
use kit_network::policy::cilium::service::Service;
use kit_network::policy::hubble::{self, Filter, FlowVerdict, Packet};
use serde_json::{Value, json};

struct Cluster {
    repository: Repository,
    identities: Identities,
}

impl Cluster {
    fn new(specs: Value) -> Self {
        let mut repository = Repository::default();
        for (at, spec) in specs.as_array().expect("a list").iter().enumerate() {
            let spec = serde_json::from_value(spec.clone()).expect("a spec");
            repository.add(Some("shop"), &format!("policy-{at}"), spec).expect("a good policy");
        }
        let mut identities = Identities::default();
        repository.know_networks(&mut identities);
        Cluster { repository, identities }
    }

    fn pod(&mut self, app: &str) -> IdentityId {
        let labels = [("app".to_string(), app.to_string())].into();
        self.identities.of_labels(pod_labels("shop", &labels, &Default::default()))
    }

    fn policy(&self, of: IdentityId, ports: &NamedPorts) -> EndpointPolicy {
        let subject = self.identities.get(of).expect("it is known");
        self.repository.resolve(subject, &self.identities, ports, ports).expect("no conflict")
    }
}

#[test]
fn a_name_is_allowed_once_it_was_looked_up() {
    let mut cluster = Cluster::new(json!([{
        "endpointSelector": {}, "egress": [{"toFQDNs": [{"matchPattern": "*.example.com"}], "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]}],
    }]));
    let web = cluster.pod("web");
    let address = "198.51.100.7".parse().expect("an address");
    let decide = |cluster: &Cluster| {
        cluster.policy(web, &NamedPorts::new()).decide(
            Direction::Egress,
            cluster.identities.of_address(address),
            6,
            443,
        )
    };
    assert_eq!(decide(&cluster), Decision::NotAllowed);
    for (name, decision) in [
        ("www.example.org", Decision::NotAllowed),
        ("example.com", Decision::NotAllowed),
        ("WWW.example.com.", Decision::Allowed),
    ] {
        let interested = cluster.repository.interested_in(name);
        cluster.identities.learn(address, interested);
        assert_eq!(decide(&cluster), decision, "{name}");
    }
}

#[test]
fn a_network_that_is_denied_stays_so_by_name() {
    let mut cluster = Cluster::new(json!([{
        "endpointSelector": {},
        "egress": [{"toFQDNs": [{"matchName": "www.example.com"}]}],
        "egressDeny": [{"toCIDR": ["198.51.100.0/24"]}],
    }]));
    let web = cluster.pod("web");
    for (address, decision) in [("198.51.100.7", Decision::Denied), ("203.0.113.7", Decision::Allowed)] {
        let address = address.parse().expect("an address");
        let interested = cluster.repository.interested_in("www.example.com");
        cluster.identities.learn(address, interested);
        let policy = cluster.policy(web, &NamedPorts::new());
        assert_eq!(
            policy.decide(Direction::Egress, cluster.identities.of_address(address), 6, 80),
            decision,
            "{address}"
        );
    }
}

#[test]
fn the_dns_proxy_lets_names_of_rules_pass() {
    let mut cluster = Cluster::new(json!([{
        "endpointSelector": {},
        "egress": [{"toEndpoints": [{"matchLabels": {"app": "dns"}}], "toPorts": [{
            "ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*.shop.svc.cluster.local"}]},
        }]}],
    }]));
    let (web, dns) = (cluster.pod("web"), cluster.pod("dns"));
    let policy = cluster.policy(web, &NamedPorts::new());
    let server = cluster.identities.get(dns).expect("it is known");
    for protocol in [6, 17] {
        assert_eq!(policy.decide(Direction::Egress, dns, protocol, 53), Decision::Proxied);
        assert!(policy.question(server, protocol, 53, "api.shop.svc.cluster.local"));
        assert!(!policy.question(server, protocol, 53, "example.com"));
    }
}

#[test]
fn a_port_by_its_name() {
    let spec =
        json!([{"endpointSelector": {}, "ingress": [{"toPorts": [{"ports": [{"port": "HTTP", "protocol": "TCP"}]}]}]}]);
    let mut cluster = Cluster::new(spec);
    let web = cluster.pod("web");
    let cases: [(&[u16], Decision); 3] =
        [(&[8080], Decision::Allowed), (&[8080, 80], Decision::NotAllowed), (&[], Decision::NotAllowed)];
    for (numbers, decision) in cases {
        let ports = [(("http".to_string(), 6), numbers.to_vec())].into();
        assert_eq!(cluster.policy(web, &ports).decide(Direction::Ingress, 2, 6, 8080), decision, "{numbers:?}");
    }
}

#[test]
fn the_host_enters_through_the_proxy_too() {
    let mut cluster = Cluster::new(json!([{
        "endpointSelector": {},
        "ingress": [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}]}],
    }]));
    let web = cluster.pod("web");
    let policy = cluster.policy(web, &NamedPorts::new());
    let request = Request { method: "POST".into(), path: "/".into(), ..Request::default() };
    for (peer, passes) in [(1, true), (2, false), (6, false)] {
        let identity = cluster.identities.get(peer).expect("it is reserved");
        assert_eq!(policy.request(Direction::Ingress, identity, 80, &request), passes, "{peer}");
    }
}

#[test]
fn types_of_icmp_stand_for_ports() {
    use Decision::{Allowed, Denied, NotAllowed};
    let rule = |fields: Value| json!({"icmps": [{"fields": fields}]});
    let echo = json!([{"type": 8}]);
    let (v4, v6) = (1, 58);
    for (spec, protocol, kind, decision) in [
        (json!({"ingress": [rule(echo.clone())]}), v4, 8, Allowed),
        (json!({"ingress": [rule(echo.clone())]}), v4, 13, NotAllowed),
        (json!({"ingress": [rule(echo.clone())]}), v6, 8, NotAllowed),
        (json!({"ingress": [rule(echo.clone())]}), 6, 8, NotAllowed),
        (json!({"ingress": [rule(json!([{"type": "EchoRequest"}]))]}), v4, 8, Allowed),
        (json!({"ingress": [rule(json!([{"type": "8", "family": "IPv4"}]))]}), v4, 8, Allowed),
        (json!({"ingress": [rule(json!([{"type": "EchoRequest", "family": "IPv6"}]))]}), v6, 128, Allowed),
        (json!({"ingress": [rule(json!([{"type": "EchoRequest", "family": "IPv6"}]))]}), v4, 8, NotAllowed),
        // A map has no entry for type 0 alone.
        (json!({"ingress": [rule(json!([{"type": "EchoReply"}]))]}), v4, 13, Allowed),
        (json!({"ingress": [{"toPorts": [{"ports": [{"port": "80"}]}]}]}), v4, 8, NotAllowed),
        (json!({"ingress": [{"fromEntities": ["world"], "icmps": [{"fields": echo}]}]}), v4, 8, NotAllowed),
        (json!({"ingress": [{"fromEntities": ["all"]}], "ingressDeny": [rule(echo.clone())]}), v4, 8, Denied),
        (json!({"ingress": [{"fromEntities": ["all"]}], "ingressDeny": [rule(echo.clone())]}), v4, 11, Allowed),
        (json!({"egress": [rule(echo.clone())]}), v4, 8, Allowed),
    ] {
        let shown = format!("{spec} {protocol} {kind}");
        let mut spec = spec;
        spec["endpointSelector"] = json!({});
        let mut cluster = Cluster::new(json!([spec]));
        let (web, peer) = (cluster.pod("web"), cluster.pod("peer"));
        let policy = cluster.policy(web, &NamedPorts::new());
        assert_eq!(policy.decide(Direction::Ingress, peer, protocol, kind), decision, "{shown}");
    }
}

#[test]
fn a_service_stands_for_what_is_behind_it() {
    let service = |name: &str, labels: Value, selector: Value, endpoints: &[&str]| Service {
        namespace: "shop".into(),
        name: name.into(),
        labels: serde_json::from_value(labels).expect("labels"),
        selector: serde_json::from_value(selector).expect("labels"),
        endpoints: endpoints.iter().map(|text| text.parse().expect("an address")).collect(),
    };
    let services = [
        service("api", json!({"tier": "back"}), json!({"app": "api"}), &["10.244.1.7"]),
        service("mainframe", json!({"tier": "old"}), json!({}), &["198.51.100.7"]),
    ];
    let by_name = |name: &str, namespace: &str| json!({"k8sService": {"serviceName": name, "namespace": namespace}});
    let by_labels = |tier: &str| json!({"k8sServiceSelector": {"selector": {"matchLabels": {"tier": tier}}}});
    // Whether the pods `api`, the pods `db`, the mainframe and another address outside may be asked.
    for (to, may) in [
        (json!([by_name("api", "shop")]), [true, false, false, false]),
        (json!([by_name("api", "")]), [true, false, false, false]),
        (json!([by_name("api", "billing")]), [false; 4]),
        (json!([by_name("mainframe", "shop")]), [false, false, true, false]),
        (json!([by_labels("back")]), [true, false, false, false]),
        (json!([by_labels("none")]), [false; 4]),
        (json!([by_name("api", "shop"), by_labels("old")]), [true, false, true, false]),
        (json!([]), [false; 4]),
    ] {
        let mut cluster = Cluster::new(json!([{"endpointSelector": {}, "egress": [{"toServices": to}]}]));
        let pods = ["web", "api", "db"].map(|app| cluster.pod(app));
        let outside =
            |cluster: &Cluster, address: &str| cluster.identities.of_address(address.parse().expect("an address"));
        let looked = |cluster: &Cluster| {
            let policy = cluster.policy(pods[0], &NamedPorts::new());
            let peers = [pods[1], pods[2], outside(cluster, "198.51.100.7"), outside(cluster, "198.51.100.8")];
            peers.map(|peer| policy.decide(Direction::Egress, peer, 6, 80) == Decision::Allowed)
        };
        assert_eq!(looked(&cluster), [false; 4], "{to}: nothing is known of Services yet");
        cluster.repository.resolve_services(&services);
        cluster.repository.know_networks(&mut cluster.identities);
        assert_eq!(looked(&cluster), may, "{to}");
        cluster.repository.resolve_services(&[]);
        assert_eq!(looked(&cluster), [false; 4], "{to}: they are gone");
    }
}

#[test]
fn the_world_is_two_where_there_are_two_families() {
    for (entity, dual, may) in [
        ("world", false, [true, true]),
        ("world", true, [true, true]),
        ("world-ipv4", true, [true, false]),
        ("world-ipv6", true, [false, true]),
        ("world-ipv4", false, [false, false]),
        ("cluster", true, [false, false]),
        ("all", true, [true, true]),
    ] {
        let mut cluster = Cluster::new(json!([{"endpointSelector": {}, "egress": [{"toEntities": [entity]}]}]));
        if dual {
            cluster.identities = Identities::of_dual_stack();
        }
        let web = cluster.pod("web");
        let policy = cluster.policy(web, &NamedPorts::new());
        let outside = ["198.51.100.7", "2001:db8::7"];
        let looked = outside.map(|address| {
            let peer = cluster.identities.of_address(address.parse().expect("an address"));
            policy.decide(Direction::Egress, peer, 6, 443) == Decision::Allowed
        });
        assert_eq!(looked, may, "{entity}, both families: {dual}");
    }
}

#[test]
fn what_cilium_refuses() {
    let ingress = |rule: Value| json!({"endpointSelector": {}, "ingress": [rule]});
    let egress = |rule: Value| json!({"endpointSelector": {}, "egress": [rule]});
    let port = |port: &str, protocol: &str| json!([{"port": port, "protocol": protocol}]);
    let cases = [
        (json!({}), "rule must have one of EndpointSelector or NodeSelector"),
        (
            json!({"endpointSelector": {}, "nodeSelector": {}}),
            "rule cannot have both EndpointSelector and NodeSelector",
        ),
        (
            ingress(json!({"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]})),
            "Combining FromCIDR and FromEndpoints is not supported yet",
        ),
        (ingress(json!({"fromEntities": ["everybody"]})), "unsupported entity: everybody"),
        (
            egress(json!({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}]})),
            "allow CIDR prefix 10.0.0.0/8 does not contain exclude CIDR prefix 192.0.2.0/24",
        ),
        (egress(json!({"toCIDR": [""]})), "IP must be specified"),
        (egress(json!({"toPorts": [{"ports": port("", "TCP")}]})), "Port must be specified"),
        (
            egress(json!({"toPorts": [{"ports": port("80", "TCP"), "rules": {"http": [{"path": "("}]}}]})),
            "error parsing regexp: missing closing ): `(`",
        ),
        (
            egress(json!({"toPorts": [{"ports": port("80", "UDP"), "rules": {"http": [{}]}}]})),
            "L7 rules can only apply to TCP (not UDP) except for DNS rules",
        ),
        (
            egress(json!({"toPorts": [{"ports": port("0", "TCP"), "rules": {"http": [{}]}}]})),
            "L7 rules can not be used when a port is 0",
        ),
        (
            ingress(json!({"toPorts": [{"ports": port("53", "UDP"), "rules": {"dns": [{"matchName": "a.b"}]}}]})),
            "DNS rules are not allowed on ingress",
        ),
        (
            egress(json!({"toFQDNs": [{"matchName": "*.example.com"}]})),
            "Invalid characters in MatchName: \"*.example.com\". Only 0-9, a-z, A-Z and . and - characters are allowed",
        ),
        (ingress(json!({"icmps": [{"fields": [{"type": "EchoRequest", "family": "IPX"}]}]})), "wrong family: IPX"),
        (
            ingress(json!({"icmps": [{"fields": [{"type": "PacketTooBig", "family": "IPv4"}]}]})),
            "ICMP type PacketTooBig not found in IPv4",
        ),
        (ingress(json!({"icmps": [{"fields": vec![json!({"type": 8}); 41]}]})), "too many types, the max is 40"),
        (
            ingress(json!({"icmps": [{"fields": [{"type": 8}]}], "toPorts": [{"ports": port("80", "TCP")}]})),
            "The ICMPs block may only be present without ToPorts. Define a separate rule to use ToPorts.",
        ),
        (
            egress(
                json!({"toServices": [{"k8sService": {"serviceName": "a"}}], "toPorts": [{"ports": port("80", "TCP")}]}),
            ),
            "Combining ToServices and ToPorts is not supported yet",
        ),
        (
            egress(json!({"toServices": [{"k8sService": {"serviceName": "a"}}], "toEntities": ["world"]})),
            "Combining ToEntities and ToServices is not supported yet",
        ),
        (
            ingress(json!({"fromNodes": [{}]})),
            "FromNodes/ToNodes rules can only be applied when the \"enable-node-selector-labels\" flag is set",
        ),
        (
            egress(json!({"toGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]})),
            "ToGroups asks a cloud for addresses, which is not simulated",
        ),
        (ingress(json!({"toEndpoints": [{}]})), "a rule of ingress has no fields that begin with to, but for toPorts"),
    ];
    for (spec, error) in cases {
        let parsed = serde_json::from_value(spec.clone()).expect("it has the form of a spec");
        assert_eq!(Repository::default().add(Some("shop"), "policy", parsed), Err(error.to_string()), "{spec}");
    }
}

#[test]
fn parsers_of_two_kinds_cannot_share_a_port() {
    let rule = |rules: Value| json!({"endpointSelector": {}, "egress": [{"toPorts": [{"ports": [{"port": "53", "protocol": "TCP"}], "rules": rules}]}]});
    let mut cluster = Cluster::new(json!([rule(json!({"http": [{}]})), rule(json!({"dns": [{"matchPattern": "*"}]}))]));
    let web = cluster.pod("web");
    let subject = cluster.identities.get(web).expect("it is known");
    let resolved = cluster.repository.resolve(subject, &cluster.identities, &NamedPorts::new(), &NamedPorts::new());
    assert_eq!(resolved.map(|_| ()), Err("cannot merge conflicting L7 parsers (dns/http)".to_string()));
}

#[test]
fn a_dropped_flow_says_who_whom_and_why() {
    let mut cluster = Cluster::new(json!([{
        "endpointSelector": {"matchLabels": {"app": "api"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "web"}}]}],
        "ingressDeny": [{"fromEndpoints": [{"matchLabels": {"app": "lab"}}]}],
    }]));
    let api = cluster.pod("api");
    let mut flows = Vec::new();
    for (app, verdict, reason) in [
        ("web", FlowVerdict::Forwarded, None),
        ("db", FlowVerdict::Dropped, Some("POLICY_DENIED")),
        ("lab", FlowVerdict::Dropped, Some("POLICY_DENY")),
    ] {
        let from = cluster.pod(app);
        let policy = cluster.policy(api, &NamedPorts::new());
        let packet = Packet {
            at: 0,
            node: "node-1",
            from: "10.244.1.10:40000".parse().expect("an address"),
            to: "10.244.2.20:8080".parse().expect("an address"),
            protocol: 6,
        };
        let side = |id, pod: &str| hubble::endpoint_of(&cluster.identities, id, Some(pod));
        let decision = policy.decide(Direction::Ingress, from, 6, 8080);
        let source = side(from, &format!("{app}-1"));
        let flow = hubble::connection(packet, source, side(api, "api-1"), Direction::Ingress, decision, &policy.map);
        assert_eq!((flow.verdict, flow.drop_reason_desc), (verdict, reason), "{app}");
        flows.push(flow);
    }
    let json = serde_json::to_value(&flows[2]).expect("it is JSON");
    assert_eq!(json["l4"]["TCP"]["destination_port"], 8080);
    assert_eq!(json["source"]["labels"][0], "k8s:app=lab");
    assert_eq!(json["ingress_denied_by"][0]["name"], "policy-0");
    let seen = |filter: Filter| flows.iter().filter(|flow| filter.wants(flow)).count();
    assert_eq!(seen(Filter { verdict: Some(FlowVerdict::Dropped), ..Filter::default() }), 2);
    assert_eq!(seen(Filter { from_pod: Some("shop/db".into()), ..Filter::default() }), 1);
    assert_eq!(seen(Filter { pod: Some("api".into()), ..Filter::default() }), 0);
    assert_eq!(seen(Filter { to_port: Some(8080), protocol: Some("tcp".into()), ..Filter::default() }), 3);
}
