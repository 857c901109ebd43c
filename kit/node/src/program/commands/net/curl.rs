//! `curl`, in the words of curl 8.

use super::super::super::files::absolute;
use super::super::super::link::{Answer, Link};
use super::super::super::shell::{Io, Shell};
use super::super::{say, wrong};
use super::{Asked, Connected, Trouble, Url, ask, connect, duration, millis};
use kit_client::network::{Failed, Protocol};
use kit_time::agenda::Instant;
use std::net::SocketAddr;

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

pub async fn run(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
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
    let method = if curl.head { "HEAD" } else { "GET" };
    let named = if *port == if url.https { 443 } else { 80 } { host.clone() } else { format!("{host}:{port}") };
    let request = [
        format!("> {method} {} HTTP/1.1", url.path),
        format!("> Host: {named}"),
        "> User-Agent: curl/8.5.0".to_string(),
        "> Accept: */*".to_string(),
        "> ".to_string(),
    ];
    let mut took = took;
    let answer = match (url.https, &reached.pod) {
        // The API server is the only one here that speaks TLS.
        (true, None) if reached.at.port() == 6443 => {
            if !curl.insecure {
                let why = "SSL certificate problem: unable to get local issuer certificate";
                return (curl.give_up(shell, io, 60, why).await, 0, took, Some(to));
            }
            curl.note(shell, io, &request).await;
            Answer::anonymous(&url.path)
        }
        (true, _) => {
            let why = "TLS connect error: error:0A00010B:SSL routines::wrong version number";
            return (curl.give_up(shell, io, 35, why).await, 0, took, Some(to));
        }
        (false, _) => {
            curl.note(shell, io, &request).await;
            let left = curl.total.map(|total| total - took);
            let (asked, waited) = ask(shell, link, &reached, &url.path, left).await;
            took = took + waited;
            match asked {
                Asked::Answered(answer) => answer,
                Asked::Closed => {
                    return (curl.give_up(shell, io, 52, "Empty reply from server").await, 0, took, Some(to));
                }
                Asked::Late => {
                    let why = format!("Operation timed out after {} milliseconds with 0 bytes received", millis(took));
                    return (curl.give_up(shell, io, 28, &why).await, 0, took, Some(to));
                }
            }
        }
    };
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
