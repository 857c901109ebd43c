//! An etcd of one's own, for tests and measurements.

use crate::Etcd;
use kit_store::{Error, Kv, Result};
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long etcd may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is started again, on other ports, when somebody else has taken one of its own.
const ATTEMPTS: usize = 5;

/// A server on two free ports of the loopback interface; it ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    /// Starts `etcd` with its data in a folder, and waits until it answers. `extra` are arguments more.
    ///
    /// # Errors
    ///
    /// If there is no `etcd` or it doesn't start.
    pub fn start(folder: &Path, extra: &[&str]) -> Result<Server> {
        // A port that was free is anybody's until etcd has it.
        for _ in 0..ATTEMPTS {
            match Server::start_once(folder, extra) {
                Err(Error::Other(message)) if message.contains("address already in use") => {}
                other => return other,
            }
        }
        Server::start_once(folder, extra)
    }

    fn start_once(folder: &Path, extra: &[&str]) -> Result<Server> {
        let [client, peer] = free_ports()?;
        let endpoint = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let log = folder.join("etcd.log");
        let output = File::create(&log).map_err(|e| Error::Other(format!("{}: {e}", log.display())))?;
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|e| {
                Error::Other(format!("etcd can't be started ({e}); on Debian it is in the package etcd-server"))
            })?;
        let mut server = Server { child, endpoint };
        let begun = Instant::now();
        loop {
            // Something else may answer on a port that etcd could not get, so its end is looked for first.
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(Error::Other(format!("etcd ended with {status}: {}", last_line(&log))));
            }
            if server.connect().is_ok_and(|mut etcd| etcd.leases().is_ok()) {
                return Ok(server);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::Other(format!("etcd doesn't answer: {}", last_line(&log))));
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Where it listens for clients.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// One more client.
    ///
    /// # Errors
    ///
    /// If it can't be reached.
    pub fn connect(&self) -> Result<Etcd> {
        Etcd::connect(&self.endpoint)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, and there is nobody to tell.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What etcd said last; why it ended stands there.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}

/// Two ports that nobody listens on; somebody may come before etcd does. Both are held until both are known, so that they
/// differ.
fn free_ports() -> Result<[u16; 2]> {
    let bound = [TcpListener::bind(("127.0.0.1", 0)), TcpListener::bind(("127.0.0.1", 0))];
    let mut ports = [0; 2];
    for (port, listener) in ports.iter_mut().zip(&bound) {
        let listener = listener.as_ref().map_err(|e| Error::Other(format!("no free port: {e}")))?;
        *port = listener.local_addr().map_err(|e| Error::Other(format!("no free port: {e}")))?.port();
    }
    Ok(ports)
}
