//! The flow schemas and priority levels of a stock cluster: which requests are of one kind, and whose they are.
//!
//! Source: `apiserver/pkg/apis/flowcontrol/bootstrap/default.go` of 1.33.

use kit_server::{RequestInfo, User};

/// How many requests may stand before the engine at once, over all levels. It serves one at a time, so this is how many
/// others somebody new can find there, not how much is done in parallel (`--max-requests-inflight` is 400).
const SEATS: usize = 32;
/// How many requests of one flow may wait: as many as fit into its hand of queues (`handSize` times `queueLengthLimit`).
const WAITING: usize = 6 * 50;

/// A priority level.
#[derive(Debug)]
pub struct Level {
    /// Its name.
    pub name: &'static str,
    /// `nominalConcurrencyShares`; none if nothing is limited.
    pub shares: Option<usize>,
    /// How many requests of one flow may wait; 0 if what is too much is refused at once.
    pub waiting: usize,
}

/// The levels, mandatory ones first.
pub const LEVELS: [Level; 8] = [
    Level { name: "exempt", shares: None, waiting: 0 },
    Level { name: "catch-all", shares: Some(5), waiting: 0 },
    Level { name: "system", shares: Some(30), waiting: WAITING },
    Level { name: "node-high", shares: Some(40), waiting: WAITING },
    Level { name: "leader-election", shares: Some(10), waiting: 4 * 50 },
    Level { name: "workload-high", shares: Some(40), waiting: WAITING },
    Level { name: "workload-low", shares: Some(100), waiting: WAITING },
    Level { name: "global-default", shares: Some(20), waiting: WAITING },
];

/// How many requests of a level are served at once: its share of all, rounded up. None if there is no limit.
pub fn seats(level: &Level) -> Option<usize> {
    let all: usize = LEVELS.iter().filter_map(|level| level.shares).sum();
    level.shares.map(|shares| (SEATS * shares).div_ceil(all))
}

/// What tells the flows of a schema apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nothing,
    User,
    Namespace,
}

/// Where a request stands: the schema that it matches first, the level, and what tells its flow from others.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the flow schema.
    pub schema: &'static str,
    /// The name of the priority level.
    pub level: &'static str,
    /// Whose requests they are.
    pub flow: String,
}

/// Finds a request's place; schemas in the order of their `matchingPrecedence`.
pub fn place(user: &User, info: &RequestInfo) -> Place {
    let in_group = |group: &str| user.groups.iter().any(|there| there == group);
    let named = |name: &str| user.name == name;
    let account = |name: &str| {
        user.name.strip_prefix("system:serviceaccount:kube-system:").is_some_and(|there| name == "*" || name == there)
    };
    let on = |group: &str, resources: &[&str]| {
        info.is_resource && info.group == group && resources.contains(&info.whole().as_str())
    };
    let elects = ["get", "create", "update"].contains(&info.verb.as_str());
    let probe = ["/healthz", "/readyz", "/livez"].contains(&info.path.as_str()) && info.verb == "get";
    let controls = named("system:kube-controller-manager");
    let leases = elects && !info.namespace.is_empty() && on("coordination.k8s.io", &["leases"]);
    let endpoints = elects && !info.namespace.is_empty() && on("", &["endpoints"]);
    let nodes = in_group("system:nodes");
    let (schema, level, by) = if in_group("system:masters") {
        ("exempt", "exempt", By::Nothing)
    } else if probe {
        ("probes", "exempt", By::Nothing)
    } else if leases && (controls || named("system:kube-scheduler") || account("*")) {
        ("system-leader-election", "leader-election", By::User)
    } else if endpoints && (controls || account("endpoint-controller") || account("endpointslicemirroring-controller"))
    {
        ("endpoint-controller", "workload-high", By::User)
    } else if leases && account("*") {
        ("workload-leader-election", "leader-election", By::User)
    } else if nodes && (on("", &["nodes", "nodes/status"]) || on("coordination.k8s.io", &["leases"])) {
        ("system-node-high", "node-high", By::User)
    } else if nodes {
        ("system-nodes", "system", By::User)
    } else if controls {
        ("kube-controller-manager", "workload-high", By::Namespace)
    } else if named("system:kube-scheduler") {
        ("kube-scheduler", "workload-high", By::Namespace)
    } else if account("*") {
        ("kube-system-service-accounts", "workload-high", By::Namespace)
    } else if in_group("system:serviceaccounts") {
        ("service-accounts", "workload-low", By::User)
    } else if in_group("system:authenticated") || in_group("system:unauthenticated") {
        ("global-default", "global-default", By::User)
    } else {
        ("catch-all", "catch-all", By::User)
    };
    let flow = match by {
        By::Nothing => String::new(),
        By::User => user.name.clone(),
        By::Namespace => info.namespace.clone(),
    };
    Place { schema, level, flow }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_their_place() {
        let account = |namespace: &str| {
            let name = format!("system:serviceaccount:{namespace}:bot");
            User::new(&name, &["system:serviceaccounts", "system:authenticated"])
        };
        let node = User::new("system:node:node-1", &["system:nodes", "system:authenticated"]);
        let jane = User::new("jane", &["system:authenticated"]);
        let leases = "PUT /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/a";
        let cases = [
            (User::admin(), "GET /api/v1/pods", "exempt exempt "),
            (User::anonymous(), "GET /livez", "probes exempt "),
            (User::anonymous(), "GET /livez/ping", "global-default global-default system:anonymous"),
            (
                account("kube-system"),
                leases,
                "system-leader-election leader-election system:serviceaccount:kube-system:bot",
            ),
            (account("kube-system"), "GET /api/v1/namespaces/a/pods", "kube-system-service-accounts workload-high a"),
            (account("shop"), leases, "service-accounts workload-low system:serviceaccount:shop:bot"),
            (node.clone(), "PATCH /api/v1/nodes/node-1/status", "system-node-high node-high system:node:node-1"),
            (node, "GET /api/v1/pods", "system-nodes system system:node:node-1"),
            (jane, "GET /api/v1/pods", "global-default global-default jane"),
        ];
        for (user, line, expected) in cases {
            let (method, path) = line.split_once(' ').expect("a method and a path");
            let Place { schema, level, flow } = place(&user, &RequestInfo::of(method, path, ""));
            assert_eq!(format!("{schema} {level} {flow}"), expected, "{line}");
            assert!(LEVELS.iter().any(|known| known.name == level));
        }
    }
}
