//! Packets in clusters, whole and broken.

use super::cluster::{Cluster, Node};
use super::flannel::Flannel;
use super::trace::Reason;
use kit_contract::network::pod_network::Backend;

fn nodes() -> Vec<Node> {
    // Two nodes next door to each other, and one behind a router.
    ["10.0.0.1/24", "10.0.0.2/24", "10.0.1.3/24"]
        .iter()
        .enumerate()
        .map(|(at, address)| {
            let node = Node::new(&format!("node-{}", at + 1), address.parse().unwrap());
            node.with_range(format!("10.244.{}.0/24", at + 1).parse().unwrap())
        })
        .collect()
}

fn flannel(nodes: Vec<Node>, backend: Backend) -> Cluster {
    let module = solutions::modules().pod_network.make(&());
    let plugin = Flannel::new(module, "10.244.0.0/16".parse().unwrap(), backend);
    let mut cluster = Cluster::new(nodes, Box::new(plugin));
    assert_eq!(cluster.sync(), []);
    for (at, node) in cluster.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>().iter().enumerate() {
        for pod in ["web", "db"] {
            cluster.start(node, &format!("shop/{pod}-{}", at + 1)).unwrap();
        }
    }
    cluster
}

const BACKENDS: [Backend; 4] = [
    Backend::Vxlan { direct: false },
    Backend::Vxlan { direct: true },
    Backend::Ipip { direct: false },
    Backend::Ipip { direct: true },
];

#[test]
fn every_backend_keeps_the_network_model() {
    for backend in BACKENDS {
        let mut cluster = flannel(nodes(), backend);
        let broken = cluster.broken();
        assert!(broken.is_empty(), "{backend:?}: {}\n{}", broken[0], broken[0].walk().unwrap());
    }
    let mut cluster = flannel(nodes()[..2].to_vec(), Backend::HostGw);
    assert_eq!(cluster.broken(), []);
}

#[test]
fn host_gw_needs_neighbours() {
    let mut cluster = flannel(nodes(), Backend::HostGw);
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-3", 60).unwrap();
    // By the default route to the router, which knows nothing of pods.
    assert_eq!(there.reason(), Some(&Reason::NoRoute([10, 244, 3, 2].into())), "{there}");
}

#[test]
fn a_walk_is_told_hop_by_hop() {
    let mut cluster = flannel(nodes(), Backend::Vxlan { direct: false });
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 1450).unwrap();
    let lines: Vec<String> = there.lines();
    println!("{there}");
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("→ vxlan (VNI 1, 10.0.0.1 → 10.0.0.2:8472), 1500 bytes"), "{there}");
}
