use super::*;
use kit_api::jiff::SignedDuration;
use serde_json::Value;

/// A log with these lines of a file, each `TIME STREAM TAG CONTENT`; none if they are something else, which no container
/// here writes.
fn file(text: &str) -> Option<Log> {
    let mut log = Log::default();
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        let [at, stream, tag @ ("F" | "P"), content] = parts[..] else { return None };
        let channel = match stream {
            "stdout" => Channel::Stdout,
            "stderr" => Channel::Stderr,
            _ => return None,
        };
        let text = format!("{content}{}", if tag == "F" { "\n" } else { "" }).into_bytes();
        log.push(Line { at: at.parse().ok()?, channel, text });
    }
    Some(log)
}

/// Recorded: `ReadLogs` of Kubernetes 1.33. Files in other formats, or with broken lines, are left out.
#[test]
fn logs_are_read_as_recorded() {
    let table: Value =
        serde_json::from_str(include_str!("../../../../../tests/conformance/node/read_logs.json")).expect("a table");
    let mut played = 0;
    for case in table["cases"].as_array().expect("cases") {
        let Some(log) = file(case["file"].as_str().expect("a file")) else { continue };
        let options = &case["options"];
        let time = |value: &Value| value.as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let seconds = options["sinceSeconds"].as_i64().map(SignedDuration::from_secs);
        let options = LogOptions {
            tail: options["tailLines"].as_u64(),
            since: time(&options["sinceTime"]).or(seconds.zip(time(&case["now"])).map(|(ago, now)| now - ago)),
            timestamps: options["timestamps"].as_bool().unwrap_or_default(),
            limit: options["limitBytes"].as_u64(),
            ..LogOptions::default()
        };
        let mut reader = log.reader(&options);
        let mut out = [Vec::new(), Vec::new()];
        while let Some((channel, text)) = log.read(&mut reader) {
            out[channel as usize].extend(text);
        }
        let out = out.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(out, [&case["stdout"], &case["stderr"]].map(|text| text.as_str().unwrap_or_default()), "{case}");
        played += 1;
    }
    assert!(played > 40, "only {played} cases were played");
}

#[test]
fn long_lines_come_in_pieces_and_logs_stay_small() {
    let mut log = Log::default();
    let at = Timestamp::default();
    log.write(Channel::Stdout, &[b'x'; 20_000], at);
    log.write(Channel::Stdout, b"y\nno end", at);
    log.close(at);
    let mut reader = log.reader(&LogOptions::default());
    let lengths: Vec<usize> = std::iter::from_fn(|| log.read(&mut reader)).map(|(_, text)| text.len()).collect();
    assert_eq!(lengths, [16_384, 3_618, 6]);

    let mut reader = log.reader(&LogOptions::default());
    for _ in 0..40_000 {
        log.write(Channel::Stderr, &[b"z".repeat(999), b"\n".to_vec()].concat(), at);
        assert!(log.size <= LARGEST);
    }
    let read = std::iter::from_fn(|| log.read(&mut reader)).count();
    assert!((1..10_040).contains(&read), "a slow reader misses what was rotated: {read}");
}
