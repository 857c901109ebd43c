use super::*;

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

#[test]
fn a_file_has_a_head_before_each_piece() {
    let mut log = Log::default();
    let at = Timestamp::default();
    log.write(Channel::Stdout, &[b"x".repeat(16_384), b"y\n\n".to_vec()].concat(), at);
    let (text, next) = log.written(0);
    let pieces: Vec<(&str, usize)> =
        text.lines().map(|line| line.split_at(39)).map(|(head, text)| (head, text.len())).collect();
    let head = |tag| format!("1970-01-01T00:00:00.000000000Z stdout {tag}");
    assert_eq!(pieces, [(head("P").as_str(), 16_385), (head("F").as_str(), 2), (head("F").as_str(), 1)]);
    log.write(Channel::Stderr, b"no end", at);
    log.close(at);
    assert_eq!(log.written(next).0, "1970-01-01T00:00:00.000000000Z stderr F no end\n");
    assert_eq!(log.written(9), (String::new(), 4));
}
