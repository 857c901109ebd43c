//! The book on this machine: pages over HTTP, and a new rendering after each edit.

use crate::check::{check, percent_decoded};
use crate::render::{Contents, render};
use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use axum::extract::{Path as InPath, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use notify::{EventKind, RecursiveMode, Watcher};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How long a page waits for news before it asks again.
const PATIENCE: Duration = Duration::from_secs(25);

/// After an edit, how long to wait for the next one: editors write several files, or one file several times.
const SETTLE: Duration = Duration::from_millis(80);

/// Added to each page that is served, never to a page that is built: asks for the number of the newest
/// rendering, which is answered when it is no longer the one that the page shows. A hidden page does not
/// ask, since browsers keep only a few connections to one host.
const RELOAD: &str = r#"<script>
(async () => {
  const shown = "VERSION";
  for (;;) {
    if (document.hidden) await new Promise(go => document.addEventListener("visibilitychange", go, { once: true }));
    const ask = new AbortController();
    const leave = () => ask.abort();
    document.addEventListener("visibilitychange", leave);
    try {
      const now = await (await fetch("/-/newer-than/" + shown, { signal: ask.signal })).text();
      if (now !== shown) return location.reload();
    } catch {
      await new Promise(go => setTimeout(go, 1000));
    }
    document.removeEventListener("visibilitychange", leave);
  }
})();
</script>"#;

/// What is answered from: the folder of the pages, and the number of the newest rendering.
#[derive(Clone)]
struct Site {
    dest: PathBuf,
    version: watch::Receiver<String>,
}

/// A new number: the time, so that a page also notices that the program was started again.
fn version() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string()
}

/// Serves the book of the workspace `root` on 127.0.0.1 until the program is ended.
pub fn serve(root: &Path, port: u16) -> Result<()> {
    let dest = root.join("target/book");
    let listener = listen(port)?;
    let address = listener.local_addr()?;
    let contents = render(root, &dest)?;
    let (newest, seen) = watch::channel(version());
    answer(listener, Site { dest: dest.clone(), version: seen })?;

    println!("  The book is at http://{address}\n");
    for chapter in &contents.0 {
        println!("   {}{}", chapter.title, if chapter.written { "" } else { "   (not written yet)" });
    }
    println!();
    complain(root, &dest, &contents);
    println!("  Every edit shows at once. Ctrl-C ends it.");

    let (changed, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let _ = changed.send(event);
    })?;
    // Chapters include code from these rooms. `target` must stay out: rendering writes there.
    for room in ["book", "exercises", "solutions", "kit", "tests"] {
        let dir = root.join(room);
        if dir.is_dir() {
            watcher.watch(&dir, RecursiveMode::Recursive).with_context(|| format!("can't watch {room}"))?;
        }
    }
    while let Ok(event) = changes.recv() {
        // Reading a file is an event too, and rendering reads them all.
        let mut edited = event.as_ref().is_ok_and(is_edit);
        while let Ok(event) = changes.recv_timeout(SETTLE) {
            edited |= event.as_ref().is_ok_and(is_edit);
        }
        if !edited {
            continue;
        }
        match render(root, &dest) {
            Ok(contents) => {
                newest.send_replace(version());
                println!("  rendered again");
                complain(root, &dest, &contents);
            }
            // The last good rendering stays.
            Err(e) => eprintln!("  error: {e:#}"),
        }
    }
    bail!("the files can't be watched any longer")
}

fn is_edit(event: &notify::Event) -> bool {
    matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_))
}

fn complain(root: &Path, dest: &Path, contents: &Contents) {
    match check(root, dest, contents) {
        Ok(complaints) if complaints.is_empty() => {}
        Ok(complaints) => println!("  {} complaints: cargo book test\n", complaints.len()),
        Err(e) => eprintln!("  error: {e:#}"),
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {port} is taken, perhaps by another `cargo book serve`; take any free one with `cargo book serve --port 0`"
        ),
        ErrorKind::PermissionDenied => anyhow!("port {port} is not for everyone; take one above 1023"),
        _ => anyhow!("can't listen on port {port}: {e}"),
    })
}

/// Answers requests from a thread of its own.
fn answer(listener: TcpListener, site: Site) -> Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pages = Router::new()
        .route("/-/newer-than/{seen}", get(newer_than))
        .fallback_service(get(page).with_state(site.clone()));
    let pages = pages.with_state(site);
    thread::spawn(move || {
        runtime.block_on(async {
            let served = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => axum::serve(listener, pages).await,
                Err(e) => Err(e),
            };
            if let Err(e) = served {
                eprintln!("  error: no page can be shown any longer: {e}");
            }
        });
    });
    Ok(())
}

/// Waits until there is another rendering than `seen`, though not for ever.
async fn newer_than(State(mut site): State<Site>, InPath(seen): InPath<String>) -> impl IntoResponse {
    let _ = tokio::time::timeout(PATIENCE, site.version.wait_for(|now| *now != seen)).await;
    let now = site.version.borrow().clone();
    ([(header::CACHE_CONTROL, "no-store")], now)
}

async fn page(State(site): State<Site>, address: Uri) -> impl IntoResponse {
    let found =
        locate(&site.dest, address.path()).and_then(|file| Some((StatusCode::OK, std::fs::read(&file).ok()?, file)));
    let lost = || {
        let file = site.dest.join("404.html");
        (StatusCode::NOT_FOUND, std::fs::read(&file).unwrap_or_else(|_| b"no such page".to_vec()), file)
    };
    let (status, mut body, file) = found.unwrap_or_else(lost);
    let mime = mime(&file);
    if mime.starts_with("text/html") {
        body.extend_from_slice(RELOAD.replace("VERSION", &site.version.borrow()).as_bytes());
    }
    // Nothing may be kept: the next rendering has the same addresses.
    (status, [(header::CONTENT_TYPE, mime), (header::CACHE_CONTROL, "no-store")], body)
}

/// The file behind an address; `None` if it is not below `dest`.
fn locate(dest: &Path, address: &str) -> Option<PathBuf> {
    let path = percent_decoded(address.strip_prefix('/')?);
    let inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || path.contains(['\\', '\0']) {
        return None;
    }
    let file = dest.join(path);
    let file = if file.is_dir() { file.join("index.html") } else { file };
    file.is_file().then_some(file)
}

fn mime(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// A folder with one page, and a file beside it that nobody may see.
    fn site() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("book");
        std::fs::create_dir_all(dest.join("a b")).unwrap();
        std::fs::write(dest.join("index.html"), "<p>start").unwrap();
        std::fs::write(dest.join("a b/index.html"), "<p>inner").unwrap();
        std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
        (dir, dest)
    }

    #[test]
    fn addresses_stay_below_the_book() {
        let (_dir, dest) = site();
        for (url, file) in [
            ("/", Some("index.html")),
            ("/index.html", Some("index.html")),
            ("/a%20b/", Some("a b/index.html")),
            ("/nothing.html", None),
            ("/../secret.txt", None),
            ("/a%20b/../../secret.txt", None),
            ("/%2e%2e/secret.txt", None),
            ("/..%2fsecret.txt", None),
            ("//etc/passwd", None),
            ("/%2fetc/passwd", None),
            ("/..\\secret.txt", None),
            ("/index.html%00", None),
            ("", None),
        ] {
            assert_eq!(locate(&dest, url), file.map(|f| dest.join(f)), "{url}");
        }
    }

    #[test]
    fn pages_come_with_their_type_and_ask_for_news() {
        let (_dir, dest) = site();
        let listener = listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_loopback());
        let (newest, seen) = watch::channel("7".to_string());
        answer(listener, Site { dest, version: seen }).unwrap();
        let get = move |request: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        let start = get("GET /");
        assert!(
            start.starts_with("HTTP/1.1 200") && start.contains("text/html") && start.contains("<p>start"),
            "{start}"
        );
        assert!(start.contains("const shown = \"7\""));
        assert!(get("GET /../secret.txt").starts_with("HTTP/1.1 404"));
        assert!(get("POST /").starts_with("HTTP/1.1 405"));
        assert!(get("GET /-/newer-than/6").ends_with("\r\n7"), "news is answered at once");
        let waiting = thread::spawn(move || get("GET /-/newer-than/7"));
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "no news yet");
        newest.send_replace("8".into());
        assert!(waiting.join().unwrap().ends_with("\r\n8"));
    }

    #[test]
    fn a_taken_port_says_what_to_do() {
        let first = listen(0).unwrap();
        let error = listen(first.local_addr().unwrap().port()).unwrap_err().to_string();
        assert!(error.contains("is taken") && error.contains("--port 0"), "{error}");
    }
}
