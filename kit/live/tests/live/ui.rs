//! The picture of a live cluster: who may see it, what it says, and that its buttons do something.

use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::Clock;
use kit_cluster::recording::{Increment, Picture, Recording};
use kit_cluster::timeline::{Step, act};
use kit_live::ui::{Film, Ui, Wish};
use kit_live::{Driver, Live, Options};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Sends one request as it is: the code, and the body of the answer.
fn send(ui: &Ui, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let (host, _) = parts(ui);
    let mut stream = TcpStream::connect(&host).expect("it listens");
    let host = if headers.contains("Host: ") { String::new() } else { format!("Host: {host}\r\n") };
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head[9..12].parse().expect("a code"), body.to_string())
}

/// Host and path of a picture's address.
fn parts(ui: &Ui) -> (String, String) {
    let rest = ui.address().strip_prefix("http://").expect("plain HTTP");
    let (host, path) = rest.split_once('/').expect("a path");
    (host.into(), format!("/{path}"))
}

fn obey(driver: &mut Driver, wish: Wish) -> Result<String, String> {
    match wish {
        Wish::Fault(step) => {
            let step: Step = serde_json::from_value(step).map_err(|error| error.to_string())?;
            act(&mut driver.engine, &step).map_err(|error| error.message)?;
            Ok(step.to_string())
        }
        Wish::Speed(value) => {
            driver.set_speed(value["speed"].as_f64().ok_or("no speed")?);
            Ok("faster".into())
        }
    }
}

fn serve() -> (Live, Ui) {
    let start = || cluster::start(&Config::default(), &solutions::modules(), Clock::default());
    let live = Live::start(start, Options { speed: 100.0, ..Options::default() }).expect("it starts");
    let ui =
        Ui::serve(live.door(), Film::of(&live.door(), "seen").expect("it looks"), Arc::new(obey)).expect("it serves");
    (live, ui)
}

#[test]
fn a_picture_is_for_who_was_told_where_it_is() {
    let (live, ui) = serve();
    let (host, root) = parts(&ui);
    assert!(host.starts_with("127.0.0.1:") && root.len() > "/ui/".len() + 30, "{}", ui.address());
    let json = "Content-Type: application/json\r\n";
    let own = format!("{json}Origin: http://{host}\r\n");
    let cases = [
        ("GET", root.clone(), "", 200),
        ("GET", format!("{root}recording"), "", 200),
        ("GET", "/".into(), "", 404),
        ("GET", "/ui/".into(), "", 404),
        ("GET", format!("/ui/{}/recording", "0".repeat(32)), "", 404),
        ("GET", format!("{root}other"), "", 404),
        ("GET", format!("{root}changes"), "", 400),
        ("GET", root.clone(), "Host: evil.example\r\n", 403),
        ("POST", format!("{root}fault"), "Content-Type: text/plain\r\n", 403),
        ("POST", format!("{root}fault"), "Content-Type: application/json\r\nOrigin: http://evil.example\r\n", 403),
        ("POST", format!("{root}fault"), json, 400),
        ("POST", format!("{root}fault"), &own, 400),
        ("PUT", format!("{root}fault"), json, 404),
    ];
    for (method, path, headers, code) in cases {
        let body = if method == "GET" { "" } else { r#"{"crash":"node-9"}"# };
        let (answered, said) = send(&ui, method, &path, headers, body);
        assert_eq!(answered, code, "{method} {path} {headers}: {said}");
    }
    drop(ui);
    live.stop().expect("it ran");
}

#[test]
fn changes_come_as_they_happen() {
    let (live, ui) = serve();
    let (_, root) = parts(&ui);
    let get = |path: &str| {
        let (code, body) = send(&ui, "GET", &format!("{root}{path}"), "", "");
        assert_eq!(code, 200, "{path}: {body}");
        body
    };
    let ready = |picture: &Picture| {
        let nodes = picture.all().filter(|(_, subject, _)| subject.kind == "Node");
        nodes.filter(|(_, _, state)| state.get("ready") == Some(&true.into())).count()
    };
    let (mut next, mut picture) = loop {
        let recording: Recording = serde_json::from_str(&get("recording")).expect("a recording");
        assert!(recording.live);
        let picture = Picture::at(&recording, i64::MAX);
        if ready(&picture) == 3 {
            break (recording.next.expect("more will come"), picture);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let json = "Content-Type: application/json\r\n";
    let (code, said) = send(&ui, "POST", &format!("{root}fault"), json, &json!({"crash": "node-2"}).to_string());
    assert_eq!((code, said.as_str()), (200, r#"{"said":"crash node-2"}"#));
    let (code, said) = send(&ui, "POST", &format!("{root}speed"), json, &json!({"speed": 500}).to_string());
    assert_eq!((code, said.as_str()), (200, r#"{"said":"faster"}"#));
    let mut marks = Vec::new();
    while ready(&picture) == 3 {
        let mut answer: Value = serde_json::from_str(&get(&format!("changes?since={next}"))).expect("JSON");
        let clock = answer.as_object_mut().and_then(|fields| fields.remove("clock")).expect("how the clock stands");
        assert_eq!((&clock["speed"], &clock["paused"]), (&json!(500.0), &json!(false)));
        let increment: Increment = serde_json::from_value(answer).expect("an increment");
        picture.add(&increment);
        marks.extend(increment.marks.iter().map(|mark| mark.text.clone()));
        next = increment.next;
    }
    assert_eq!((ready(&picture), marks), (2, vec!["crash node-2".to_string()]));
    assert_eq!(get("changes?since=999999999"), r#"{"again":true}"#);
    drop(ui);
    live.stop().expect("it ran");
}
