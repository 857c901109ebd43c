//! Commands that go over the network: `curl`, and `wget`, `nslookup` and `nc` as BusyBox has them.
//!
//! What they print are the words of curl 8 and of BusyBox 1.36. They wait as long as the network says, or their own limit.

mod busybox;
mod curl;

use super::super::link::{Answer, Link};
use super::super::shell::{Io, Shell};
use kit_client::network::{Attempt, Failed, NotResolved, Protocol};
use kit_time::agenda::Instant;
use std::net::{IpAddr, SocketAddr};

/// How often it is looked whether there is an answer.
const LOOK: Instant = Instant::millis(500);

/// Runs one of them.
pub async fn run(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    let Some(link) = shell.system.network.clone() else { return 127 };
    let status = match name {
        "curl" => curl::run(shell, &link, words, io).await,
        "wget" => busybox::wget(shell, &link, words, io).await,
        "nslookup" => busybox::nslookup(shell, &link, words, io).await,
        _ => busybox::nc(shell, &link, words, io).await,
    };
    if shell.system.interrupted() { 130 } else { status }
}

/// Why there is no connection.
enum Trouble {
    /// The name has no address.
    Name,
    /// The time was up while it was looked for.
    Looking,
    /// Nobody took the connection.
    Connection(IpAddr, Failed),
    /// The time was up before anybody did.
    Waiting,
}

/// A connection, or why there is none.
struct Connected {
    end: Result<(SocketAddr, kit_client::network::Reached), Trouble>,
    took: Instant,
}

/// Looks up a name and connects to its first address, within a limit.
async fn connect(
    shell: &Shell,
    link: &Link,
    host: &str,
    port: u16,
    protocol: Protocol,
    limit: Option<Instant>,
) -> Connected {
    let (addresses, took) = lookup(link, host);
    if let Some(limit) = limit.filter(|limit| took > *limit) {
        shell.system.sleep(limit.nanos).await;
        return Connected { end: Err(Trouble::Looking), took: limit };
    }
    shell.system.sleep(took.nanos).await;
    let Some(ip) = addresses.ok().and_then(|addresses| addresses.first().copied()) else {
        return Connected { end: Err(Trouble::Name), took };
    };
    let to = SocketAddr::new(ip, port);
    let Attempt { end, took: more, .. } = link.wires.network.borrow_mut().connect(&link.sandbox, protocol, to);
    let left = limit.map(|limit| limit - took);
    if let Some(left) = left.filter(|left| more > *left) {
        shell.system.sleep(left.nanos).await;
        return Connected { end: Err(Trouble::Waiting), took: took + left };
    }
    shell.system.sleep(more.nanos).await;
    let end = end.map(|reached| (to, reached)).map_err(|failed| Trouble::Connection(ip, failed));
    Connected { end, took: took + more }
}

fn lookup(link: &Link, host: &str) -> (Result<Vec<IpAddr>, NotResolved>, Instant) {
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return (Ok(vec![ip]), Instant::default());
    }
    if host == "localhost" {
        return (Ok(vec![IpAddr::from([127, 0, 0, 1])]), Instant::default());
    }
    let resolved = link.wires.network.borrow_mut().resolve(&link.sandbox, host);
    (resolved.addresses, resolved.took)
}

/// What came of a question.
enum Asked {
    Answered(Answer),
    /// The connection was closed, or there is nobody who speaks.
    Closed,
    /// The time was up.
    Late,
}

/// What whoever took the connection says over HTTP, and how long that took. Who stands still says it once it goes on.
async fn ask(
    shell: &Shell,
    link: &Link,
    reached: &kit_client::network::Reached,
    path: &str,
    limit: Option<Instant>,
) -> (Asked, Instant) {
    let mut waited = Instant::default();
    loop {
        let served = reached.pod.as_ref().and_then(|pod| link.served(pod, Protocol::Tcp, reached.at.port()));
        let asked = match served {
            Some(served) if !served.still => Asked::Answered(served.answer(path, reached.from)),
            Some(_) if limit.is_some_and(|limit| waited >= limit) => Asked::Late,
            Some(_) if !shell.system.interrupted() => {
                let pause = limit.map_or(LOOK, |limit| (limit - waited).min(LOOK));
                shell.system.sleep(pause.nanos).await;
                waited = waited + pause;
                continue;
            }
            _ => Asked::Closed,
        };
        return (asked, waited);
    }
}

struct Url {
    https: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = match colon {
            Some(at) => (&authority[..at], authority[at + 1..].parse().ok()?),
            None => (authority, if https { 443 } else { 80 }),
        };
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Some(Url { https, host: host.into(), port, path }).filter(|url| !url.host.is_empty())
    }
}

fn duration(text: &str) -> Option<Instant> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds))?;
    // Zero is no limit.
    Some(Instant { nanos: if seconds == 0.0 { i64::MAX / 4 } else { (seconds * 1e9) as i64 } })
}

fn millis(took: Instant) -> i64 {
    took.nanos / 1_000_000
}

fn in_words(failed: Failed) -> &'static str {
    match failed {
        Failed::Refused => "Connection refused",
        Failed::Unreachable => "No route to host",
        Failed::Silence => "Connection timed out",
    }
}
