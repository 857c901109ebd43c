//! `cluster up`: starts the cluster, says where it is, and runs it until it is told to end.

use crate::control::{self, About, Control};
use crate::data::DataDir;
use crate::incident::Case;
use crate::modules::Seats;
use crate::{real, ui};
use anyhow::{Context, Result, bail};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{Key, Kind};
use kit_cluster::cluster::{self, AddOn, CloudShape, Config, DatabaseShape, NetworkShape, NodeGroup, Nodes};
use kit_cluster::engine::Clock;
use kit_live::audit::Audit;
use kit_live::audit::policy::Policy;
use kit_live::certificates::Certificates;
use kit_live::dns::Dns;
use kit_live::logs::Index;
use kit_live::store::Kept;
use kit_live::traces::Traces;
use kit_live::ui::Film;
use kit_live::{Live, Options, kubeconfig};
use kit_node::kubelet::cri::Runtime;
use kit_node::kubelet::node::NodeShape;
use kit_server::{Backend, Snapshot};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a detached cluster may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a cluster may take to have in its first namespace what pods need; a learner's controllers may never bring it.
const SETTLES: Duration = Duration::from_secs(5);
/// With more nodes than this there is a network only if somebody asks for it: each node knows the way to each other.
const NETWORKED: usize = 50;
/// The most nodes: what a real cluster is tested with is a tenth of it.
const NODES: usize = 50_000;

#[derive(clap::Args)]
pub struct Args {
    /// How many nodes
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// In how many zones they stand, in turn
    #[arg(long, default_value_t = 3)]
    zones: usize,
    /// How many hosts the control plane has, each with a member of a simulated etcd; without any it never fails
    #[arg(long, default_value_t = 0)]
    control_planes: usize,
    /// What runs the containers of all nodes, and says why an image can't be pulled: `containerd` or `cri-o`
    #[arg(long, value_name = "RUNTIME", default_value = "containerd")]
    runtime: Runtime,
    /// Leaves out the simulated cloud: services of type LoadBalancer stay <pending>
    #[arg(long)]
    no_cloud: bool,
    /// The network of pods: `flannel`, `calico`, `calico-ebpf` (without kube-proxy), `cilium`, or `none`, where pods have addresses that nobody routes. Without it flannel, in
    /// a cluster of up to 50 nodes
    #[arg(long, value_name = "PLUGIN", value_parser = network)]
    network: Option<Network>,
    /// Installs an operator of databases, which looks after DatabaseClusters, a simulated database, and snapshots of volumes
    #[arg(long)]
    databases: bool,
    /// What is installed beside Kubernetes itself: `vpa`, the Vertical Pod Autoscaler; `keda`, which scales by queues and from
    /// nothing; `prometheus-adapter`, which tells autoscalers of requests; `kube-state-metrics`, which makes metrics of all objects;
    /// `cluster-autoscaler`, which orders nodes of a group when pods fit nowhere; `logging`, an agent on each node that ships logs, and an
    /// index of them that answers as Elasticsearch does
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = add_on)]
    add_on: Vec<AddOn>,
    /// A group of machines for `cluster-autoscaler`, as it is told of it upstream: `0:10:pool`, or `0:10:pool:8:32Gi` for machines with
    /// so much CPU and memory; without it `0:10:pool`
    #[arg(long, value_name = "MIN:MAX:NAME", value_parser = node_group)]
    node_group: Vec<NodeGroup>,
    /// Gives nodes and pods network namespaces of this machine's kernel, with a server on each port of a pod: `enter` runs a real `curl`,
    /// `tcpdump` or `iptables-save` there. Linux, as root
    #[arg(long, conflicts_with = "etcd")]
    real_network: bool,
    /// How many seconds of the cluster pass in one second: 1, if the incident says nothing else
    #[arg(long)]
    speed: Option<f64>,
    /// The source of chance; without it another one each time
    #[arg(long)]
    seed: Option<u64>,
    /// The port; without it, a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port of the DNS server, for UDP and TCP; without it, a free one
    #[arg(long, default_value_t = 0)]
    dns_port: u16,
    /// The port of the index of logs, if there is one; without it, a free one
    #[arg(long, default_value_t = 0)]
    logs_port: u16,
    /// Writes the log files of nodes there, as they lie on a real node: `DIR/node-1/var/log/containers/*.log`. It brings the add-on `logging`
    #[arg(long, value_name = "DIR")]
    node_logs: Option<PathBuf>,
    /// The address; others than those of this machine itself open the cluster to the network
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Where the kubeconfig is written; without it, into the cluster's folder
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Adds the cluster to your own kubeconfig, too, and makes it the current one
    #[arg(long)]
    merge: bool,
    /// Your modules in place of the reference's, such as `scheduler/queue`, all of `scheduler`, or `queue=FILE`
    #[arg(long, value_name = "EXERCISE[=FILE]", value_delimiter = ',')]
    modules: Vec<String>,
    /// Takes up each of them anew when its file is saved
    #[arg(long, requires = "modules")]
    watch: bool,
    /// Tells of requests in this file, one event of audit.k8s.io/v1 a line
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// Which requests, and how much of each: a Policy of audit.k8s.io/v1; without it of all of them who, what and when
    #[arg(long, value_name = "FILE", requires = "audit_log")]
    audit_policy: Option<PathBuf>,
    /// Sends traces of the control plane to an OpenTelemetry collector, by OTLP over HTTP: `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// So many of a million traces that begin here are kept, and all that their callers keep (`samplingRatePerMillion` of a TracingConfiguration); with
    /// `--otlp` all, without it none. `cluster traces` and the page `traces` of `--ui` show them
    #[arg(long, value_name = "PER_MILLION", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    trace_rate: Option<u32>,
    /// The form of what is logged where RUST_LOG asks for it
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Serves a picture of the cluster for a browser on this machine, with buttons for faults and the clock
    #[arg(long)]
    ui: bool,
    /// Writes a page that replays its last hour when the cluster ends
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Runs in the background, and comes back when the cluster is ready
    #[arg(long)]
    detach: bool,
    /// Keeps everything in this folder, so that the next start with it goes on where this one ended; a write is answered
    /// once it is on the disk. Nodes of an earlier start that `--nodes` doesn't ask for have no kubelet and become NotReady
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keeps everything in this etcd (`http://127.0.0.1:2379`; several members with commas, or one flag each). Several
    /// clusters on one etcd are one: each serves it, and one of them runs its scheduler, its controllers and its nodes, until
    /// it ends and another takes over. Needs a build with `--features etcd`
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with_all = ["data_dir", "control_planes", "seed"])]
    etcd: Vec<String>,
    /// Begins with the cluster of this file, after something has gone wrong in it; `check` says when it is mended
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nodes", "zones", "runtime", "control_planes", "data_dir", "etcd"])]
    incident: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A network of pods, or none.
#[derive(Debug, Clone)]
struct Network(Option<NetworkShape>);

fn network(name: &str) -> Result<Network, String> {
    if name == "none" { Ok(Network(None)) } else { NetworkShape::named(name).map(|shape| Network(Some(shape))) }
}

fn add_on(name: &str) -> Result<AddOn, String> {
    let names = || AddOn::ALL.map(|(name, _)| format!("`{name}`")).join(", ");
    let found = AddOn::ALL.iter().find(|(there, _)| *there == name);
    found.map(|(_, add_on)| *add_on).ok_or_else(|| format!("there is {}", names()))
}

fn node_group(text: &str) -> Result<NodeGroup, String> {
    let wrong = || format!("`{text}`: a group is MIN:MAX:NAME, such as 0:10:pool");
    let parts: Vec<&str> = text.split(':').collect();
    let ([min, max, name] | [min, max, name, _, _]) = parts[..] else { return Err(wrong()) };
    let (min, max): (usize, usize) = min.parse().ok().zip(max.parse().ok()).ok_or_else(wrong)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if min > max || max > NODES || !is_name || name == "node" {
        return Err(wrong());
    }
    let mut machine = NodeShape::default();
    if let [.., cpu, memory] = parts[3..] {
        let amount = |text: &str| text.parse::<kit_api::Quantity>().is_ok_and(|amount| amount.sign() > 0);
        if !amount(cpu) || !amount(memory) {
            return Err(format!("`{text}`: CPU and memory are quantities, such as 4 and 8Gi"));
        }
        (machine.cpu, machine.memory) = (cpu.into(), memory.into());
    }
    Ok(NodeGroup { name: name.into(), min, max, machine, ..NodeGroup::default() })
}

/// How fast a clock may run.
pub fn speed(speed: f64) -> Result<f64> {
    match (0.01..=10_000.0).contains(&speed) {
        true => Ok(speed),
        false => bail!("a speed lies between 0.01 and 10000: {speed}"),
    }
}

pub fn up(name: &str, folder: &Path, args: &Args) -> Result<()> {
    let began = Instant::now();
    if control::runs(folder) {
        bail!("the cluster {name} runs already; `cargo grade cluster down` ends it, and `--name` makes another");
    }
    if args.nodes > NODES {
        bail!("at most {NODES} nodes: {}", args.nodes);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let case = args.incident.as_deref().map(Case::load).transpose()?;
    let speed = speed(args.speed.or(case.as_ref().map(|case| case.incident.speed)).unwrap_or(1.0))?;
    if args.detach {
        // What is wrong with a policy is said here, not in a log.
        audit(args)?;
        return detach(folder);
    }
    trace(args.log_format)?;
    let audit = audit(args)?;
    let traces = (args.otlp.is_some() || args.trace_rate.is_some())
        .then(|| Traces::new(args.trace_rate.unwrap_or(1_000_000), args.otlp.as_deref()))
        .transpose()?
        .map(Arc::new);
    let data = args.data_dir.as_deref().map(DataDir::take).transpose()?;
    let pki = data.as_ref().map_or_else(|| folder.join("pki"), DataDir::pki);
    let certificates =
        Certificates::in_folder(&pki).with_context(|| format!("the certificates in {}", pki.display()))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("this machine's clock stands before 1970")?;
    let seed = args.seed.or(case.as_ref().map(|case| case.incident.cluster.seed)).unwrap_or(since.as_nanos() as u64);
    let config = Config {
        nodes: Nodes::Shapes((0..args.nodes).map(|index| node(index, args.zones, args.runtime)).collect()),
        control_planes: args.control_planes,
        cloud: (!args.no_cloud).then(CloudShape::default),
        network: match &args.network {
            Some(Network(shape)) => shape.clone(),
            None => (args.nodes <= NETWORKED).then(NetworkShape::default),
        },
        databases: args.databases.then(DatabaseShape::default),
        add_ons: args.add_on.iter().copied().chain(args.node_logs.as_ref().map(|_| AddOn::Logging)).collect(),
        node_groups: args.node_group.clone(),
        candidate: (!args.etcd.is_empty()).then(|| format!("{name}_{seed:016x}")),
        seed,
        epoch: Timestamp::from_second(since.as_secs() as i64).ok(),
        programs: true,
        accounts: Some(certificates.authority.clone()),
        ..Config::default()
    };
    let config = case.iter().fold(config, |config, case| case.config(config));
    let has_logs = config.add_ons.contains(&AddOn::Logging);
    let claim = claim(name, args, config.network.as_ref())?;
    let port = match (args.port, &data) {
        (0, Some(data)) => data.port(args.listen),
        (port, _) => port,
    };
    let listen = SocketAddr::new(args.listen, port);
    let options = Options {
        speed,
        listen,
        shared: !args.etcd.is_empty(),
        certificates: Some(certificates.clone()),
        audit,
        traces,
    };
    let store = store(data.as_ref(), &args.etcd)?;
    let (tell, unreadable) = channel();
    let seats = Seats::take(&args.modules)?;
    if store.is_some() && seats.have_store() {
        bail!("your store keeps objects in memory: it goes without --data-dir and --etcd");
    }
    let engine = {
        let (seats, case) = (seats.clone(), case.clone());
        move || {
            let modules = seats.modules();
            let Some(store) = store else {
                let mut engine = cluster::start(&config, &modules, Clock::default());
                case.iter().try_for_each(|case| case.begin(&mut engine))?;
                return Ok(engine);
            };
            let engine = cluster::open(&config, &modules, Clock::default(), store);
            let engine = engine.map_err(|error| error.message)?;
            engine.server().unreadable().for_each(|(_, why)| _ = tell.send(why.message.clone()));
            Ok(engine)
        }
    };
    let live = Live::try_start(engine, options).with_context(|| format!("can't start a cluster at {listen}"))?;
    if let Some(data) = &data {
        data.keep_port(live.address().port())?;
    }
    let (down, ends) = channel();
    if args.watch {
        seats.watch(live.door());
    }
    case.iter().for_each(|case| case.watch(&live.door()));
    let title = case.as_ref().map_or(name, |case| &case.incident.name);
    let film = (args.ui || args.html.is_some()).then(|| Film::of(&live.door(), title)).transpose()?;
    let picture = film.as_ref().filter(|_| args.ui).map(|film| ui::serve(live.door(), film.clone())).transpose()?;
    // It stays on this machine, whatever else is open to the network.
    let own = if args.listen.is_loopback() { args.listen } else { Ipv4Addr::LOCALHOST.into() };
    let names = {
        let seats = seats.clone();
        Dns::serve(live.door(), SocketAddr::new(own, args.dns_port), move || seats.modules().dns.make(&()))
    };
    let names = names.with_context(|| format!("can't serve DNS at {}", SocketAddr::new(own, args.dns_port)))?;
    let index = has_logs.then(|| Index::serve(live.door(), SocketAddr::new(own, args.logs_port))).transpose();
    let index = index.with_context(|| format!("can't serve logs at {}", SocketAddr::new(own, args.logs_port)))?;
    if let Some(folder) = &args.node_logs {
        let written = kit_live::logs::files::write(&live.door(), folder);
        written.with_context(|| format!("can't write logs into {}", folder.display()))?;
    }
    let real = claim.map(|claim| {
        let seats = seats.clone();
        let tell = |why: &str| println!("  warning: the real network: {why}");
        real::Real::start(claim, &live.door(), move || seats.modules().dns.make(&()), tell)
    });
    let real = real.transpose().map_err(|why| anyhow::anyhow!("the network can't be made real: {why}"))?;
    let status = real.as_ref().map(real::Real::status);
    let about = About { door: live.door(), seats, case: case.clone(), real: status };
    let control = Control::listen(folder, about, down.clone())?;
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            _ = down.send(());
        }
    });
    let file = args.kubeconfig.clone().unwrap_or_else(|| folder.join("kubeconfig"));
    let file = std::path::absolute(&file).unwrap_or(file);
    kubeconfig::write(&file, name, live.address(), Some(&certificates))
        .with_context(|| format!("can't write {}", file.display()))?;
    if args.merge {
        merge(&file)?;
    }
    unreadable.iter().for_each(|why| println!("  warning: {why}; everything else is there"));
    settle(&live, began);
    let nodes = case.as_ref().map_or(args.nodes, |_| live.door().snapshot().list(Kind::Node).count());
    let idle = if case.is_some() { Vec::new() } else { idle(&live.door().snapshot(), args.nodes) };
    if !idle.is_empty() {
        println!("  warning: no kubelet runs on {}: more nodes were asked for earlier", idle.join(", "));
    }
    println!("  ready in {:.1} s   {} nodes   https://{}", began.elapsed().as_secs_f64(), nodes, live.address());
    println!("  dns  {}", names.address());
    index.iter().for_each(|index| println!("  logs http://{}", index.address()));
    if real.is_some() {
        println!("  network  real   cargo grade cluster enter node-1");
    }
    picture.iter().for_each(|picture| println!("  picture {}", picture.address()));
    let shown = picture.as_ref().filter(|_| live.door().traces().is_some());
    shown.iter().for_each(|picture| println!("  traces  {}traces", picture.address()));
    println!("  export KUBECONFIG={}", file.display());
    loop {
        match ends.recv_timeout(Duration::from_millis(200)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if live.runs() => {}
            _ => break,
        }
    }
    drop(picture);
    if let (Some(film), Some(file)) = (film, &args.html) {
        std::fs::write(file, film.page()?).with_context(|| format!("can't write {}", file.display()))?;
    }
    // Whoever waits for the end asks `control` whether it has come.
    drop(real);
    drop(control);
    drop(names);
    drop(index);
    _ = std::fs::remove_file(folder.join("kubeconfig"));
    Ok(live.stop()?)
}

/// Waits for what pods of the namespace `default` need: a request that comes before it is refused, or meets it halfway.
fn settle(live: &Live, began: Instant) {
    let needed = [(Kind::ServiceAccount, "default"), (Kind::ConfigMap, "kube-root-ca.crt")];
    let there = |(kind, name)| live.door().snapshot().get(&Key::new(kind, "default", name)).is_some();
    while !needed.into_iter().all(there) && live.runs() && began.elapsed() < SETTLES {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A claim to network namespaces, if the cluster is to have any and this machine can make them.
fn claim(name: &str, args: &Args, network: Option<&NetworkShape>) -> Result<Option<real::Claim>> {
    if !args.real_network {
        // One that was killed takes nothing away.
        if real::has_left(name) {
            _ = real::Claim::take(name);
        }
        return Ok(None);
    }
    let Some(shape) = network else {
        bail!("--real-network needs a network of pods: `--network flannel`");
    };
    let claim = real::Claim::take(name).map_err(anyhow::Error::msg)?;
    real::check(&claim, shape.plugin).map_err(anyhow::Error::msg)?;
    if shape.plugin == kit_cluster::cluster::Plugin::Calico {
        println!(
            "  warning: the kernel enforces no NetworkPolicy here; `cargo grade cluster packet` says what they do"
        );
    }
    Ok(Some(claim))
}

/// What keeps the objects longer than this process lives, if anything does.
fn store(data: Option<&DataDir>, etcd: &[String]) -> Result<Option<Box<dyn Backend + Send>>> {
    Ok(match (data, etcd) {
        (Some(data), _) => Some(Box::new(Kept::alone(data.store()?))),
        (None, []) => None,
        (None, urls) => {
            let members: Vec<&str> = urls.iter().map(String::as_str).collect();
            let client = client(&members).with_context(|| urls.join(", "))?;
            Some(Box::new(Kept::shared(client)))
        }
    })
}

#[cfg(feature = "etcd")]
fn client(members: &[&str]) -> Result<kit_etcd::Etcd> {
    Ok(kit_etcd::Etcd::connect_any(members)?)
}

#[cfg(not(feature = "etcd"))]
fn client(_members: &[&str]) -> Result<kit_store::Disk> {
    bail!("this build has no client of etcd, which needs `protoc`; build it with `--features etcd`")
}

/// The nodes of an earlier start that have no kubelet in this one.
fn idle(snapshot: &Snapshot, nodes: usize) -> Vec<String> {
    let runs = |name: &str| {
        let number = name.strip_prefix("node-").and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| (1..=nodes).contains(&number))
    };
    let names = snapshot.list(Kind::Node).map(|stored| stored.key.name.to_string());
    // Those of a group come and go.
    names.filter(|name| name.starts_with("node-") && !runs(name)).collect()
}

/// Shows what RUST_LOG asks for: a level, or targets with levels each (`kit_live=debug,kit_cluster=trace`).
fn trace(format: LogFormat) -> Result<()> {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    if wanted.is_empty() {
        return Ok(());
    }
    let targets: Targets = wanted.parse().with_context(|| format!("RUST_LOG is no list of levels: {wanted:?}"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(targets);
    match format {
        LogFormat::Text => registry.with(layer).try_init()?,
        LogFormat::Json => registry.with(layer.json()).try_init()?,
    }
    Ok(())
}

/// The audit log, if one is asked for.
fn audit(args: &Args) -> Result<Option<Arc<Audit>>> {
    let Some(log) = &args.audit_log else { return Ok(None) };
    let policy = match &args.audit_policy {
        None => Policy::metadata(),
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
            let read = Policy::read(&text);
            read.map_err(|why| anyhow::anyhow!("the audit policy {} is not right:\n{why}", file.display()))?
        }
    };
    let audit = Audit::to_file(log, policy).with_context(|| format!("can't write {}", log.display()))?;
    Ok(Some(Arc::new(audit)))
}

fn node(index: usize, zones: usize, runtime: Runtime) -> NodeShape {
    let zone = index.checked_rem(zones).map(|zone| match u8::try_from(zone) {
        Ok(letter @ 0..26) => format!("zone-{}", char::from(b'a' + letter)),
        _ => format!("zone-{}", zone + 1),
    });
    NodeShape { name: format!("node-{}", index + 1), zone, runtime, ..NodeShape::default() }
}

/// Starts the same command once more, in a session of its own, and waits until it says that it is ready.
fn detach(folder: &Path) -> Result<()> {
    let log = folder.join("log");
    let file = std::fs::File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
    let program = std::env::current_exe().context("where this program lies is not known")?;
    let mut command = Command::new("setsid");
    command.arg(program).args(std::env::args_os().skip(1).filter(|argument| argument != "--detach"));
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().context("can't start `setsid`")?;
    let began = Instant::now();
    loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if said.contains("export KUBECONFIG=") {
            print!("{said}");
            return Ok(());
        }
        if child.try_wait()?.is_some() || began.elapsed() > PATIENCE {
            bail!("the cluster did not start: {}", said.trim_start_matches("error: ").trim_end());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets kubectl lay the file over the user's own, for it knows how.
fn merge(file: &Path) -> Result<()> {
    let home = std::env::var_os("HOME").context("no HOME, so there is no kubeconfig to merge with")?;
    let own = Path::new(&home).join(".kube/config");
    let mut files = file.as_os_str().to_os_string();
    files.push(":");
    files.push(&own);
    let merged = Command::new("kubectl").args(["config", "view", "--flatten"]).env("KUBECONFIG", files).output();
    let merged = merged.context("`--merge` needs kubectl")?;
    if !merged.status.success() {
        bail!("kubectl can't merge {}: {}", own.display(), String::from_utf8_lossy(&merged.stderr).trim_end());
    }
    std::fs::create_dir_all(own.parent().unwrap_or(&own))?;
    let part = own.with_extension("part");
    std::fs::write(&part, merged.stdout).and_then(|()| std::fs::rename(&part, &own))?;
    Ok(())
}
