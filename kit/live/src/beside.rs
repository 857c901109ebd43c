//! Servers beside that of the API: each on a thread of its own, until whoever has it drops it.

use crate::stream::Answer;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// A thread that works until this is dropped.
pub struct Beside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    /// Begins with what `work` makes on the thread.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub fn start<W: Future<Output = ()>>(name: &str, work: impl FnOnce() -> W + Send + 'static) -> io::Result<Beside> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = Builder::new().name(name.into()).spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = work() => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Beside { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

/// Answers HTTP to whoever connects and sends the head of a request in time.
pub async fn http<A: Future<Output = Response<Answer>> + Send + 'static>(
    listener: TcpListener,
    patience: Duration,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            // Who breaks off in the middle has nobody left to be told.
            let connection = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(patience).clone();
            _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
