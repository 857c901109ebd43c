//! What is written waits for the disk together, and nobody hears of it before it is safe.

use kit_cluster::cluster::{self, Config, Nodes};
use kit_cluster::engine::Clock;
use kit_contract::control_plane::{Event, Op, RangeRequest, RangeResponse};
use kit_live::store::Kept;
use kit_live::{Live, Options, Stopped};
use kit_server::{Backend, Written};
use kit_store::Memory;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long nothing must happen to be sure that it doesn't.
const SILENCE: Duration = Duration::from_millis(300);
/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A store whose disk asks the test, each time that it is to make something safe.
struct Asking {
    kept: Kept<Memory>,
    holds: bool,
    unsaved: usize,
    /// Tells how many writes are to be made safe, and hears whether they are.
    disk: Arc<Mutex<Option<Disk>>>,
}

struct Disk {
    asked: Sender<usize>,
    answers: Receiver<Result<(), String>>,
}

impl Backend for Asking {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, String> {
        self.kept.range(request)
    }

    fn write(&mut self, op: &Op, known: Option<i64>) -> Result<Written, String> {
        self.unsaved += usize::from(self.holds);
        self.kept.write(op, known)
    }

    fn compact(&mut self, revision: i64) -> bool {
        self.kept.compact(revision)
    }

    fn watch(&mut self, from: i64) -> Result<(), String> {
        self.kept.watch(from)
    }

    fn events(&mut self) -> Result<Vec<Event>, String> {
        self.kept.events()
    }

    fn hold(&mut self) {
        self.holds = true;
    }

    fn is_unsaved(&self) -> bool {
        self.unsaved > 0
    }

    fn save(&mut self) -> Result<(), String> {
        let writes = std::mem::take(&mut self.unsaved);
        let Some(disk) = &*self.disk.lock().expect("nobody panicked") else { return Ok(()) };
        disk.asked.send(writes).expect("the test goes on");
        disk.answers.recv().expect("the test goes on")
    }
}

/// A cluster without nodes whose clock stands still, so that nobody writes but the test; and what the test says to its disk.
fn start() -> (Live, Receiver<usize>, Sender<Result<(), String>>) {
    let disk = Arc::new(Mutex::new(None));
    let store = Asking { kept: Kept::alone(Memory::default()), holds: false, unsaved: 0, disk: disk.clone() };
    let config = Config { nodes: Nodes::Shapes(Vec::new()), ..Config::default() };
    let open = move || {
        cluster::open(&config, &solutions::modules(), Clock::default(), Box::new(store)).map_err(|error| error.message)
    };
    let live = Live::try_start(open, Options::default()).expect("a port is free");
    let ((asked, asks), (tell, answers)) = (channel(), channel());
    let (ready, begun) = channel();
    live.door().request(|driver| driver.pause(true));
    // What was written until then is safe.
    std::thread::sleep(SILENCE);
    live.door().request(move |_| {
        *disk.lock().expect("nobody panicked") = Some(Disk { asked, answers });
        ready.send(()).expect("the test goes on");
    });
    begun.recv_timeout(PATIENCE).expect("the engine runs");
    (live, asks, tell)
}

fn send(address: SocketAddr, head: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let length = body.len();
    let head = format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it takes requests");
    stream
}

fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers in UTF-8");
    (text[9..12].parse().expect("a status"), text)
}

fn create(address: SocketAddr, name: &str) -> JoinHandle<(u16, String)> {
    let body = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
    let stream = send(address, &format!("POST {MAPS}"), &body);
    std::thread::spawn(move || answer(stream))
}

/// Lets the engine do nothing until the sender is dropped, so that requests gather.
fn busy(live: &Live) -> Sender<()> {
    let (go, wait) = channel::<()>();
    live.door().request(move |_| _ = wait.recv());
    go
}

#[test]
fn a_batch_is_made_safe_once_and_nobody_hears_of_it_before() {
    let (live, asks, tell) = start();
    let address = live.address();
    let mut watch = BufReader::new(send(address, &format!("GET {MAPS}?watch=1&resourceVersion=0"), ""));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        watch.read_line(&mut line).expect("a head");
    }
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        let lines = watch.lines().map_while(Result::ok);
        lines.filter(|line| line.contains("\"map-")).for_each(|line| _ = heard.send(line));
    });

    // A slow disk is worth waiting for others.
    let first = create(address, "first");
    assert_eq!(asks.recv_timeout(PATIENCE), Ok(1));
    std::thread::sleep(SILENCE);
    tell.send(Ok(())).expect("the disk listens");
    assert_eq!(first.join().expect("it was answered").0, 201);

    let go = busy(&live);
    let writers: Vec<_> = (0..8).map(|number| create(address, &format!("map-{number}"))).collect();
    std::thread::sleep(SILENCE);
    drop(go);
    assert_eq!(asks.recv_timeout(PATIENCE), Ok(8), "all of them wait for the disk together");
    // Asked for while the disk is busy: from the snapshot, and by the engine.
    let [list, chosen] = ["", "?labelSelector=app"].map(|query| send(address, &format!("GET {MAPS}{query}"), ""));
    let (code, list) = answer(list);
    assert!(code == 200 && !list.contains("map-"), "a list shows what may be lost: {list}");
    assert!(hears.recv_timeout(SILENCE).is_err(), "a watch shows what may be lost");
    assert!(writers.iter().all(|writer| !writer.is_finished()), "an answer says that it is safe");

    tell.send(Ok(())).expect("the disk listens");
    for writer in writers {
        let (code, text) = writer.join().expect("it was answered");
        assert_eq!(code, 201, "{text}");
    }
    assert_eq!(answer(chosen).0, 200);
    for number in 0..8 {
        let line = hears.recv_timeout(PATIENCE).expect("a watch hears of it");
        assert!(line.contains("ADDED"), "event {number}: {line}");
        // Whoever was answered, or heard of it, reads it.
        assert_eq!(answer(send(address, &format!("GET {MAPS}/map-{number}"), "")).0, 200);
    }
    assert!(asks.try_recv().is_err(), "nothing else was to be made safe");
    live.stop().expect("nothing was lost");
}

#[test]
fn what_cannot_be_made_safe_is_never_acknowledged() {
    let (live, asks, tell) = start();
    let address = live.address();
    let go = busy(&live);
    let writers: Vec<_> = (0..4).map(|number| create(address, &format!("map-{number}"))).collect();
    std::thread::sleep(SILENCE);
    // A read that comes after them would see them.
    let reader = send(address, &format!("GET {MAPS}/map-0?resourceVersion=0"), "");
    drop(go);
    asks.recv_timeout(PATIENCE).expect("they are to be made safe");
    tell.send(Err("the disk is full".into())).expect("the disk listens");
    for writer in writers {
        let (code, text) = writer.join().expect("it was answered");
        assert!(code >= 500, "{text}");
    }
    assert_ne!(answer(reader).0, 200);
    let (_, list) = answer(send(address, &format!("GET {MAPS}"), ""));
    assert!(!list.contains("map-"), "a list shows what is lost: {list}");
    let begun = Instant::now();
    while live.runs() {
        assert!(begun.elapsed() < PATIENCE, "it goes on with a store that can't be written");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (code, text) = create(address, "later").join().expect("it was answered");
    assert!(code >= 500, "{text}");
    let Err(Stopped::Unsaved(why)) = live.stop() else { panic!("it stopped without a reason") };
    assert!(why.contains("the disk is full"), "{why}");
}
