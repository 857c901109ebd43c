//! The handshake of a WebSocket (RFC 6455, section 4.2).

use crate::stream::Answer;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use kit_server::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The answer to a handshake, and which of the known protocols was agreed on: the client's first.
///
/// # Errors
///
/// 400 if it is no handshake, or the client knows none of the protocols.
pub fn accept(head: &Parts, known: &[&'static str]) -> Result<(Response<Answer>, &'static str), Error> {
    let text = |name: &hyper::header::HeaderName| {
        let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(",")
    };
    let asked = text(&UPGRADE).eq_ignore_ascii_case("websocket");
    let upgrades = text(&CONNECTION).split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let key = head.headers.get(SEC_WEBSOCKET_KEY).filter(|_| asked && upgrades);
    let key = key.ok_or_else(|| Error::bad_request("Upgrade request required"))?;
    let offered = text(&SEC_WEBSOCKET_PROTOCOL);
    let agreed = offered.split(',').find_map(|name| known.iter().copied().find(|known| *known == name.trim()));
    let agreed = agreed.ok_or_else(|| {
        Error::bad_request(format!("unable to upgrade: none of the protocols [{offered}] is one of {known:?}"))
    })?;
    let mut response = Response::new(Answer::text(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(agreed));
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted.map_err(|_| Error::bad_request("Upgrade request required"))?);
    Ok((response, agreed))
}
