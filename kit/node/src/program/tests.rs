use super::processes::Processes;
use super::tree::{Tree, tree};
use super::*;

/// What a program has written, and when it ended with which code, in seconds.
struct Played {
    out: String,
    ended: Option<(f64, i32)>,
}

/// Runs a program for so many seconds; `typed` is sent at the start.
fn play(command: &[&str], typed: Option<&str>, tty: bool, seconds: i64) -> Played {
    let start = Timestamp::from_second(1_748_779_200).expect("a time");
    let config = tree([("/level", "debug\n"), ("/size", "12")].map(|(path, text)| (path.into(), text.into())));
    let mut files = Files::default();
    files.mount("/etc/config", config, true);
    files.mount("/logs", Tree::default(), false);
    let environment = [("HOME", "/root"), ("LEVEL", "info"), ("TWO", "a b")];
    let environment = environment.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    let around = Surroundings {
        environment,
        files,
        hostname: "web-1".into(),
        tty,
        stdin: typed.is_some(),
        network: None,
        processes: Processes::default(),
        machine: Machine::default(),
    };
    let mut program = Program::new(command.iter().map(ToString::to_string).collect(), around, false);
    if let Some(typed) = typed {
        program.input(typed.as_bytes());
        if !tty {
            program.close_input();
        }
    }
    let (mut now, mut out) = (Instant::default(), String::new());
    loop {
        let time = start + kit_api::jiff::SignedDuration::from_nanos(now.nanos);
        let ended = program.step(now, time);
        for (channel, bytes) in program.take() {
            let mark = if channel == Channel::Stderr { "!" } else { "" };
            out.push_str(&format!("{mark}{}", String::from_utf8_lossy(&bytes)));
        }
        if let Some(code) = ended {
            return Played { out, ended: Some((now.nanos as f64 / 1e9, code)) };
        }
        match program.wake() {
            Some(wake) if wake <= Instant::seconds(seconds) => now = wake.max(now),
            _ => return Played { out, ended: None },
        }
    }
}

/// Runs scripts, and holds what they write and end with to what is expected.
fn check(cases: &[(&str, &str, i32)]) {
    let mut wrong = String::new();
    for (script, out, code) in cases {
        let played = play(&["sh", "-c", script], None, false, 60);
        let got = (played.out.as_str(), played.ended.map(|(_, code)| code));
        if got != (*out, Some(*code)) {
            wrong += &format!("{script}\n  got      {got:?}\n  expected {:?}\n", (out, code));
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn scripts_write_what_a_shell_writes() {
    let deep = "(".repeat(300);
    let cases: &[(&str, &str, i32)] = &[
        ("echo hi", "hi\n", 0),
        ("echo -n a; echo -e 'b\\tc'", "ab\tc\n", 0),
        ("echo hi; sleep 3; exit 4", "hi\n", 4),
        ("echo $LEVEL ${NONE:-none} \"$TWO\" $TWO '$LEVEL'", "info none a b a b $LEVEL\n", 0),
        ("x=5; y=$((x * 2 + 1)); echo $y $(( (1+2)*3 )) $((7 / 2)) $((x > 4 && 1))", "11 9 3 1\n", 0),
        ("echo $((1/0))", "!sh: divide by zero\n", 2),
        ("false && echo a || echo b; ! true; echo $?", "b\n1\n", 0),
        ("if [ -f /etc/config/level ]; then cat /etc/config/level; else echo no; fi", "debug\n", 0),
        ("if [ $LEVEL = warn ]; then echo w; elif test 3 -gt 2; then echo gt; fi", "gt\n", 0),
        ("for i in 1 2 3; do [ $i -eq 2 ] && continue; echo n$i; done", "n1\nn3\n", 0),
        ("i=0; while true; do i=$((i+1)); if [ $i -gt 3 ]; then break; fi; echo $i; done", "1\n2\n3\n", 0),
        ("until [ -e /tmp/x ]; do touch /tmp/x; done; ls /tmp", "x\n", 0),
        ("seq 1 5 | grep -v 3 | tail -n 2 | wc -l", "2\n", 0),
        ("yes | head -n 2; echo done", "y\ny\ndone\n", 0),
        ("printf 'a\\nb\\n' | while read line; do echo \"<$line>\"; done", "<a>\n<b>\n", 0),
        ("echo one two | (read a b; echo $b $a)", "two one\n", 0),
        ("echo out; echo err >&2; echo lost > /dev/null; { echo a; echo b; } 2>&1", "out\n!err\na\nb\n", 0),
        ("echo a > /logs/f; echo b >> /logs/f; cat /logs/f; wc -l < /logs/f", "a\nb\n2\n", 0),
        ("echo a > /etc/config/level", "!sh: can't create /etc/config/level: Read-only file system\n", 1),
        ("echo a > /tmp/a; ln -s a /tmp/b; cat /tmp/b; readlink -f /tmp/b; rm /tmp/b; ls /tmp", "a\n/tmp/a\na\n", 0),
        ("ln -s b /tmp/a; ln -s a /tmp/b; cat /tmp/a", "!cat: can't open '/tmp/a': Symbolic link loop\n", 1),
        (
            "cd /tmp; touch a; mkdir -p b/c; chown 5:6 a; chmod u=rw,o-r a; ln -s a d; ls -l; chmod 8 a",
            "total 4\n\
             -rw-r-----    1 5        6                0 Jun  1 12:00 a\n\
             drwxr-xr-x    3 root     root          4096 Jun  1 12:00 b\n\
             lrwxrwxrwx    1 root     root             1 Jun  1 12:00 d -> a\n\
             !chmod: invalid mode '8'\n",
            1,
        ),
        ("mkdir /tmp/b/c", "!mkdir: /tmp/b/c: No such file or directory\n", 1),
        ("cat /nothing", "!cat: can't open '/nothing': No such file or directory\n", 1),
        ("ls /etc/config; cd /etc/config; pwd; cat s*", "level\nsize\n/etc/config\n12", 0),
        ("for f in /etc/config/*; do echo $(basename $f)=$(cat $f); done", "level=debug\nsize=12\n", 0),
        ("curl http://web", "!sh: curl: not found\n", 127),
        (
            "date; date +%s; date -u +%Y-%m-%dT%H:%M:%SZ",
            "Sun Jun  1 12:00:00 UTC 2025\n1748779200\n2025-06-01T12:00:00Z\n",
            0,
        ),
        ("hostname; echo `hostname`-x", "web-1\nweb-1-x\n", 0),
        ("export A=1; B=2; C=3 sh -c 'echo $A$B$C'; echo $C.", "13\n.\n", 0),
        ("env | grep LEVEL; printenv LEVEL; printenv NONE", "LEVEL=info\ninfo\n", 1),
        ("set -e; false; echo never", "", 1),
        ("set -e; false || true; if false; then :; fi; echo on", "on\n", 0),
        ("sh -c 'echo $0 $1 \"$@\"' name a 'b c'", "name a a b c\n", 0),
        ("(exit 3); echo $?; exec echo last; echo never", "3\nlast\n", 0),
        ("sleep 1 & sleep 2 & wait; date +%S", "02\n", 0),
        ("(sleep 1; echo late) & echo early; wait", "early\nlate\n", 0),
        ("echo a | tee /tmp/b | cat; cat /tmp/b", "a\na\n", 0),
        ("# nothing\necho a # b\necho 'c # d'", "a\nc # d\n", 0),
        ("echo a\\\n b", "a b\n", 0),
        ("if true; then", "!sh: syntax error: unexpected end of file\n", 2),
        ("echo a; done", "!sh: syntax error: unexpected \"done\"\n", 2),
        ("f() { echo a; }", "!sh: syntax error: unexpected \"(\"\n", 2),
        (&deep, "!sh: syntax error: unexpected \"so much nesting\"\n", 2),
        ("sleep x", "!sleep: invalid number 'x'\n", 1),
        ("S='sh -c \"$S\"'; export S; sh -c \"$S\"", "!sh: can't fork: Resource temporarily unavailable\n", 2),
        ("x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done", "!sh: Argument list too long\n", 2),
        ("echo \"${NONE:?is needed}\"", "!sh: NONE: is needed\n", 2),
    ];
    for (script, out, code) in cases {
        let played = play(&["sh", "-c", script], None, false, 60);
        let got = (played.out.as_str(), played.ended.map(|(_, code)| code));
        assert_eq!(got, (*out, Some(*code)), "{}", &script[..script.len().min(200)]);
    }
}

#[test]
fn time_passes_as_it_says() {
    let cases: &[(&[&str], f64, i32)] = &[
        (&["sleep", "3"], 3.0, 0),
        (&["sleep", "1m", "0.5"], 60.5, 0),
        (&["/bin/sh", "-c", "sleep 1; sleep 1 | sleep 2; exit 9"], 3.0, 9),
        (&["sh", "-c", "for i in 1 2 3; do date; sleep 10; done"], 30.0, 0),
        // A loop that waits for nothing is held back.
        (&["sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done"], 2.8, 0),
    ];
    for (command, seconds, code) in cases {
        let (ended, got) = play(command, None, false, 100).ended.expect("it ends");
        assert!((ended - seconds).abs() < 0.3 && got == *code, "{command:?}: {ended} {got}");
    }
    for command in
        [&["sleep", "infinity"][..], &["tail", "-f", "/dev/null"], &["sh", "-c", "while :; do sleep 1; done"]]
    {
        assert_eq!(play(command, None, false, 1000).ended, None, "{command:?}");
    }
    // Endless output waits for whoever reads it, and an endless loop takes time.
    let played = play(&["sh", "-c", "while true; do echo x; done"], None, false, 1);
    assert!(played.ended.is_none() && (500..4000).contains(&played.out.len()), "{}", played.out.len());
}

#[test]
fn somebody_types() {
    /// A command, what is typed, whether at a terminal, what is written, and how it ends.
    type Case<'a> = (&'a [&'a str], &'a str, bool, &'a str, Option<i32>);
    let cases: &[Case<'_>] = &[
        (&["sh"], "echo a\nexit 3\necho b\n", false, "a\n", Some(3)),
        (&["sh"], "for i in 1 2\ndo echo $i\ndone\n", false, "1\n2\n", Some(0)),
        (&["cat"], "one\ntwo", false, "one\ntwo", Some(0)),
        (&["sh"], "echo a\rexit\r", true, "echo a\r\nexit\r\n/ # a\r\n/ # ", Some(0)),
        (&["bash"], "cd /tmp\r", true, "cd /tmp\r\nroot@web-1:/# root@web-1:/tmp# ", None),
        (&["sh"], "echp\x7fo x\x7fy\r\x04", true, "echp\x08 \x08o x\x08 \x08y\r\n/ # y\r\n/ # ", Some(0)),
        (&["sh"], "if\rnonsense\rthen", true, "if\r\nnonsense\r\nthen/ # > > ", None),
        (
            &["sh"],
            "done\recho $?\r",
            true,
            "done\r\necho $?\r\n/ # !sh: syntax error: unexpected \"done\"\r\n/ # 2\r\n/ # ",
            None,
        ),
    ];
    for (command, typed, tty, out, code) in cases {
        let played = play(command, Some(typed), *tty, 10);
        assert_eq!((played.out.as_str(), played.ended.map(|(_, code)| code)), (*out, *code), "{command:?} {typed:?}");
    }
}

#[test]
fn signals_reach_those_who_listen() {
    let run = |command: &[&str], first: bool, typed: Option<&[u8]>| {
        let around = Surroundings { tty: typed.is_some(), stdin: typed.is_some(), ..Surroundings::default() };
        let mut program = Program::new(command.iter().map(ToString::to_string).collect(), around, first);
        assert_eq!(program.step(Instant::default(), Timestamp::default()), None, "{command:?}");
        match typed {
            Some(keys) => program.input(keys),
            None => program.terminate(),
        }
        let mut now = Instant::seconds(1);
        for _ in 0..20 {
            if let Some(code) = program.step(now, Timestamp::default()) {
                return Some((now.nanos / 1_000_000_000, code));
            }
            let wake = program.wake().filter(|wake| *wake < Instant::seconds(1000))?;
            now = wake.max(now);
        }
        None
    };
    // The first process of a container hears no signal that it doesn't catch; a trap waits for the command that runs.
    assert_eq!(run(&["sleep", "infinity"], true, None), None);
    assert_eq!(run(&["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 5; done"], true, None), Some((5, 7)));
    assert_eq!(run(&["sh", "-c", "trap 'exit 7' TERM; sleep infinity & wait"], true, None), Some((1, 7)));
    assert_eq!(run(&["sh", "-c", "sleep infinity & wait"], true, None), None);
    // Ctrl-C ends what was called with exec, not the first process.
    assert_eq!(run(&["sleep", "infinity"], false, Some(b"\x03")), Some((1, 130)));
    assert_eq!(run(&["sleep", "infinity"], true, Some(b"\x03")), None);
}

#[test]
fn processes_are_seen_and_killed() {
    let cases: &[(&str, &str, i32)] = &[
        // The shell makes way for the last command of its script, unless it has something to catch.
        ("ps", "PID   USER     TIME  COMMAND\n    7 root      0:00 ps\n", 0),
        ("trap : HUP; ps -o pid,ppid,comm", "PID   PPID  COMMAND\n    7     0 sh\n    8     7 ps\n", 0),
        ("echo $$; (echo $$); sh -c 'echo $$'", "7\n7\n7\n", 0),
        (
            "sleep 9 & sleep 1; ps -o ppid,args; kill $!",
            "PPID  COMMAND\n    0 sh -c sleep 9 & sleep 1; ps -o ppid,args; kill $!\n    7 sleep 9\n    7 ps -o ppid,args\n",
            0,
        ),
        ("sleep 9 & kill $!; wait $!; echo $?; kill $!", "143\n!sh: can't kill pid 8: No such process\n", 1),
        ("(exit 3) & wait $!; echo $?; wait 99; echo $?", "3\n127\n", 0),
        (
            "(sleep 1; kill -9 9; kill -0 9 || echo gone) & sleep 5; echo $?; wait",
            "!Killed\n137\n!sh: can't kill pid 9: No such process\ngone\n",
            0,
        ),
        ("(sleep 1; kill -INT $(pidof sleep)) & sleep 5; echo $?", "130\n", 0),
        (
            "trap 'echo hup' HUP; trap 'echo bye' EXIT; kill -HUP $$; kill -USR1 x",
            "hup\n!sh: invalid number 'x'\nbye\n",
            1,
        ),
        ("kill -CHLD $$; echo on; kill $$; echo never", "on\n", 143),
        ("kill -BOO 1; kill", "!sh: bad signal name 'BOO'\nsh: you need to specify whom to kill\n", 1),
        (
            "trap : TERM; cat /proc/$$/comm; grep -c LEVEL=info /proc/7/environ; ls /proc/7; ls /proc; grep SigCgt /proc/7/status",
            "sh\n1\ncmdline\ncomm\nenviron\nroot\nstatus\n7\n11\nSigCgt:\t0000000000004000\n",
            0,
        ),
        (
            "echo a > /tmp/a; cat /proc/$$/root/tmp/a; ls -d /proc/99; rm /proc/7",
            "a\n!ls: /proc/99: No such file or directory\n!rm: /proc/7: Operation not permitted\n",
            1,
        ),
        (
            "cd /tmp; echo a > a; cp a b; mv a c; ls; mkdir d; cp b c d; ls d; cp -r d e; mv e d; cat d/e/c",
            "b\nc\nb\nc\na\n",
            0,
        ),
        (
            "cd /tmp; cp a b; mv a b; mkdir d; cp d e; touch a; cp a a; cp -r d d/d; cp a",
            "!cp: can't stat 'a': No such file or directory\nmv: can't rename 'a': No such file or directory\n\
             cp: omitting directory 'd'\ncp: 'a' and 'a' are the same file\n\
             cp: recursion detected, omitting directory 'd'\ncp: missing operand\n",
            1,
        ),
        ("ps -o pid,size", "!ps: bad -o argument 'size', supported arguments: pid,ppid,user,time,stat,comm,args\n", 1),
    ];
    check(cases);
}

#[test]
fn archives_carry_files_and_directories_with_modes_and_links() {
    let cases: &[(&str, &str, i32)] = &[
        (
            "cd /tmp; mkdir -p a/b; echo one > a/b/x; chmod 750 a/b/x; ln -s x a/b/y; tar cf - a | (mkdir /new; cd /new; tar xf -); ls -l /new/a/b | grep -c rwxr-x---; cat /new/a/b/y",
            "1\none\n",
            0,
        ),
        // As `kubectl cp` calls it, in both directions.
        (
            "echo one > /tmp/x; mkdir /to; tar cf - /tmp/x | tar -xmf - -C /to; cat /to/tmp/x",
            "!tar: removing leading '/' from member names\none\n",
            0,
        ),
        ("echo a > b; tar -cvf c.tar b; tar tf c.tar; rm b; tar --no-same-owner -xf c.tar; cat b", "!b\nb\na\n", 0),
        (
            "tar cf - none > /dev/null; echo $?; tar xf none.tar; tar -x -C /none < /dev/null; tar -xzf a",
            "!tar: none: No such file or directory\ntar: error exit delayed from previous errors\n1\n\
             !tar: can't open 'none.tar': No such file or directory\n\
             tar: can't change directory to '/none': No such file or directory\ntar: option 'z' is not simulated here\n",
            1,
        ),
        ("echo no archive | tar x", "!tar: short read\n", 1),
    ];
    check(cases);
}

#[test]
fn what_may_not_be_run_is_126_and_what_is_not_there_127() {
    check(&[
        (
            "/etc/config/level; echo $?; /tmp",
            "!sh: /etc/config/level: Permission denied\n126\n!sh: /tmp: Permission denied\n",
            126,
        ),
        ("/bin/none; echo $?; none", "!sh: /bin/none: not found\n127\n!sh: none: not found\n", 127),
        ("cd /tmp; echo 'echo $0 $1; exit 4' > run; chmod +x run; ./run a", "./run a\n", 4),
    ]);
}

#[test]
fn top_shows_processes_as_the_image_does() {
    let top = |procps: bool, words: &[&str]| {
        let machine = Machine { cpus: 4, procps, ..Machine::default() };
        let around = Surroundings { machine, ..Surroundings::default() };
        let first = Program::new(vec!["sleep".into(), "99".into()], around.clone(), true);
        around.processes.note(first.pid(), (1500, 1 << 30));
        let mut program = Program::new(words.iter().map(ToString::to_string).collect(), around, false);
        let ended = program.step(Instant::default(), Timestamp::default());
        let text = program.take().into_iter().flat_map(|(_, bytes)| bytes).collect();
        (String::from_utf8(text).expect("it is text"), ended)
    };
    let busybox = "Mem: 1048576K used, 7340032K free, 0K shrd, 0K buff, 0K cached\n\
                   CPU:  37% usr   0% sys   0% nic  63% idle   0% io   0% irq   0% sirq\n\
                   Load average: 1.50 1.50 1.50 1/2 8\n\x20 PID  PPID USER     STAT   VSZ %VSZ CPU %CPU COMMAND\n\
                   \x20   1     0 root     R    1024m  12%   0  37% sleep 99\n\
                   \x20   8     0 root     R     4404   0%   0   0% top -bn1\n";
    assert_eq!(top(false, &["top", "-bn1"]), (busybox.into(), Some(0)));
    let (text, ended) = top(true, &["top", "-b", "-n", "1"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), ended), (9, Some(0)), "{text}");
    assert_eq!(lines[2], "%Cpu(s): 37.5 us,  0.0 sy,  0.0 ni, 62.5 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st ");
    assert_eq!(lines[7], "      1 root      20   0 1048576 1048576   1280 R 150.0  12.5   0:00.00 sleep");
    assert_eq!(top(true, &["top"]), ("top: failed tty get\n".into(), Some(1)));
    assert_eq!(top(false, &["top"]).1, None);
}

#[test]
fn process_1_hears_only_what_it_catches_and_takes_all_with_it() {
    let around = Surroundings::default();
    let start = |words: &[&str], own| {
        let mut program = Program::new(words.iter().map(ToString::to_string).collect(), around.clone(), own);
        (program.step(Instant::default(), Timestamp::default()), program)
    };
    let (none, mut first) = start(&["sh", "-c", "trap 'exit 5' USR1; sleep 99 & wait; wait"], true);
    let (_, mut other) = start(&["sleep", "99"], false);
    assert_eq!((none, around.processes.all().into_keys().collect::<Vec<_>>()), (None, vec![1, 2, 9]));
    for signal in ["-9", "-TERM", "-HUP"] {
        assert_eq!(start(&["kill", signal, "1"], false).0, Some(0), "{signal}");
        assert_eq!(
            (first.step(Instant::default(), Timestamp::default()), first.wake()),
            (None, Some(Instant::seconds(99)))
        );
    }
    assert_eq!(start(&["kill", "-USR1", "1"], false).0, Some(0));
    assert_eq!(first.wake(), Some(Instant::default()));
    assert_eq!(first.step(Instant::default(), Timestamp::default()), Some(5));
    assert_eq!(other.wake(), Some(Instant::default()));
    assert_eq!(other.step(Instant::default(), Timestamp::default()), Some(137));
    assert_eq!(around.processes.all().len(), 0);
}
