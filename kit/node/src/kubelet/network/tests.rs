use super::*;
use crate::kubelet::testing::Bench;
use kit_client::fault::Fault;
use kit_client::network::{Attempt, Network, NotResolved, Reached, Resolved};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// A network that writes down what it is asked, and refuses the first few times.
#[derive(Default)]
struct Wire {
    refuses: usize,
    given: u8,
    said: Vec<String>,
}

impl Network for Wire {
    fn add(&mut self, sandbox: &Sandbox) -> Result<IpAddr, Refused> {
        self.said.push(format!("add {}", sandbox.pod));
        if self.refuses > 0 {
            self.refuses -= 1;
            let again = (Instant::seconds(10), Instant::seconds(15));
            return Err(Refused { reason: "FailedCreatePodSandBox", message: "no plugin".into(), again });
        }
        self.given += 1;
        Ok(IpAddr::from([10, 0, 0, self.given]))
    }

    fn del(&mut self, sandbox: &Sandbox) {
        self.said.push(format!("del {}", sandbox.pod));
    }

    fn listen(&mut self, sandbox: &Sandbox, ports: Vec<(Protocol, u16)>) {
        let ports: Vec<u16> = ports.into_iter().map(|(_, port)| port).collect();
        self.said.push(format!("listen {} {ports:?}", sandbox.pod));
    }

    fn resolve(&mut self, _from: &Sandbox, name: &str) -> Resolved {
        Resolved { addresses: Err(NotResolved::Unknown), name: name.into(), took: Instant::default() }
    }

    fn connect(&mut self, _from: &Sandbox, _protocol: Protocol, to: SocketAddr) -> Attempt {
        let end = Ok(Reached { pod: None, at: to, from: to });
        Attempt { end, took: Instant::default(), trace: Vec::new() }
    }
}

fn start(refuses: usize) -> (Bench, Rc<RefCell<Wire>>) {
    let wire = Rc::new(RefCell::new(Wire { refuses, ..Wire::default() }));
    let shared: Shared = wire.clone();
    (Bench::new(|kubelets| kubelets.with_network(shared)), wire)
}

fn said(wire: &Rc<RefCell<Wire>>) -> Vec<String> {
    std::mem::take(&mut wire.borrow_mut().said)
}

fn web() -> Value {
    let ports = json!([{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]);
    json!({"containers": [{"name": "web", "image": "nginx", "ports": ports}]})
}

#[test]
fn pods_have_their_address_from_the_network_and_listen_while_they_run() {
    let (mut bench, wire) = start(0);
    bench.pod("web", web());
    assert_eq!((bench.status("web", "/podIP"), said(&wire)), (json!("10.0.0.1"), vec!["add web".into()]));
    bench.wait(1.0);
    assert_eq!(said(&wire), ["listen web [80, 53]"]);
    bench.fault(&Fault::Kill { pod: "default/web".into(), exit_code: 1 });
    bench.wait(1.0);
    assert_eq!(said(&wire), ["listen web []", "listen web [80, 53]"]);
    bench.delete("web");
    bench.wait(40.0);
    assert_eq!(
        (bench.status("web", "/podIP"), said(&wire)),
        (Value::Null, vec!["listen web []".into(), "del web".into()])
    );

    // A pod that has ended has given its address back.
    bench.pod("task", json!({"restartPolicy": "Never", "containers": [{"name": "task", "image": "app"}]}));
    bench.wait(5.0);
    assert_eq!(
        (bench.status("task", "/phase"), said(&wire)),
        (json!("Succeeded"), vec!["add task".into(), "del task".into()])
    );
    bench.delete("task");
    bench.wait(40.0);
    assert_eq!(said(&wire), Vec::<String>::new());

    // The network of the node needs nothing.
    let mut host = web();
    host["hostNetwork"] = true.into();
    host["containers"][0]["ports"][0]["hostPort"] = 80.into();
    host["containers"][0]["ports"].as_array_mut().expect("ports").truncate(1);
    bench.pod("host", host);
    bench.wait(1.0);
    assert_eq!((bench.status("host", "/podIP"), said(&wire)), (json!("192.168.0.1"), vec!["listen host [80]".into()]));
}

#[test]
fn a_pod_without_network_waits_and_tries_again() {
    let (mut bench, wire) = start(2);
    bench.pod("web", web());
    let waiting = "/containerStatuses/0/state/waiting/reason";
    let ready = |bench: &Bench| {
        let conditions = bench.status("web", "/conditions");
        let all = conditions.as_array().cloned().unwrap_or_default();
        all.into_iter()
            .find(|condition| condition["type"] == "PodReadyToStartContainers")
            .map(|it| it["status"].clone())
    };
    for (seconds, tries) in [(0.0, 1), (9.9, 1), (5.2, 2), (4.0, 2)] {
        bench.wait(seconds);
        assert_eq!(bench.status("web", "/podIP"), Value::Null);
        assert_eq!(bench.status("web", waiting), "ContainerCreating");
        assert_eq!((bench.status("web", "/phase"), ready(&bench)), (json!("Pending"), Some(json!("False"))));
        assert_eq!(wire.borrow().said.len(), tries, "{seconds}");
    }
    assert_eq!(bench.events("web"), ["Warning FailedCreatePodSandBox: no plugin (x2)"]);
    bench.wait(12.0);
    assert_eq!((bench.status("web", "/podIP"), bench.status("web", "/phase")), (json!("10.0.0.1"), json!("Running")));
    assert_eq!(ready(&bench), Some(json!("True")));

    // One that is deleted meanwhile waits no longer.
    wire.borrow_mut().refuses = 9;
    bench.pod("late", web());
    bench.delete("late");
    bench.wait(0.1);
    assert_eq!(bench.status("late", "/phase"), Value::Null);
}

#[test]
fn a_node_that_was_lost_comes_back_with_other_addresses() {
    let (mut bench, wire) = start(0);
    bench.pod("web", web());
    bench.pod("gone", web());
    bench.wait(1.0);
    said(&wire);
    bench.fault(&Fault::Crash("node-1".into()));
    assert_eq!(said(&wire).len(), 2, "both have stopped listening");
    bench
        .server
        .delete(
            &kit_apimachinery::object::Key::new(kit_apimachinery::object::Kind::Pod, "default", "gone"),
            &kit_server::DeleteOptions { grace_period_seconds: Some(0), ..Default::default() },
        )
        .expect("it is there");
    bench.wait(10.0);
    bench.fault(&Fault::Restart("node-1".into()));
    bench.wait(5.0);
    let said = said(&wire);
    let count = |text: &str| said.iter().filter(|line| line.as_str() == text).count();
    assert_eq!(
        (count("del web"), count("add web"), count("del gone"), count("listen web [80, 53]")),
        (1, 1, 1, 1),
        "{said:?}"
    );
    assert_ne!(bench.status("web", "/podIP"), "10.0.0.1");
    assert_eq!(bench.status("web", "/containerStatuses/0/restartCount"), 1);
}
