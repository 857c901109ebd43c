use super::*;
use crate::kubelet::testing::{Bench, with_programs};
use kit_client::fault::Fault;
use kit_client::network::{Attempt, Failed, Network, NotResolved, Reached, Resolved};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// A network that writes down what it is asked, and refuses the first few times.
#[derive(Default)]
struct Wire {
    refuses: usize,
    given: u8,
    said: Vec<String>,
    pods: BTreeMap<IpAddr, (Sandbox, Vec<(Protocol, u16)>)>,
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
        let ip = IpAddr::from([10, 0, 0, self.given]);
        self.pods.insert(ip, (sandbox.clone(), Vec::new()));
        Ok(ip)
    }

    fn del(&mut self, sandbox: &Sandbox) {
        self.said.push(format!("del {}", sandbox.pod));
    }

    fn listen(&mut self, sandbox: &Sandbox, ports: Vec<(Protocol, u16)>) {
        for (_, there) in self.pods.values_mut().filter(|(pod, _)| pod == sandbox) {
            there.clone_from(&ports);
        }
        let ports: Vec<u16> = ports.into_iter().map(|(_, port)| port).collect();
        self.said.push(format!("listen {} {ports:?}", sandbox.pod));
    }

    fn resolve(&mut self, _from: &Sandbox, name: &str) -> Resolved {
        let found = self.pods.iter().filter(|(_, (sandbox, _))| sandbox.pod == name).map(|(ip, _)| *ip);
        let addresses: Vec<IpAddr> = found.collect();
        let took = Instant::millis(if name == "slow" { 10_000 } else { 2 });
        let addresses = match name {
            "slow" => Err(NotResolved::Silence),
            "silent" => Ok(vec![IpAddr::from([10, 9, 9, 9])]),
            "kubernetes" => Ok(vec![IpAddr::from([10, 96, 0, 1])]),
            _ if addresses.is_empty() => Err(NotResolved::Unknown),
            _ => Ok(addresses),
        };
        Resolved { addresses, name: format!("{name}.default.svc.cluster.local"), took }
    }

    fn connect(&mut self, _from: &Sandbox, protocol: Protocol, to: SocketAddr) -> Attempt {
        let reached = |pod| Reached { pod, at: to, from: SocketAddr::from(([10, 0, 0, 200], 40_000)) };
        let (end, took) = match self.pods.get(&to.ip()) {
            _ if to.ip() == IpAddr::from([10, 96, 0, 1]) => {
                let at = SocketAddr::from(([192, 168, 0, 1], 6443));
                (Ok(Reached { at, ..reached(None) }), Instant::millis(1))
            }
            None => (Err(Failed::Silence), Instant::seconds(130)),
            Some((pod, ports)) if ports.contains(&(protocol, to.port())) => {
                (Ok(reached(Some((pod.namespace.clone(), pod.pod.clone())))), Instant::millis(1))
            }
            Some(_) => (Err(Failed::Refused), Instant::millis(1)),
        };
        Attempt { end, took, trace: Vec::new() }
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

#[test]
fn programs_speak_over_the_network() {
    let wire = Rc::new(RefCell::new(Wire::default()));
    let shared: Shared = wire.clone();
    let mut bench = Bench::new(|kubelets| with_programs(kubelets).with_network(shared));
    bench.pod("web", web());
    let agnhost = json!({"name": "e", "image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec"], "ports": [{"containerPort": 8080}]});
    bench.pod("echo", json!({"containers": [agnhost]}));
    bench.wait(2.0);
    // A script, what it writes, and about how many seconds it takes.
    let cases: &[(&str, &str, f64)] = &[
        (
            "curl -s web",
            "<html>\n<head><title>Welcome to nginx!</title></head>\n<body>\n<h1>Welcome to nginx!</h1>\n</body>\n</html>\n",
            0.0,
        ),
        ("curl -s -o /dev/null -w '%{http_code}\\n' http://web/none", "404\n", 0.0),
        ("curl -sSf http://web/none; echo $?", "curl: (22) The requested URL returned error: 404\n22\n", 0.0),
        ("curl -sI web | head -n 2", "HTTP/1.1 200 OK\r\nServer: nginx\r\n", 0.0),
        ("curl -s http://echo:8080/hostname; echo; curl -s echo:8080/clientip", "echo\n10.0.0.200:40000", 0.0),
        ("curl nowhere; echo $?", "curl: (6) Could not resolve host: nowhere\n6\n", 0.0),
        ("curl -s nowhere; echo $?", "6\n", 0.0),
        (
            "curl -sS web:81; echo $?",
            "curl: (7) Failed to connect to web port 81 after 3 ms: Couldn't connect to server\n7\n",
            0.0,
        ),
        ("curl -m 2 silent; echo $?", "curl: (28) Connection timed out after 2000 milliseconds\n28\n", 2.0),
        (
            "curl --connect-timeout 1.5 silent; echo $?",
            "curl: (28) Failed to connect to silent port 80 after 1500 ms: Timeout was reached\n28\n",
            1.5,
        ),
        ("curl -s silent; echo $?", "28\n", 130.0),
        ("curl --max-time 3 slow; echo $?", "curl: (28) Resolving timed out after 3000 milliseconds\n28\n", 3.0),
        (
            "curl https://kubernetes; echo $?",
            "curl: (60) SSL certificate problem: unable to get local issuer certificate\n60\n",
            0.0,
        ),
        ("curl -sk -o /dev/null -w '%{http_code}' https://kubernetes/api", "403", 0.0),
        (
            "curl --frob web; echo $?",
            "curl: option --frob: is not simulated here\ncurl: try 'curl --help' or 'curl --manual' for more information\n2\n",
            0.0,
        ),
        ("wget -qO- http://echo:8080/hostname", "echo", 0.0),
        (
            "wget -O - web/none; echo $?",
            "Connecting to web (10.0.0.1:80)\nwget: server returned error: HTTP/1.1 404 Not Found\n1\n",
            0.0,
        ),
        ("wget nowhere; echo $?", "wget: bad address 'nowhere'\n1\n", 0.0),
        ("wget -q web:81; echo $?", "wget: can't connect to remote host (10.0.0.1): Connection refused\n1\n", 0.0),
        ("wget -q -T 4 silent; echo $?", "wget: download timed out\n1\n", 4.0),
        ("cd /tmp; wget -q web; ls", "index.html\n", 0.0),
        (
            "nslookup web; nslookup nowhere; echo $?",
            "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:\tweb.default.svc.cluster.local\nAddress: 10.0.0.1\n\n\
             Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n** server can't find nowhere: NXDOMAIN\n\n1\n",
            0.0,
        ),
        ("nslookup slow; echo $?", ";; connection timed out; no servers could be reached\n\n1\n", 10.0),
        ("nc -z web 80; echo $?; nc -zv web 81; echo $?", "0\nnc: web (10.0.0.1:81): Connection refused\n1\n", 0.0),
        ("nc -zv -w 3 silent 80; echo $?", "nc: timed out\n1\n", 3.0),
        ("nc -zuv web 53; which curl", "web (10.0.0.1:53) open\n/bin/curl\n", 0.0),
        ("until curl -sf web > /dev/null; do sleep 1; done; echo up", "up\n", 0.0),
    ];
    for (index, (script, said, seconds)) in cases.iter().enumerate() {
        let name = format!("client-{index}");
        let client = json!({"name": "client", "image": "curl", "command": ["sh", "-c", script]});
        bench.pod(&name, json!({"restartPolicy": "Never", "containers": [client]}));
        bench.wait(140.0);
        assert_eq!(bench.log(&name, "client"), *said, "{script}");
        let time = |field: &str| {
            let at = bench.status(&name, &format!("/containerStatuses/0/state/terminated/{field}"));
            at.as_str().and_then(|at| at.parse::<kit_api::jiff::Timestamp>().ok()).expect("it has ended").as_second()
        };
        let took = (time("finishedAt") - time("startedAt")) as f64;
        assert!((took - seconds).abs() <= 1.0, "{script}: {took} s");
    }
    // Whose workers stand still takes connections and answers none, until they go on.
    bench.exec("web", "web", &["kill", "-STOP", "2"], 0.0);
    let late = [
        (
            "curl -sS -m 3 web; echo $?",
            "curl: (28) Operation timed out after 3000 milliseconds with 0 bytes received\n28\n",
            4.0,
        ),
        ("wget -qT 2 -O- web; echo $?", "wget: download timed out\n1\n", 3.0),
        ("nc -z web 80; echo $?", "0\n", 1.0),
        ("curl -s -o /dev/null -w '%{http_code}' web", "", 60.0),
    ];
    for (script, said, seconds) in late {
        assert_eq!(bench.exec("echo", "e", &["sh", "-c", script], seconds).0, said, "{script}");
    }
    let script = "sleep 2; curl -s -o /dev/null -w '%{http_code}' web";
    let client = json!({"name": "client", "image": "curl", "command": ["sh", "-c", script]});
    bench.pod("patient", json!({"restartPolicy": "Never", "containers": [client]}));
    bench.wait(10.0);
    bench.exec("web", "web", &["kill", "-CONT", "2"], 1.0);
    assert_eq!(bench.log("patient", "client"), "200");
    // Who serves nothing any more can't be reached.
    bench.delete("web");
    bench.wait(1.0);
    let client = json!({"name": "client", "image": "curl", "command": ["curl", "-sS", "10.0.0.1"]});
    bench.pod("late", json!({"restartPolicy": "Never", "containers": [client]}));
    bench.wait(140.0);
    assert!(bench.log("late", "client").starts_with("curl: (7) Failed to connect to 10.0.0.1 port 80"));
    assert_eq!(bench.shown("late"), "Error");
}
