//! A cluster as a process of its own, and a client of it over HTTPS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

/// A cluster that runs; it ends with this value.
pub struct Cluster {
    child: Child,
    name: String,
    kubeconfig: Value,
}

impl Cluster {
    /// The command that starts it.
    pub fn command(name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
        command.args(["--name", name, "up"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts it, and waits until it is ready.
    pub fn up(name: &str, args: &[&str]) -> Cluster {
        let mut child = Cluster::command(name, args).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let file = lines.filter_map(|line| Some(line.split_once("export KUBECONFIG=")?.1.to_string())).next();
        let Some(file) = file else {
            let mut said = String::new();
            _ = child.stderr.take().expect("its errors").read_to_string(&mut said);
            panic!("it did not start: {said}");
        };
        let text = std::fs::read_to_string(&file).expect("a kubeconfig");
        let kubeconfig = serde_json::from_str(&text).expect("a kubeconfig in JSON");
        Cluster { child, name: name.into(), kubeconfig }
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> Value {
        self.kubeconfig.clone()
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once (`kill -9`).
    pub fn kill(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        let program = Path::new(env!("CARGO_BIN_EXE_cluster"));
        if let Some(target) = program.parent().and_then(Path::parent) {
            _ = std::fs::remove_dir_all(target.join("cluster").join(&self.name));
        }
    }
}

/// A connection that stays open from one request to the next.
pub struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Client {
    /// Connects as the user of a kubeconfig.
    pub fn connect(config: &Value) -> Client {
        let pem = |at: &str| STANDARD.decode(config.pointer(at).and_then(Value::as_str).expect(at)).expect("base64");
        let certificate = |at: &str| CertificateDer::from_pem_slice(&pem(at)).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate("/clusters/0/cluster/certificate-authority-data")).expect("an authority");
        let key = PrivateKeyDer::from_pem_slice(&pem("/users/0/user/client-key-data")).expect("a key");
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate("/users/0/user/client-certificate-data")], key)
            .expect("a user");
        let server = config["clusters"][0]["cluster"]["server"].as_str().expect("a server");
        let address: SocketAddr = server.trim_start_matches("https://").parse().expect("an address");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let name = ServerName::from(address.ip());
        let tls = ClientConnection::new(Arc::new(tls), name).expect("a connection");
        Client { stream: BufReader::new(StreamOwned::new(tls, stream)) }
    }

    /// The code and the body of an answer; none if the server is gone before it has answered.
    pub fn ask(&mut self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.send(method, path, "application/json", body)
    }

    /// The same for a patch that is laid over the object.
    #[cfg(feature = "etcd")]
    pub fn patch(&mut self, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.send("PATCH", path, "application/merge-patch+json", body)
    }

    fn send(&mut self, method: &str, path: &str, media: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: cluster\r\nContent-Type: {media}\r\n");
        let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes()).ok()?;
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
            Some(line.trim_end().to_ascii_lowercase())
        };
        let code = line()?.split(' ').nth(1)?.parse().ok()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = line()?;
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().ok()?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        assert!(!chunked, "the answer to a request that is no watch has a length");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some((code, serde_json::from_slice(&body).unwrap_or_default()))
    }
}
