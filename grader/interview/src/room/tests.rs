//! A room over real sockets on this machine.

use super::*;
use crate::desk::Keep;
use crate::fixture::{self, BEGAN, Hand, Kept, Slow};
use crate::session::event::Entry;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

struct Client {
    room: Option<Room>,
    at: String,
    candidate: String,
    interviewer: String,
    clock: Arc<Hand>,
    kept: Kept,
    host: Arc<Slow>,
}

fn client(interviewed: bool) -> Client {
    let (desk, clock, kept, host) = fixture::desk(interviewed);
    Client::over(desk, clock, kept, host)
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            room.close().unwrap();
        }
    }
}

impl Client {
    fn over(desk: Desk, clock: Arc<Hand>, kept: Kept, host: Arc<Slow>) -> Client {
        let room = open(Arc::new(Mutex::new(desk)), Setup::here("7")).unwrap();
        let rest = room.candidate.strip_prefix("http://").unwrap();
        let at = rest.split('/').next().unwrap().to_string();
        let token = |page: &str| page.split('=').nth(1).unwrap().to_string();
        let (candidate, interviewer) = (token(&room.candidate), token(&room.interviewer));
        Client { at, candidate, interviewer, room: Some(room), clock, kept, host }
    }

    /// Sends this as it stands; the status, the head and the body.
    fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_string())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.at))
    }

    fn post(&self, path: &str, token: &str, body: &str) -> (u16, Value) {
        let head = format!("POST {path}?token={token} HTTP/1.1\r\nHost: {}\r\nConnection: close", self.at);
        let (status, _, body) = self.raw(&format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Does something; what was refused, if it was.
    fn act(&self, token: &str, action: Value) -> Result<Value, String> {
        match self.post("/act", token, &action.to_string()) {
            (200, said) => Ok(said),
            (409, said) => Err(said["error"].as_str().unwrap().to_string()),
            other => panic!("{action}: {other:?}"),
        }
    }

    fn state(&self, token: &str) -> Value {
        serde_json::from_str(&self.get(&format!("/state?token={token}")).2).unwrap()
    }

    /// Ends parts until this one is open.
    fn until(&self, part: usize) {
        for at in 0..part {
            self.act(&self.candidate, json!({"do": "next", "on": {"part": at}})).unwrap();
        }
    }
}

#[test]
fn a_page_is_for_whom_it_was_made() {
    let room = client(true);
    let (candidate, interviewer) = (&room.candidate, &room.interviewer);
    for (path, status, says) in [
        (format!("/candidate?token={candidate}"), 200, "candidate.js"),
        (format!("/interviewer?token={interviewer}"), 200, "the lease is what is missed first"),
        (format!("/candidate?token={interviewer}"), 403, "the secret is the interviewer's"),
        (format!("/interviewer?token={candidate}"), 403, "the secret is the candidate's"),
        ("/candidate".into(), 403, "lacks its secret"),
        ("/interviewer?token=".into(), 403, "lacks its secret"),
        (format!("/state?token={}", candidate.replace(|c: char| c.is_ascii_digit(), "x")), 403, "lacks its secret"),
        ("/events".into(), 403, "lacks its secret"),
        (format!("/state?token={candidate}"), 200, "\"role\":\"candidate\""),
        (format!("/report?token={candidate}"), 409, "when the session is finished"),
        ("/room/room.js".into(), 200, "export"),
        ("/room/..%2fserve.rs".into(), 404, "nothing here"),
        ("/".into(), 404, "nothing here"),
    ] {
        let (got, head, body) = room.get(&path);
        assert_eq!(got, status, "{path}: {body}");
        assert!(body.contains(says), "{path}: {body}");
        for header in
            ["cache-control: no-store", "content-security-policy: default-src 'none'", "referrer-policy: no-referrer"]
        {
            assert!(head.contains(header), "{path}: {head}");
        }
        assert!(!head.contains("access-control"), "no other site reads it");
    }
    let all = room.state(candidate).to_string() + &room.get(&format!("/candidate?token={candidate}")).2;
    for secret in ["lease is what is missed", "\"right\"", "points", "debrief", "Those that tolerate both: "] {
        assert!(!all.contains(secret), "the candidate sees {secret}");
    }
}

#[test]
fn a_name_is_refused() {
    let room = client(true);
    for (host, status) in
        [("evil.example", 421), ("127.0.0.1.evil.example", 421), ("127.0.0.1", 200), ("localhost:9", 200)]
    {
        let path = format!("/state?token={}", room.candidate);
        let (got, _, body) = room.raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(got, status, "{host}: {body}");
    }
    assert_eq!(room.raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").0, 421);
}

#[test]
fn what_is_no_action_is_told_what_would_be_one() {
    let room = client(true);
    for (body, status, says) in [
        ("", 400, "EOF"),
        ("{}", 400, "missing field `do`"),
        ("[]", 400, "An action is JSON such as"),
        ("{\"do\": \"dance\"}", 400, "unknown variant `dance`"),
        ("{\"do\": \"release\", \"fact\": \"one\"}", 400, "invalid type"),
        ("{\"do\": \"release\", \"fact\": -1}", 400, "invalid value"),
        ("{\"do\": \"hint\", \"on\": {\"parts\": 1}}", 400, "unknown field `parts`"),
        ("\u{0}{{{{", 400, "expected value"),
        ("{\"do\": \"mark\", \"part\": 99, \"line\": \"x\", \"mark\": 1, \"evidence\": \"\"}", 409, "no rubric"),
        ("{\"do\": \"hint\"}", 409, "that is the candidate's to do"),
    ] {
        let (got, said) = room.post("/act", &room.interviewer, body);
        assert_eq!(got, status, "{body}: {said}");
        assert!(said["error"].as_str().is_some_and(|said| said.contains(says)), "{body}: {said}");
    }
    let long = json!({"do": "write", "text": "x".repeat(300_000)}).to_string();
    assert_eq!(room.post("/act", &room.candidate, &long).0, 413);
    assert_eq!(room.post("/act", "", "{\"do\": \"next\"}").0, 403);
    assert_eq!(room.raw(&format!("DELETE /act HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", room.at)).0, 405);
    assert_eq!(room.raw("\r\n\r\nnonsense\r\n\r\n").0, 400);
    assert_eq!(room.kept.0.lock().unwrap().len(), 2, "nothing of that happened");
}

#[test]
fn each_acts_in_one_role() {
    let room = client(true);
    let (candidate, interviewer) = (&room.candidate, &room.interviewer);
    room.until(3);
    for (who, action, refused) in [
        (candidate, json!({"do": "release", "fact": 0}), Some("to release a fact is the interviewer's")),
        (candidate, json!({"do": "probe", "probe": 1}), Some("to choose a probe is the interviewer's")),
        (candidate, json!({"do": "probe"}), Some("to choose a probe is the interviewer's")),
        (candidate, json!({"do": "finish"}), Some("that is the interviewer's to do")),
        (
            candidate,
            json!({"do": "mark", "part": 3, "line": "detect", "mark": 4, "evidence": "x"}),
            Some("that is the interviewer's to do"),
        ),
        (
            candidate,
            json!({"do": "ran", "run": {"passed": true, "right": 9, "of": 9, "said": ""}}),
            Some("what a module or a cluster is worth comes from `/task` alone"),
        ),
        (
            interviewer,
            json!({"do": "checked", "check": {"healed": true, "said": []}}),
            Some("what a module or a cluster is worth comes from `/task` alone"),
        ),
        (interviewer, json!({"do": "write", "text": "x"}), Some("that is the candidate's to do")),
        (interviewer, json!({"do": "ask", "text": "x"}), Some("that is the candidate's to do")),
        (interviewer, json!({"do": "release", "fact": 3}), Some("there is no fact 3")),
        (interviewer, json!({"do": "release", "fact": 0}), None),
        (interviewer, json!({"do": "probe", "probe": 1}), None),
        (candidate, json!({"do": "write", "text": "The lease."}), None),
        (interviewer, json!({"do": "pause"}), None),
        (candidate, json!({"do": "write", "text": "More."}), Some("the clock stands still; `resume` lets it go on")),
        (candidate, json!({"do": "resume"}), None),
    ] {
        assert_eq!(room.act(who, action.clone()).err().as_deref(), refused, "{action}");
    }
    let (view, sheet) = (room.state(candidate), room.state(interviewer));
    assert_eq!(view["view"]["open"]["told"][0], "400 nodes in three zones, 130 to 135 in each.");
    assert_eq!(view["view"]["open"]["probes"].as_array().unwrap().len(), 1);
    assert_eq!(sheet["sheet"]["parts"][3]["text"], "The lease.");
}

#[test]
fn a_page_that_is_behind_does_nothing_to_what_is_newer() {
    let room = client(true);
    let candidate = &room.candidate;
    let answer = |number: usize| json!({"do": "answer", "answer": "skipped", "on": {"part": 0, "question": number}});
    room.act(candidate, answer(1)).unwrap();
    assert_eq!(room.act(candidate, answer(1)).unwrap_err(), "that question has its answer already");
    room.until(3);
    assert_eq!(room.act(candidate, json!({"do": "next", "on": {"part": 2}})).unwrap_err(), "that part has ended");
    let write = |text: &str, based: usize| json!({"do": "write", "text": text, "on": {"part": 3, "text": based}});
    assert_eq!(room.act(candidate, write("one", 0)).unwrap()["text"], 1);
    assert_eq!(room.act(candidate, write("one", 1)).unwrap()["text"], 1, "the same is not written twice");
    assert_eq!(room.act(candidate, write("one, two", 1)).unwrap()["text"], 2);
    let (status, said) = room.post("/act", candidate, &write("zwei", 1).to_string());
    assert_eq!((status, &said["newest"], &said["text"]), (409, &json!("one, two"), &json!(2)));
    assert_eq!(room.act(candidate, write("two", 2)).unwrap()["text"], 3);
    // A part ends while its page still says that it is open.
    room.clock.0.store(BEGAN + 11 * 60_000, Ordering::SeqCst);
    assert_eq!(room.act(candidate, write("three", 3)).err(), None, "who was away a while has a pause");
    for minute in 12..30 {
        room.clock.0.store(BEGAN + minute * 60_000, Ordering::SeqCst);
        room.get(&format!("/state?token={candidate}"));
        _ = room.act(candidate, json!({"do": "hint"}));
    }
    assert!(room.act(candidate, write("four", 4)).is_err());
    assert_eq!(room.state(&room.interviewer)["sheet"]["parts"][3]["text"], "three");
}

#[test]
fn a_task_runs_beside_everything_else() {
    let room = client(true);
    let (candidate, interviewer) = (&room.candidate, &room.interviewer);
    assert_eq!(room.post("/task", candidate, "").1["error"], "nothing is graded or checked now");
    room.until(1);
    assert_eq!(room.post("/task", interviewer, "").0, 409);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| room.post("/task", candidate, ""));
        let began = Instant::now();
        while !room.state(candidate)["working"].as_bool().unwrap() {
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(room.post("/task", candidate, "").1["error"], "that is being done already");
        room.act(candidate, json!({"do": "hint"})).unwrap();
        room.act(interviewer, json!({"do": "pause"})).unwrap();
        room.host.0.store(true, Ordering::SeqCst);
        assert_eq!(run.join().unwrap().0, 200, "a result counts that comes while the clock stands still");
    });
    let view = room.state(candidate);
    assert_eq!(view["view"]["open"]["runs"][0]["said"], "✗ empty-key <why>");
    assert_eq!((&view["working"], &view["hints"]["left"]), (&json!(false), &json!(1)));
    room.act(candidate, json!({"do": "resume"})).unwrap();
    room.act(candidate, json!({"do": "next"})).unwrap();
    assert_eq!(room.state(candidate)["kubeconfig"], "/clusters/checkout/kubeconfig");
    room.post("/task", candidate, "");
    assert_eq!(room.state(candidate)["view"]["open"]["checks"], json!([true]));
}

#[test]
fn a_result_that_comes_after_its_part_counts_for_no_other() {
    let room = client(true);
    room.until(1);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| room.post("/task", &room.candidate, ""));
        while !room.state(&room.candidate)["working"].as_bool().unwrap() {}
        room.act(&room.interviewer, json!({"do": "next"})).unwrap();
        room.host.0.store(true, Ordering::SeqCst);
        assert_eq!(run.join().unwrap(), (409, json!({"error": "that part has ended"})));
    });
    let sheet = room.state(&room.interviewer);
    assert_eq!(sheet["sheet"]["parts"][1]["runs"], json!([]));
    assert_eq!(sheet["sheet"]["parts"][2]["checks"], json!([]));
}

#[test]
fn both_pages_follow_until_the_end_and_then_get_the_report() {
    let room = client(true);
    let listen = |token: &str| {
        let mut stream = TcpStream::connect(&room.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /events?token={token} HTTP/1.1\r\nHost: {}\r\n\r\n", room.at).unwrap();
        BufReader::new(stream)
    };
    let next = |stream: &mut BufReader<TcpStream>, kind: &str| {
        let (mut line, mut event) = (String::new(), String::new());
        loop {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream has ended");
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.trim().into();
            }
            if let Some(data) = line.strip_prefix("data: ").filter(|_| event == kind) {
                return serde_json::from_str::<Value>(data).unwrap();
            }
        }
    };
    let (mut candidate, mut interviewer) = (listen(&room.candidate), listen(&room.interviewer));
    assert_eq!(next(&mut candidate, "page")["page"]["part"], 0);
    let first = next(&mut interviewer, "page");
    assert_eq!((&first["page"]["role"], &first["clock"]["part"]), (&json!("interviewer"), &json!(300_000)));
    assert!(first["page"]["sheet"]["view"].get("clock").is_none(), "time alone is no change of the page");
    assert_eq!(next(&mut candidate, "clock"), json!({"part": 300_000, "whole": 2_700_000, "state": "running"}));
    room.act(&room.candidate, json!({"do": "answer", "answer": "skipped"})).unwrap();
    assert_eq!(next(&mut candidate, "page")["page"]["view"]["open"]["number"], 2);
    assert_eq!(next(&mut interviewer, "page")["page"]["sheet"]["parts"][0]["questions"][0]["answer"], "skipped");
    room.until(4);
    room.act(&room.interviewer, json!({"do": "finish"})).unwrap();
    while next(&mut candidate, "page")["clock"]["state"] != "finished" {}
    let (status, head, report) = room.get(&format!("/report?token={}", room.candidate));
    assert_eq!(status, 200);
    assert!(head.contains("style-src 'unsafe-inline'") && report.contains("marks are missing"), "{head}");
    drop((candidate, interviewer));
    let mut room = room;
    room.room.take().unwrap().thread.join().unwrap().unwrap();
    let kept = room.kept.0.lock().unwrap();
    assert_eq!(kept.last().unwrap().event, crate::session::event::Event::Finished);
}

#[test]
fn alone_a_candidate_is_served_by_the_clock_and_marks_at_the_end() {
    let room = client(false);
    room.until(3);
    let ask = json!({"do": "ask", "text": "How many nodes are there?"});
    room.act(&room.candidate, ask).unwrap();
    let open = &room.state(&room.candidate)["view"]["open"];
    assert_eq!(open["asked"][0]["answers"][0], "400 nodes in three zones, 130 to 135 in each.");
    assert_eq!(open["probes"][0], "When exactly does Kubernetes know?");
    room.act(&room.candidate, json!({"do": "write", "text": "It renews a lease."})).unwrap();
    room.act(&room.candidate, json!({"do": "next"})).unwrap();
    let mark = |evidence: &str| json!({"do": "mark", "part": 3, "line": "detect", "mark": 2, "evidence": evidence});
    assert!(room.act(&room.candidate, mark("Something else.")).unwrap_err().contains("doesn't say that"));
    room.act(&room.candidate, mark("renews a lease")).unwrap();
    room.act(&room.candidate, json!({"do": "finish"})).unwrap();
}

/// A disk that is full for a while.
struct Full(Arc<AtomicBool>);

impl Keep for Full {
    fn append(&mut self, _: &[Entry]) -> Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => bail!("no space is left"),
            false => Ok(()),
        }
    }
    fn heard(&mut self, _: i64) -> Result<()> {
        Ok(())
    }
}

#[test]
fn what_can_not_be_kept_is_told_as_long_as_it_can_not() {
    let full = Arc::new(AtomicBool::new(false));
    let (clock, host) = (Arc::new(Hand(AtomicI64::new(BEGAN))), Arc::new(Slow::default()));
    let keep = Box::new(Full(full.clone()));
    let desk = Desk::new(fixture::session(true), 0, clock.clone(), host.clone(), keep, "/session".into()).unwrap();
    let room = Client::over(desk, clock, Kept::default(), host);
    full.store(true, Ordering::SeqCst);
    let (status, said) = room.post("/act", &room.candidate, "{\"do\": \"next\"}");
    assert_eq!((status, &said["error"]), (500, &json!("the session can't be kept: no space is left")));
    assert_eq!(room.state(&room.interviewer)["trouble"], "the session can't be kept: no space is left");
    full.store(false, Ordering::SeqCst);
    room.act(&room.candidate, json!({"do": "hint"})).unwrap();
    assert_eq!(room.state(&room.interviewer)["trouble"], Value::Null);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let room = client(true);
    let taken = Setup { address: room.at.parse().unwrap(), ..Setup::here("8") };
    let desk = fixture::desk(true).0;
    let error = format!("{:#}", open(Arc::new(Mutex::new(desk)), taken).err().unwrap());
    assert!(error.contains(&room.at) && error.contains("port 0"), "{error}");
}
