//! `wget`, `nslookup` and `nc`, in the words of BusyBox 1.36.

use super::super::super::files::absolute;
use super::super::super::link::Link;
use super::super::super::shell::{Io, Shell};
use super::super::{say, wrong};
use super::{Asked, Connected, Trouble, Url, ask, connect, duration, in_words};
use kit_client::network::{NotResolved, Protocol};
use kit_time::agenda::Instant;
use std::net::SocketAddr;

/// How long `wget` waits for a word unless it is told otherwise (`-T`).
const PATIENCE: Instant = Instant::seconds(900);

pub async fn wget(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
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
    let answer = match ask(shell, link, &reached, &url.path, limit.or(Some(PATIENCE))).await.0 {
        Asked::Answered(answer) => answer,
        Asked::Closed => return wrong(shell, io, "wget: error getting response").await,
        Asked::Late => return wrong(shell, io, "wget: download timed out").await,
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

pub async fn nslookup(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
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

pub async fn nc(shell: &mut Shell, link: &Link, words: &[String], io: &Io) -> i32 {
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
