//! Connections: TCP, TLS, and HTTP/1.1 on top of it.
//!
//! Each connection is a task of its own, and each has so long to shake hands and to send the head of a request; what is
//! slower is ended, as the server's flags `--min-request-timeout` and Go's `ReadHeaderTimeout` do upstream.

use crate::Door;
use crate::certificates::user_of;
use crate::http::{self, Peer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// How long a client may take to shake hands, and to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many connections are open at once; more wait to be taken.
const CONNECTIONS: usize = 8192;

/// Serves until it is told to stop.
pub async fn serve(
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    door: Door,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        // Too many open files, or a client that has gone already: the next one may fare better.
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (tls, door) = (tls.clone(), door.clone());
        connections.spawn(async move {
            _ = stream.set_nodelay(true);
            connection(stream, tls, door).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, door: Door) {
    let address = stream.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    let Some(tls) = tls else { return speak(stream, Peer { secure: false, user: None, address }, door).await };
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream)).await else { return };
    let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
    let user = shown.and_then(user_of);
    speak(stream, Peer { secure: true, user, address }, door).await;
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, door: Door) {
    let peer = Arc::new(peer);
    let service = service_fn(move |request| http::answer(request, peer.clone(), door.clone()));
    // A client that breaks off in the middle has nobody left to be told.
    _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
