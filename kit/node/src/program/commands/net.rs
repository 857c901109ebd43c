//! Commands that go over the network: `curl`, and `wget`, `nslookup` and `nc` as BusyBox has them.
//!
//! What they print are the words of curl 8 and of BusyBox 1.36. They wait as long as the network says, or their own limit.

use super::super::files::absolute;
use super::super::link::{Answer, Link};
use super::super::shell::{Io, Shell};
use super::{say, wrong};
use kit_client::network::{Attempt, Failed, NotResolved, Protocol};
use kit_time::agenda::Instant;
use std::net::{IpAddr, SocketAddr};

/// Runs one of them.
pub async fn run(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    let Some(link) = shell.system.network.clone() else { return 127 };
    let status = match name {
        "curl" => curl(shell, &link, words, io).await,
        "wget" => wget(shell, &link, words, io).await,
        "nslookup" => nslookup(shell, &link, words, io).await,
        _ => nc(shell, &link, words, io).await,
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

/// What whoever took the connection says over HTTP.
fn ask(link: &Link, reached: &kit_client::network::Reached, path: &str) -> Option<Answer> {
    match &reached.pod {
        Some(pod) => {
            let served = link.served(pod, Protocol::Tcp, reached.at.port())?;
            Some(served.answer(path, reached.from))
        }
        None => None,
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

#[derive(Default)]
struct Curl {
    silent: bool,
    show: bool,
    fail: bool,
    head: bool,
    include: bool,
    verbose: bool,
    insecure: bool,
    output: Option<String>,
    write_out: Option<String>,
    total: Option<Instant>,
    connect: Option<Instant>,
    urls: Vec<String>,
}

impl Curl {
    /// The options, or what curl says of them, with its exit code.
    fn parse(words: &[String]) -> Result<Curl, (i32, String)> {
        let mut curl = Curl::default();
        let mut rest = words.iter();
        let help = "curl: try 'curl --help' or 'curl --manual' for more information";
        while let Some(word) = rest.next() {
            let mut value = |inline: &str, option: &str| match inline {
                "" => rest.next().cloned().ok_or((2, format!("curl: option {option}: requires parameter\n{help}"))),
                inline => Ok(inline.to_string()),
            };
            if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
                let letter = match long {
                    "silent" => 's',
                    "show-error" => 'S',
                    "fail" => 'f',
                    "head" => 'I',
                    "include" => 'i',
                    "verbose" => 'v',
                    "insecure" => 'k',
                    "location" => 'L',
                    "output" => 'o',
                    "write-out" => 'w',
                    "max-time" => 'm',
                    "header" => 'H',
                    "request" => 'X',
                    "user-agent" => 'A',
                    "connect-timeout" => 'c',
                    _ => return Err((2, format!("curl: option {word}: is not simulated here\n{help}"))),
                };
                if curl.flag(letter).is_none() {
                    let given = value("", word)?;
                    curl.set(letter, given).map_err(|()| bad_number(word))?;
                }
                continue;
            }
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                curl.urls.push(word.clone());
                continue;
            };
            for (at, letter) in letters.char_indices() {
                if curl.flag(letter).is_some() {
                    continue;
                }
                if !"owmHXA".contains(letter) {
                    return Err((2, format!("curl: option -{letter}: is not simulated here\n{help}")));
                }
                let given = value(&letters[at + letter.len_utf8()..], &format!("-{letter}"))?;
                curl.set(letter, given).map_err(|()| bad_number(word))?;
                break;
            }
        }
        match curl.urls.is_empty() {
            true => Err((2, format!("curl: (2) no URL specified\n{help}"))),
            false => Ok(curl),
        }
    }

    fn flag(&mut self, letter: char) -> Option<()> {
        match letter {
            's' => self.silent = true,
            'S' => self.show = true,
            'f' => self.fail = true,
            'I' => self.head = true,
            'i' => self.include = true,
            'v' => self.verbose = true,
            'k' => self.insecure = true,
            'L' => {}
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, letter: char, given: String) -> Result<(), ()> {
        match letter {
            'o' => self.output = Some(given),
            'w' => self.write_out = Some(given),
            'm' => self.total = Some(duration(&given).ok_or(())?),
            'c' => self.connect = Some(duration(&given).ok_or(())?),
            _ => {}
        }
        Ok(())
    }

    /// Says why nothing came, if anybody wants to hear it.
    async fn give_up(&self, shell: &mut Shell, io: &Io, code: i32, why: &str) -> i32 {
        if !self.silent || self.show {
            wrong(shell, io, &format!("curl: ({code}) {why}")).await;
        }
        code
    }

    async fn note(&self, shell: &mut Shell, io: &Io, lines: &[String]) {
        if self.verbose {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            shell.write(&io.stderr, text.as_bytes()).await;
        }
    }

    fn written_out(&self, code: u16, took: Instant, to: Option<SocketAddr>) -> String {
        let seconds = format!("{:.6}", took.nanos as f64 / 1e9);
        let mut text = self.write_out.clone().unwrap_or_default();
        for (name, value) in [
            ("http_code", format!("{code:03}")),
            ("response_code", format!("{code:03}")),
            ("time_total", seconds.clone()),
            ("time_connect", if to.is_some() { seconds } else { "0.000000".into() }),
            ("remote_ip", to.map(|to| to.ip().to_string()).unwrap_or_default()),
            ("remote_port", to.map_or(0, |to| to.port()).to_string()),
        ] {
            text = text.replace(&format!("%{{{name}}}"), &value);
        }
        text.replace("\\n", "\n").replace("\\t", "\t")
    }
}

fn bad_number(word: &str) -> (i32, String) {
    (2, format!("curl: option {word}: expected a proper numerical parameter"))
}

async fn curl(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
    let curl = match Curl::parse(words) {
        Ok(curl) => curl,
        Err((code, why)) => {
            wrong(shell, io, &why).await;
            return code;
        }
    };
    let mut status = 0;
    for text in &curl.urls {
        let (code, response, took, to) = transfer(shell, link, &curl, text, io).await;
        if curl.write_out.is_some() {
            let line = curl.written_out(response, took, to);
            say(shell, io, &line).await;
        }
        status = code;
    }
    status
}

async fn transfer(
    shell: &mut Shell,
    link: &Link,
    curl: &Curl,
    text: &str,
    io: &Io,
) -> (i32, u16, Instant, Option<SocketAddr>) {
    let none = Instant::default();
    let Some(url) = Url::parse(text) else {
        let code = match text.split_once("://") {
            Some((scheme, _)) if scheme != "http" && scheme != "https" => {
                curl.give_up(shell, io, 1, &format!("Protocol \"{scheme}\" not supported")).await
            }
            _ => curl.give_up(shell, io, 3, "URL rejected: Malformed input to a URL function").await,
        };
        return (code, 0, none, None);
    };
    let Url { host, port, .. } = &url;
    let limit = curl.total.into_iter().chain(curl.connect).min();
    let Connected { end, took } = connect(shell, link, host, *port, Protocol::Tcp, limit).await;
    let after = millis(took);
    let (to, reached) = match end {
        Ok(there) => there,
        Err(trouble) => {
            let failed = format!("Failed to connect to {host} port {port} after {after} ms:");
            let (code, why) = match trouble {
                Trouble::Name => (6, format!("Could not resolve host: {host}")),
                Trouble::Looking => (28, format!("Resolving timed out after {after} milliseconds")),
                Trouble::Waiting if curl.total.is_some_and(|total| curl.connect.is_none_or(|limit| total <= limit)) => {
                    (28, format!("Connection timed out after {after} milliseconds"))
                }
                Trouble::Waiting => (28, format!("{failed} Timeout was reached")),
                Trouble::Connection(_, Failed::Silence) => (28, format!("{failed} Couldn't connect to server")),
                Trouble::Connection(..) => (7, format!("{failed} Couldn't connect to server")),
            };
            return (curl.give_up(shell, io, code, &why).await, 0, took, None);
        }
    };
    let connected = [format!("*   Trying {to}..."), format!("* Connected to {host} ({}) port {port}", to.ip())];
    curl.note(shell, io, &connected).await;
    let answer = match (url.https, &reached.pod) {
        // The API server is the only one here that speaks TLS.
        (true, None) if reached.at.port() == 6443 => {
            if !curl.insecure {
                let why = "SSL certificate problem: unable to get local issuer certificate";
                return (curl.give_up(shell, io, 60, why).await, 0, took, Some(to));
            }
            Some(Answer::anonymous(&url.path))
        }
        (true, _) => {
            let why = "TLS connect error: error:0A00010B:SSL routines::wrong version number";
            return (curl.give_up(shell, io, 35, why).await, 0, took, Some(to));
        }
        (false, _) => ask(link, &reached, &url.path),
    };
    let Some(answer) = answer else {
        return (curl.give_up(shell, io, 52, "Empty reply from server").await, 0, took, Some(to));
    };
    let method = if curl.head { "HEAD" } else { "GET" };
    let named = if *port == if url.https { 443 } else { 80 } { host.clone() } else { format!("{host}:{port}") };
    let request = [
        format!("> {method} {} HTTP/1.1", url.path),
        format!("> Host: {named}"),
        "> User-Agent: curl/8.5.0".to_string(),
        "> Accept: */*".to_string(),
        "> ".to_string(),
    ];
    curl.note(shell, io, &request).await;
    let head = answer.head();
    let lines: Vec<String> = head.iter().map(|line| format!("< {line}")).chain(["< ".to_string()]).collect();
    curl.note(shell, io, &lines).await;
    if curl.fail && answer.code >= 400 {
        let why = format!("The requested URL returned error: {}", answer.code);
        return (curl.give_up(shell, io, 22, &why).await, answer.code, took, Some(to));
    }
    let mut text = String::new();
    if curl.head || curl.include {
        head.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
        text.push_str("\r\n");
    }
    if !curl.head {
        text.push_str(&answer.body);
    }
    let mut code = 0;
    match curl.output.as_deref() {
        None | Some("-") => code = say(shell, io, &text).await,
        Some("/dev/null") => {}
        Some(path) => {
            let path = absolute(&shell.directory, path);
            if let Err(why) = shell.system.files.write(&path, text.as_bytes(), false) {
                code = curl.give_up(shell, io, 23, &format!("Failure writing output to destination: {why}")).await;
            }
        }
    }
    curl.note(shell, io, &[format!("* Connection #0 to host {host} left intact")]).await;
    (code, answer.code, took, Some(to))
}

async fn wget(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
    let (mut quiet, mut spider, mut output, mut limit, mut url) = (false, false, None, None, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--spider" => spider = true,
            "--no-check-certificate" => {}
            "--timeout" => limit = rest.next().and_then(|given| duration(given)),
            long if long.starts_with("--timeout=") => limit = duration(&long["--timeout=".len()..]),
            flags if flags.len() > 1 && flags.starts_with('-') => {
                for (at, letter) in flags.char_indices().skip(1) {
                    let inline = flags[at + letter.len_utf8()..].to_string();
                    let mut value = || if inline.is_empty() { rest.next().cloned() } else { Some(inline.clone()) };
                    match letter {
                        'q' => {
                            quiet = true;
                            continue;
                        }
                        'c' | 'S' => continue,
                        'O' => output = value(),
                        'T' => limit = value().and_then(|given| duration(&given)),
                        't' | 'U' => _ = value(),
                        _ => return wrong(shell, io, &format!("wget: option '{letter}' is not simulated here")).await,
                    }
                    break;
                }
            }
            given => url = Some(given.to_string()),
        }
    }
    let Some(text) = url else {
        return wrong(shell, io, "Usage: wget [-q] [-O FILE] [-T SEC] [--spider] URL").await;
    };
    let Some(url) = Url::parse(&text).filter(|url| !url.https) else {
        return wrong(shell, io, &format!("wget: not an http url: {text} (TLS is not simulated here)")).await;
    };
    let Url { host, port, .. } = &url;
    let Connected { end, .. } = connect(shell, link, host, *port, Protocol::Tcp, limit).await;
    let (to, reached) = match end {
        Ok(there) => there,
        Err(trouble) => {
            let why = match trouble {
                Trouble::Name => format!("bad address '{host}'"),
                Trouble::Looking | Trouble::Waiting => "download timed out".into(),
                Trouble::Connection(ip, failed) => {
                    format!("can't connect to remote host ({ip}): {}", in_words(failed))
                }
            };
            return wrong(shell, io, &format!("wget: {why}")).await;
        }
    };
    if !quiet {
        shell.write(&io.stderr, format!("Connecting to {host} ({to})\n").as_bytes()).await;
    }
    let Some(answer) = ask(link, &reached, &url.path) else {
        return wrong(shell, io, "wget: error getting response").await;
    };
    if answer.code >= 400 {
        let why = format!("wget: server returned error: HTTP/1.1 {} {}", answer.code, answer.reason);
        return wrong(shell, io, &why).await;
    }
    if spider {
        if !quiet {
            shell.write(&io.stderr, b"remote file exists\n").await;
        }
        return 0;
    }
    let file = url.path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let file = output.unwrap_or_else(|| if file.is_empty() { "index.html".into() } else { file.into() });
    if file == "-" {
        return say(shell, io, &answer.body).await;
    }
    let path = absolute(&shell.directory, &file);
    if path != "/dev/null"
        && let Err(why) = shell.system.files.write(&path, answer.body.as_bytes(), false)
    {
        return wrong(shell, io, &format!("wget: can't open '{file}': {why}")).await;
    }
    if !quiet {
        shell.write(&io.stderr, format!("saving to '{file}'\n'{file}' saved\n").as_bytes()).await;
    }
    0
}

fn in_words(failed: Failed) -> &'static str {
    match failed {
        Failed::Refused => "Connection refused",
        Failed::Unreachable => "No route to host",
        Failed::Silence => "Connection timed out",
    }
}

async fn nslookup(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let [name] = names.as_slice() else {
        return wrong(shell, io, "Usage: nslookup HOST (another DNS server is not simulated here)").await;
    };
    let resolved = link.wires.network.borrow_mut().resolve(&link.sandbox, name);
    shell.system.sleep(resolved.took.nanos).await;
    let file = shell.system.files.read("/etc/resolv.conf").unwrap_or_default();
    let file = String::from_utf8_lossy(&file).into_owned();
    let server = file.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap_or("127.0.0.1").to_string();
    let head = format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n");
    match resolved.addresses {
        Ok(addresses) => {
            let name = &resolved.name;
            let lines: String = addresses.iter().map(|ip| format!("Name:\t{name}\nAddress: {ip}\n")).collect();
            say(shell, io, &format!("{head}{lines}\n")).await
        }
        Err(NotResolved::Unknown) => {
            say(shell, io, &format!("{head}** server can't find {name}: NXDOMAIN\n\n")).await.max(1)
        }
        Err(NotResolved::Silence) => wrong(shell, io, ";; connection timed out; no servers could be reached\n").await,
    }
}

async fn nc(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
    let (mut zero, mut loud, mut protocol, mut limit, mut names) = (false, false, Protocol::Tcp, None, Vec::new());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            names.push(word);
            continue;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'z' => zero = true,
                'v' => loud = true,
                'n' => {}
                'u' => protocol = Protocol::Udp,
                'w' => {
                    let inline = letters[at + 1..].to_string();
                    let given = if inline.is_empty() { rest.next().cloned() } else { Some(inline) };
                    limit = given.and_then(|given| duration(&given));
                    break;
                }
                _ => return wrong(shell, io, &format!("nc: option '{letter}' is not simulated here")).await,
            }
        }
    }
    let port = names.get(1).and_then(|port| port.parse::<u16>().ok());
    let (Some(host), Some(port), true) = (names.first(), port, zero) else {
        return wrong(shell, io, "Usage: nc -z [-v] [-u] [-w SEC] HOST PORT (only -z is simulated here)").await;
    };
    let Connected { end, .. } = connect(shell, link, host, port, protocol, limit).await;
    let (status, line) = match end {
        Ok((to, _)) => (0, format!("{host} ({to}) open")),
        Err(Trouble::Name) => (1, format!("nc: bad address '{host}'")),
        Err(Trouble::Looking | Trouble::Waiting) => (1, "nc: timed out".to_string()),
        Err(Trouble::Connection(ip, failed)) => {
            (1, format!("nc: {host} ({}): {}", SocketAddr::new(ip, port), in_words(failed)))
        }
    };
    if loud || line.starts_with("nc: bad") {
        shell.write(&io.stderr, format!("{line}\n").as_bytes()).await;
    }
    status
}
