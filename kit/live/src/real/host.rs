//! Commands on this machine: what runs them, what tries them out, what cleans up after them.

use kit_network::datapath::kernel::{Batch, Names};
use kit_network::fabric::kernel::Wanted;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `ip netns` keeps namespaces, and files that programs in one see in place of those of `/etc`.
const NAMESPACES: &str = "/run/netns";
const FILES: &str = "/etc/netns";
/// The programs, how each is asked whether it is there, and the package that brings it.
const TOOLS: [(&str, &str, &str); 4] = [
    ("ip", "-V", "iproute2"),
    ("bridge", "-V", "iproute2"),
    ("sysctl", "--version", "procps"),
    ("iptables-restore", "--version", "iptables"),
];
/// Rules of the kinds that kube-proxy writes.
const RULES: [&str; 9] = [
    "*nat",
    ":TRIAL - [0:0]",
    "-A PREROUTING -m addrtype --dst-type LOCAL -m comment --comment \"a trial\" -j TRIAL",
    "-A TRIAL -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.2:80",
    "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE",
    "COMMIT",
    "*filter",
    "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
    "COMMIT",
];

/// Brings the kernel from one state to another: what failed, and the namespaces whose rules were refused.
pub fn change(before: &Wanted, after: &Wanted) -> (Vec<String>, Vec<String>) {
    let mut failures: Vec<String> = after.state.since(&before.state).iter().flat_map(run).collect();
    for (namespace, place) in &after.places {
        let known = before.places.get(namespace).map(|before| &before.resolv_conf);
        if known != Some(&place.resolv_conf) {
            let folder = Path::new(FILES).join(namespace);
            let written =
                fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("resolv.conf"), &place.resolv_conf));
            failures.extend(written.err().map(|error| format!("{}/resolv.conf: {error}", folder.display())));
        }
    }
    for namespace in before.places.keys().filter(|namespace| !after.places.contains_key(*namespace)) {
        _ = fs::remove_dir_all(Path::new(FILES).join(namespace));
    }
    let mut refused = Vec::new();
    let none = Default::default();
    for (namespace, rules) in &after.rules {
        let Some(batch) = rules.since(before.rules.get(namespace).unwrap_or(&none), namespace) else { continue };
        let why = run(&batch);
        refused.extend((!why.is_empty()).then(|| namespace.clone()));
        failures.extend(why);
    }
    (failures, refused)
}

/// Runs it: what failed, each with the command that did.
pub fn run(batch: &Batch) -> Vec<String> {
    let shown = batch.command.join(" ");
    let (program, arguments) = batch.command.split_first().expect("a command has a program");
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path()).env("LC_ALL", "C");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return vec![format!("{shown}: {error}")],
    };
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // It may say more than a pipe holds before it has read everything.
        scope.spawn(|| {
            let input: String = batch.lines.iter().map(|line| format!("{line}\n")).collect();
            // Whoever doesn't read to the end says why.
            stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        child.wait_with_output()
    });
    match output {
        Ok(output) if output.status.success() => Vec::new(),
        Ok(output) => told(batch, &shown, &String::from_utf8_lossy(&output.stderr)),
        Err(error) => vec![format!("{shown}: {error}")],
    }
}

/// What a program said of its commands: after the words about each that failed it names its line.
fn told(batch: &Batch, shown: &str, said: &str) -> Vec<String> {
    let (mut failures, mut words) = (Vec::new(), Vec::new());
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let number = line.strip_prefix("Command failed -:").and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| batch.lines.get(number.checked_sub(1)?)) {
            Some(command) => {
                let shown = shown.replace(" -force", "").replace(" -batch -", "");
                failures.push(format!("{shown} {command}: {}", words.join("; ")));
                words.clear();
            }
            None => words.push(line),
        }
    }
    if failures.is_empty() {
        failures.push(format!("{shown}: {}", words.join("; ")));
    }
    failures
}

/// Where programs are: those of the administrator, too, whoever calls.
fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/sbin:/sbin:/usr/bin:/bin")
}

/// What a cluster of this name has left: namespaces, and files of them.
pub fn left(names: &Names) -> Vec<PathBuf> {
    let folders = [NAMESPACES, FILES].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    let entries = folders.flatten().flatten();
    let own = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&names.prefix())));
    own.map(|entry| entry.path()).collect()
}

/// Takes all of it away.
pub fn clear(names: &Names) {
    for path in left(names) {
        match path.file_name().filter(|_| path.starts_with(NAMESPACES)).and_then(|name| name.to_str()) {
            Some(name) => _ = run(&Batch::plain(&format!("ip netns del {name}"))),
            None => _ = fs::remove_dir_all(path),
        }
    }
    // Only if nobody else has anything there.
    _ = fs::remove_dir(FILES);
}

/// Tries out what is needed, in a namespace that is thrown away.
pub fn check(names: &Names, with_ipip: bool) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err(
            "a real network needs root, for network namespaces; in a container that takes `--privileged`".into()
        );
    }
    for (tool, asked, package) in TOOLS {
        let there = Command::new(tool).arg(asked).env("PATH", path()).output();
        if there.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(format!("a real network needs the program `{tool}`: install the package {package}"));
        }
    }
    // Where these are modules of the kernel it may be that nothing else loads them.
    _ = run(&Batch::plain("modprobe -q br_netfilter"));
    let trial = names.trial();
    let tried = try_out(&trial, with_ipip);
    _ = run(&Batch::plain(&format!("ip netns del {trial}")));
    tried
}

fn try_out(trial: &str, with_ipip: bool) -> Result<(), String> {
    let link = |what: &str| Batch::plain(&format!("ip -n {trial} link add {what}"));
    let rules = Batch::plain(&format!("ip netns exec {trial} iptables-restore --noflush"));
    let steps = [
        ("network namespaces", Batch::plain(&format!("ip netns add {trial}"))),
        ("settings of a namespace", {
            Batch::plain(&format!("ip netns exec {trial} sysctl -q -w net.ipv4.ip_forward=1"))
        }),
        ("pairs of interfaces (veth)", link("one type veth peer name two")),
        ("bridges", link("three type bridge")),
        ("VXLAN interfaces", link("four type vxlan id 1 local 10.0.0.1 dstport 8472 nolearning")),
        ("rules of iptables with NAT", Batch { lines: RULES.map(str::to_string).into(), ..rules }),
        (
            "IPIP interfaces, which Calico needs; `--network flannel` does without",
            link("five type ipip local 10.0.0.1 remote 10.0.0.2"),
        ),
    ];
    let needed = if with_ipip { steps.len() } else { steps.len() - 1 };
    for (what, batch) in &steps[..needed] {
        if let Some(why) = run(batch).first() {
            return Err(format!("this machine can't make {what} ({why})"));
        }
    }
    Ok(())
}
