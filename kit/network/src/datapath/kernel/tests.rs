use super::rules::Tables;
use super::{Names, State};
use crate::datapath::rules::{Action, Hook, Nat, Rule};
use crate::datapath::world::{Interface, Kind, Namespace, World};
use crate::proxy::ruleset::Ruleset;

#[test]
fn names_are_plain_short_and_differ() {
    let names = Names::new("kit");
    let long = "a".repeat(250);
    for (place, expected) in [
        ("node-1", "kit:node-1"),
        ("shop/web-1", "kit:shop:web-1"),
        ("shop/web.v2", "kit:shop:web.v2"),
        ("shop/web-1 (uid)", "kit:shop:web-1-"),
        (&format!("shop/{long}"), "kit:shop:aaaa"),
    ] {
        let name = names.of(place);
        assert!(name.starts_with(expected), "{name}");
        assert!(name.len() <= 110 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)), "{name}");
    }
    assert_ne!(names.of(&format!("shop/{long}b")), names.of(&format!("shop/{long}c")));
    assert_ne!(names.of("shop/web-1 (a)"), names.of("shop/web-1 (b)"));
    assert!(super::names::device("node-with-a-long-name.eth0").len() <= 15);
}

fn world(pods: &[&str]) -> World {
    let mut world = World::default();
    world.wires.insert("10.0.0.0/24".into(), crate::datapath::world::Wire::default());
    let mut host = Namespace::host("node-1");
    let eth0 = Interface::new("node-1", "eth0", Kind::Ethernet { wire: "10.0.0.0/24".into() });
    host.interfaces.push(eth0.with_address("10.0.0.1/24".parse().expect("an address")));
    world.namespaces.insert("node-1".into(), host);
    for pod in pods {
        world.namespaces.insert((*pod).into(), Namespace::pod(pod));
        world.add_veth(("node-1", &format!("veth{}", pod.len())), (pod, "eth0"), 1450);
    }
    world
}

fn shown(before: &World, after: &World) -> String {
    let names = Names::new("t");
    let state = |world| State::of(world, &names).expect("tables can do it");
    state(after).since(&state(before)).iter().map(|batch| format!("{batch}\n")).collect()
}

#[test]
fn only_what_differs_is_changed() {
    let (none, one) = (world(&[]), world(&["shop/web"]));
    assert_eq!(shown(&one, &one), "");
    let gone = "ip -force -n t:node-1 -batch - <<'.'\nlink del dev veth8\n.\nip netns del t:shop:web\n";
    assert_eq!(shown(&one, &none), gone);
    let new = shown(&none, &one);
    assert!(new.starts_with("ip netns add t:shop:web\n"), "{new}");
    assert!(new.contains("link add veth8 type veth peer name eth0 netns t:shop:web\n"), "{new}");
    assert!(!new.contains("netns add t:node-1") && !new.contains("10.0.0.1/24"), "{new}");
    let mut down = one.clone();
    down.namespaces.get_mut("node-1").and_then(|host| host.interface_mut("eth0")).expect("it is there").up = false;
    assert_eq!(shown(&one, &down), "ip -force -n t:node-1 -batch - <<'.'\nlink set eth0 down\n.\n");
}

#[test]
fn what_programs_do_is_refused() {
    let mut world = world(&[]);
    let host = world.namespaces.get_mut("node-1").expect("it is there");
    host.interfaces.push(Interface::new("node-1", "cilium_host", Kind::Program));
    let error = State::of(&world, &Names::new("t")).expect_err("a program");
    assert_eq!(error, "programs handle the packets of cilium_host of node-1, and not tables");
}

#[test]
fn chains_that_changed_are_written_and_others_keep_their_counters() {
    let mut proxy = Ruleset::default();
    let text = "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n-A PREROUTING -j KUBE-SERVICES\n\
                -A KUBE-SERVICES -d 10.96.0.1 -p tcp --dport 80 -j KUBE-SVC-A\nCOMMIT\n*filter\n:KUBE-FORWARD - [0:0]\n\
                -A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP\nCOMMIT\n";
    proxy.restore(text).expect("it is well formed");
    let plugin = [Rule {
        host: Some("node-1".into()),
        hook: Some(Hook::Postrouting),
        source: Some((false, "10.244.0.0/16".parse().expect("a range"))),
        destination: Some((true, "224.0.0.0/4".parse().expect("a range"))),
        what: "FLANNEL-POSTRTG from a pod to the outside".into(),
        action: Action::Translate(Nat::Masquerade),
        ..Rule::default()
    }];
    let before = Tables::of("node-1", &proxy, &plugin);
    let all = before.since(&Tables::default(), "t:node-1").expect("all of it").to_string();
    assert!(all.starts_with("ip netns exec t:node-1 iptables-restore --wait 5 --noflush <<'.'\n*filter\n"), "{all}");
    assert!(all.contains("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"), "{all}");
    let masquerade = "-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment \"from a pod to the outside\" -j MASQUERADE\n";
    assert!(all.contains(masquerade) && all.contains("-A POSTROUTING -j FLANNEL-POSTRTG\n"), "{all}");
    assert_eq!(before.since(&before, "t:node-1"), None);

    proxy
        .restore("*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n-X KUBE-SVC-A\nCOMMIT\n")
        .expect("it is well formed");
    let change = Tables::of("node-1", &proxy, &plugin).since(&before, "t:node-1").expect("a change");
    assert_eq!(change.lines, ["*nat", ":KUBE-SERVICES - [0:0]", ":KUBE-SVC-A - [0:0]", "-X KUBE-SVC-A", "COMMIT"]);
    let elsewhere = Tables::of("node-2", &proxy, &plugin).since(&Tables::default(), "t:node-2").expect("rules");
    assert!(!elsewhere.to_string().contains("FLANNEL"));
}
