//! `GET …/pods/NAME/log`.

use super::ask;
use crate::Door;
use crate::http::response;
use crate::stream::Answer;
use hyper::Response;
use hyper::body::Bytes;
use kit_server::{Container, Error, LogOptions};
use tokio::sync::mpsc;

/// How many pieces wait for a slow reader.
const AHEAD: usize = 64;
/// About how large a piece is, in bytes.
const PIECE: usize = 32 << 10;

pub async fn answer(target: Container, options: LogOptions, door: &Door) -> Result<Response<Answer>, Error> {
    if target.node.is_empty() {
        return Ok(text(Answer::text("")));
    }
    let (to, pieces) = mpsc::channel(AHEAD);
    let begun = door.ask(move |driver| {
        let path = path(&target, &options);
        let now = driver.engine.now();
        let begun = ask(&mut driver.engine, |kubelets, _| kubelets.logs(&target, &options, now));
        let mut reader = begun.ok_or_else(Error::unreachable)?.map_err(|refused| refused.error(&path))?;
        driver.pump(move |engine| {
            let now = engine.now();
            while to.capacity() > 0 {
                let mut piece = Vec::new();
                let more = ask(engine, |kubelets, _| {
                    loop {
                        match kubelets.read(&mut reader, now) {
                            (Some(text), _) if piece.len() + text.len() < PIECE => piece.extend(text),
                            (Some(text), _) => {
                                piece.extend(text);
                                return true;
                            }
                            (None, follows) => return follows,
                        }
                    }
                });
                let full = piece.len() >= PIECE;
                if !piece.is_empty() && to.try_send(Bytes::from(piece)).is_err() || more != Some(true) {
                    return false;
                }
                if !full {
                    break;
                }
            }
            !to.is_closed()
        });
        Ok(())
    });
    begun.await.ok_or_else(Error::unreachable)??;
    Ok(text(Answer::Pieces(pieces)))
}

fn text(body: Answer) -> Response<Answer> {
    response(200, "text/plain", body)
}

/// What the API server asks the kubelet for.
fn path(target: &Container, options: &LogOptions) -> String {
    let mut query = Vec::new();
    let number = |name: &str, number: Option<u64>| number.map(|number| format!("{name}={number}"));
    query.extend(options.follow.then(|| "follow=true".to_string()));
    query.extend(number("limitBytes", options.limit));
    query.extend(options.previous.then(|| "previous=true".to_string()));
    query.extend(number("tailLines", options.tail));
    query.extend(options.timestamps.then(|| "timestamps=true".to_string()));
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("/containerLogs/{}/{}/{}{query}", target.pod.namespace, target.pod.name, target.container)
}
