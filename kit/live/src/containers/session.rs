//! `exec` and `attach` over a WebSocket: each message begins with the number of its channel.
//!
//! Sources: `client-go/tools/remotecommand/websocket.go`, `apiserver/pkg/util/proxy/{websocket,streamtranslator}.go`,
//! `kubelet/pkg/cri/streaming/remotecommand/exec.go`.

use super::{ask, websocket};
use crate::Door;
use crate::stream::Answer;
use futures_util::{SinkExt, StreamExt};
use hyper::Response;
use hyper::http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use kit_node::kubelet::streams::{Output, Refused};
use kit_node::program::Channel;
use kit_server::{Container, Error, Streams};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// The protocols, by preference. In the fifth version clients can close a channel.
const PROTOCOLS: [&str; 2] = [V5, "v4.channel.k8s.io"];
const V5: &str = "v5.channel.k8s.io";
/// The channels.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: u8 = 255;
/// The largest message that is sent, and the largest that is taken, in bytes.
const PIECE: usize = 32 << 10;
const LARGEST: usize = 1 << 20;
/// How many outputs wait for a slow reader.
const AHEAD: usize = 16;
/// How long the other side may take to say goodbye.
const PATIENCE: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Agrees to the handshake, and begins once the connection is there.
pub fn begin(
    target: Container,
    command: Option<Vec<String>>,
    streams: Streams,
    head: &Parts,
    upgrade: OnUpgrade,
    door: &Door,
) -> Result<Response<Answer>, Error> {
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(Error::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let (response, protocol) = websocket::accept(head, &PROTOCOLS)?;
    let door = door.clone();
    tokio::spawn(async move {
        // A client that is gone before it begins has nobody left to be told.
        let Ok(connection) = upgrade.await else { return };
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
        _ = serve(socket, target, command, streams, protocol, door).await;
    });
    Ok(response)
}

/// The client went away.
struct Gone;

async fn serve(
    mut socket: Socket,
    target: Container,
    command: Option<Vec<String>>,
    streams: Streams,
    protocol: &str,
    door: Door,
) -> Result<(), Gone> {
    let attached = command.is_none();
    let (to, mut outputs) = mpsc::channel::<Output>(AHEAD);
    let begun = door.ask(move |driver| {
        let begun = ask(&mut driver.engine, |kubelets, world| match command {
            Some(command) => kubelets.exec(&target, command, streams.stdin, streams.tty, world),
            None => kubelets.attach(&target, streams.stdin, world),
        });
        let id = begun.unwrap_or_else(|| Err(Refused::Said(500, "no kubelet answers".into())))?;
        driver.pump(move |engine| {
            if to.capacity() == 0 {
                return true;
            }
            let more = ask(engine, |kubelets, world| {
                let output = kubelets.output(id, world)?;
                let last = output.ended.is_some();
                let nothing = output.written.is_empty() && !last;
                let heard = if nothing { !to.is_closed() } else { to.try_send(output).is_ok() };
                (heard && !last).then_some(())
            });
            if more.flatten().is_none() {
                ask(engine, |kubelets, world| kubelets.leave(id, world));
                return false;
            }
            true
        });
        Ok(id)
    });
    let id = match begun.await {
        Some(Ok(id)) => id,
        Some(Err(refused)) => return end(socket, &failure(refused, protocol)).await,
        None => return end(socket, &internal("the cluster has ended")).await,
    };
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            output = outputs.recv() => {
                let Some(output) = output else { return end(socket, &internal("the cluster has ended")).await };
                for (channel, bytes) in &output.written {
                    let (channel, wanted) = match channel {
                        Channel::Stderr if !streams.tty => (STDERR, streams.stderr),
                        _ => (STDOUT, streams.stdout),
                    };
                    for piece in bytes.chunks(PIECE).filter(|_| wanted) {
                        send(&mut socket, channel, piece).await?;
                    }
                }
                match output.ended {
                    // The exit code of what it was attached to is told by the pod's status.
                    Some(0) => return end(socket, &success()).await,
                    Some(_) if attached => return end(socket, &success()).await,
                    Some(code) => return end(socket, &exited(code)).await,
                    None => continue,
                }
            }
        };
        let Some(Ok(message)) = message else { return Err(Gone) };
        let Message::Binary(bytes) = message else {
            if matches!(message, Message::Close(_)) {
                return Err(Gone);
            }
            continue;
        };
        let input = match bytes.split_first() {
            Some((&STDIN, rest)) if streams.stdin && !rest.is_empty() => Some(rest.to_vec()),
            Some((&CLOSE, [STDIN])) if protocol == V5 => None,
            // Sizes of terminals, and what means nothing.
            _ => continue,
        };
        door.request(move |driver| {
            ask(&mut driver.engine, |kubelets, world| kubelets.input(id, input.as_deref(), world));
        });
    }
}

async fn send(socket: &mut Socket, channel: u8, bytes: &[u8]) -> Result<(), Gone> {
    let message = [&[channel], bytes].concat();
    socket.send(Message::Binary(message.into())).await.map_err(|_| Gone)
}

/// Tells how it went, and closes.
async fn end(mut socket: Socket, status: &Value) -> Result<(), Gone> {
    send(&mut socket, ERROR, status.to_string().as_bytes()).await?;
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    socket.close(Some(normal)).await.map_err(|_| Gone)?;
    let goodbye = async { while let Some(Ok(_)) = socket.next().await {} };
    _ = tokio::time::timeout(PATIENCE, goodbye).await;
    Ok(())
}

fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}

fn exited(code: i32) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: command terminated with exit code {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

fn internal(why: &str) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: {why}"), "details": {"causes": [{"message": why}]},
    })
}

fn failure(refused: Refused, protocol: &str) -> Value {
    match refused {
        Refused::Unreachable(address) => {
            internal(&format!("error dialing backend: dial tcp {address}:10250: i/o timeout"))
        }
        // The runtime says so itself; in the fifth version the API server hands it on in its own words.
        Refused::Said(200, why) if protocol == V5 => internal(&format!("Internal error occurred: {why}")),
        Refused::Said(200, why) => internal(&why),
        Refused::Said(_, why) => internal(&format!("unable to upgrade connection: {why}")),
    }
}
