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
