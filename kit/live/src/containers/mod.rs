//! What is asked of the inside of nodes: logs, commands in containers, metrics. The kubelets answer it.

mod logs;
mod metrics;
mod proxy;
mod session;
mod websocket;

use crate::Door;
use crate::http::{JSON, refused, response};
use crate::stream::Answer;
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Response};
use kit_client::component::World;
use kit_cluster::engine::Engine;
use kit_node::kubelet::Kubelets;
use kit_server::{Connection, Error};

/// Why `port-forward` does nothing.
const NO_PORTS: &str =
    "port-forward has nothing to reach here: containers of this cluster are simulated and listen on no port";
/// Why a client that speaks SPDY alone gets no further.
const NO_SPDY: &str = "this cluster speaks WebSocket for exec and attach, and not SPDY: kubectl 1.30 and later do so too, \
                       kubectl 1.29 does with KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true";

/// Answers what the API server passes on.
pub async fn answer(connection: Connection, head: &Parts, upgrade: OnUpgrade, door: &Door) -> Response<Answer> {
    let answered = match connection {
        Connection::Log(target, options) => logs::answer(target, options, door).await,
        Connection::Metrics(wanted) => metrics::answer(wanted, door).await,
        Connection::Proxy(wanted) => proxy::answer(wanted, head, door).await,
        Connection::PortForward(_) => Err(Error::bad_request(NO_PORTS)),
        Connection::Exec(..) | Connection::Attach(..) if head.method == Method::POST => {
            Err(Error::bad_request(NO_SPDY))
        }
        Connection::Exec(target, command, streams) => {
            session::begin(target, Some(command), streams, head, upgrade, door)
        }
        Connection::Attach(target, streams) => session::begin(target, None, streams, head, upgrade, door),
    };
    answered.unwrap_or_else(|error| refused(&error))
}

/// Asks the kubelets.
fn ask<A>(engine: &mut Engine, ask: impl FnOnce(&mut Kubelets, &mut World<'_>) -> A) -> Option<A> {
    engine.with::<Kubelets, A>(ask)
}

fn json(text: String) -> Response<Answer> {
    response(200, JSON, Answer::text(text))
}
