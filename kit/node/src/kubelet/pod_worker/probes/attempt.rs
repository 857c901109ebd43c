//! What one probe finds: the connections and requests that a container answers.
//!
//! Sources: `pkg/kubelet/prober/prober.go` (`runProbe`), `pkg/probe/http/http.go`, `pkg/probe/tcp/tcp.go`, `pkg/probe/grpc/grpc.go`.

use super::super::life::Life;
use super::super::{Run, seconds};
use super::Found;
use crate::kubelet::image;
use crate::program::exists;
use crate::program::link::Served;
use kit_client::network::Protocol;
use kit_contract::node::probes::Outcome;
use kit_time::agenda::Instant;
use serde_json::Value;
use std::net::SocketAddr;

impl Run {
    /// Tries what is no command, or a command that containers don't know.
    pub(in super::super) fn attempt(
        &self,
        spec: &Value,
        since: Instant,
        now: Instant,
        ip: &str,
        network: bool,
    ) -> Found {
        let runs_command = self.life.as_ref().is_some_and(Life::command);
        if let Some(command) = super::command(spec) {
            let word = command.first().map_or("", String::as_str);
            return match runs_command && !exists(word, network) {
                true => errored(format!(
                    "rpc error: code = Unknown desc = failed to exec in container: exec: {word:?}: executable file not found in $PATH"
                )),
                false => PASSED,
            };
        }
        let (http, tcp, grpc) = (&spec["httpGet"], &spec["tcpSocket"], &spec["grpc"]);
        let Some(action) = [http, tcp, grpc].into_iter().find(|action| !action.is_null()) else { return PASSED };
        let Some(port) = self.port(&action["port"]) else {
            return errored(format!("couldn't find port: {}", action["port"]));
        };
        let declared = || self.ports.iter().filter(|(protocol, _)| *protocol == Protocol::Tcp);
        let open = match declared().next() {
            Some(_) => declared().any(|(_, declared)| *declared == port),
            None => !runs_command,
        };
        let refused = format!("dial tcp {ip}:{port}: connect: connection refused");
        let serves = open && now >= since + seconds(self.image.ready);
        if !tcp.is_null() {
            return if serves { PASSED } else { failed(refused) };
        }
        let limit = Instant::seconds(super::limit(spec));
        let late = || self.answers_in().is_none_or(|took| took > limit);
        if !grpc.is_null() {
            // Whoever speaks another protocol says no word of this one, and it is tried again until the time is up.
            let foreign = SPEAK_NO_GRPC.contains(&image::called(&self.image_name));
            return match () {
                () if !serves || foreign => failed(format!(
                    "timeout: failed to connect service \"{ip}:{port}\" within {limit}: context deadline exceeded"
                )),
                () if late() => failed(format!("timeout: health rpc did not complete within {limit}")),
                () => PASSED,
            };
        }
        let path = http["path"].as_str().unwrap_or("/");
        if !serves {
            let scheme = http["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
            return failed(format!("Get \"{scheme}://{ip}:{port}{path}\": {refused}"));
        }
        if late() {
            let scheme = http["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
            let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            return (Outcome::TimedOut, format!("Get \"{scheme}://{ip}:{port}{path}\": {why}"));
        }
        let served = Served {
            protocol: Protocol::Tcp,
            port,
            image: image::called(&self.image_name).into(),
            words: self.life.iter().flat_map(|life| life.words()).cloned().collect(),
            hostname: String::new(),
            still: false,
        };
        match served.answer(path, SocketAddr::from(([127, 0, 0, 1], 40_000))).code {
            200..400 => PASSED,
            code => failed(format!("HTTP probe failed with statuscode: {code}")),
        }
    }

    /// The port that a probe names, by its number or by the name that the container gives it.
    fn port(&self, port: &Value) -> Option<u16> {
        let number = port.as_u64().or_else(|| port.as_str()?.parse().ok());
        let named = || {
            let ports = self.life.as_ref()?.container().ports.as_ref()?;
            let found = ports.iter().find(|declared| declared.name.as_deref() == port.as_str())?;
            u64::try_from(found.container_port).ok()
        };
        u16::try_from(number.or_else(named)?).ok()
    }
}

/// Images whose servers are known to speak other protocols.
const SPEAK_NO_GRPC: [&str; 8] =
    ["busybox", "http-echo", "httpd", "mysql", "nginx", "nginx-unprivileged", "postgres", "redis"];
/// It is as it should be.
const PASSED: Found = (Outcome::Passed, String::new());

fn failed(why: String) -> Found {
    (Outcome::Failed, why)
}

fn errored(why: String) -> Found {
    (Outcome::Errored, why)
}
