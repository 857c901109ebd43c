//! The network as programs in containers meet it, and who answers them there.
//!
//! No server runs. Whoever speaks HTTP with a pod is answered by a stand-in for the container that declares the port, as long as that
//! container runs: it says what the image is known to say, or the name of the host. Any declared port is served, whatever the
//! container's command does.

use kit_client::network::{Protocol, Sandbox, Shared};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// What pods serve now, by namespace and name.
pub type Servers = Rc<RefCell<BTreeMap<(String, String), Vec<Served>>>>;

/// A network, with those who serve in it.
#[derive(Clone)]
pub struct Wires {
    /// The network.
    pub network: Shared,
    /// Who serves what.
    pub servers: Servers,
}

/// The network from inside one pod.
#[derive(Clone)]
pub struct Link {
    /// The network.
    pub wires: Wires,
    /// Which pod.
    pub sandbox: Sandbox,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("sandbox", &self.sandbox).finish_non_exhaustive()
    }
}

/// A port that a container serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// What the container's image is called, without registry and version.
    pub image: String,
    /// Its command and arguments.
    pub words: Vec<String>,
    /// The name of its host.
    pub hostname: String,
    /// Whether its processes stand still: the kernel takes connections all the same, and nobody answers.
    pub still: bool,
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// The status in words.
    pub reason: &'static str,
    /// The server, as it calls itself.
    pub server: Option<&'static str>,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn text(body: String) -> Answer {
        Answer { code: 200, reason: "OK", server: None, content_type: "text/plain; charset=utf-8", body }
    }

    fn page(code: u16, reason: &'static str, title: &str) -> Answer {
        let body = format!("<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n</body>\n</html>\n");
        Answer { code, reason, server: Some("nginx"), content_type: "text/html", body }
    }

    /// What the API server says to those whom it doesn't know.
    pub fn anonymous(path: &str) -> Answer {
        let message = format!("forbidden: User \\\"system:anonymous\\\" cannot get path \\\"{path}\\\"");
        let body = format!(
            "{{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {{}},\n  \"status\": \"Failure\",\n  \
             \"message\": \"{message}\",\n  \"reason\": \"Forbidden\",\n  \"details\": {{}},\n  \"code\": 403\n}}"
        );
        Answer { code: 403, reason: "Forbidden", server: None, content_type: "application/json", body }
    }

    /// The lines before the body, each with its end.
    pub fn head(&self) -> Vec<String> {
        let server = self.server.map(|server| format!("Server: {server}"));
        let fixed = [format!("HTTP/1.1 {} {}", self.code, self.reason)];
        let more = [format!("Content-Type: {}", self.content_type), format!("Content-Length: {}", self.body.len())];
        fixed.into_iter().chain(server).chain(more).collect()
    }
}

impl Served {
    /// What this container answers to somebody from there.
    pub fn answer(&self, path: &str, from: SocketAddr) -> Answer {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let asked = |word: &str| self.words.iter().any(|given| given == word);
        match self.image.as_str() {
            "nginx" if ["/", "/index.html"].contains(&path) => Answer::page(200, "OK", "Welcome to nginx!"),
            "nginx" => Answer::page(404, "Not Found", "404 Not Found"),
            "http-echo" => {
                let text = self.words.iter().find_map(|word| word.trim_start_matches('-').strip_prefix("text="));
                Answer::text(format!("{}\n", text.unwrap_or("hello-world")))
            }
            // `test/images/agnhost/netexec` of Kubernetes.
            "agnhost" if asked("netexec") => match path.to_lowercase().as_str() {
                "/hostname" => Answer::text(self.hostname.clone()),
                "/clientip" => Answer::text(from.to_string()),
                "/healthz" | "/" => Answer::text(String::new()),
                _ => Answer { code: 404, reason: "Not Found", ..Answer::text("404 page not found\n".into()) },
            },
            _ => Answer::text(format!("{}\n", self.hostname)),
        }
    }
}

impl Link {
    /// Who serves this port of a pod, if its container runs.
    pub fn served(&self, pod: &(String, String), protocol: Protocol, port: u16) -> Option<Served> {
        let servers = self.wires.servers.borrow();
        servers.get(pod)?.iter().find(|served| served.port == port && served.protocol == protocol).cloned()
    }
}
