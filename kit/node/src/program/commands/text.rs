//! Commands that write, read and count lines.

use super::super::files::absolute;
use super::super::shell::{Io, Shell, Source};
use super::super::system::{FOREVER, Pipe};
use super::{say, wrong};
use regex_lite::RegexBuilder;
use std::cell::RefCell;
use std::rc::Rc;

/// The most that `seq` counts to at once.
const MOST: i64 = 100_000;

pub async fn run(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    match name {
        "echo" => echo(shell, words, io).await,
        "printf" => printf(shell, words, io).await,
        "seq" => seq(shell, words, io).await,
        "yes" => loop {
            shell.system.tick().await;
            let word = words.first().map_or("y", String::as_str);
            let status = say(shell, io, &format!("{word}\n")).await;
            if status != 0 || shell.system.interrupted() {
                return status;
            }
        },
        "tail" => tail(shell, words, io).await,
        _ => lines(shell, name, words, io).await,
    }
}

/// `\n`, `\t` and the like, as `echo -e` and `printf` read them.
fn escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('t')) => plain.push('\t'),
            ('\\', Some('r')) => plain.push('\r'),
            ('\\', Some('\\')) => plain.push('\\'),
            ('\\', Some(other)) => plain.extend(['\\', other]),
            (c, _) => plain.push(c),
        }
    }
    plain
}

async fn echo(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let is_flag =
        |word: &&String| word.len() > 1 && word.strip_prefix('-').is_some_and(|f| f.chars().all(|c| "neE".contains(c)));
    let flags: String = words.iter().take_while(is_flag).flat_map(|word| word.chars()).collect();
    let text = words.iter().skip_while(is_flag).map(String::as_str).collect::<Vec<_>>().join(" ");
    let text = if flags.contains('e') { escapes(&text) } else { text };
    say(shell, io, &(text + if flags.contains('n') { "" } else { "\n" })).await
}

async fn printf(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let Some((format, arguments)) = words.split_first() else {
        return wrong(shell, io, "printf: usage: printf FORMAT [ARG]...").await;
    };
    let format = escapes(format);
    let (mut text, mut left) = (String::new(), arguments.iter());
    loop {
        let before = left.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            let letter = if c == '%' { chars.next() } else { None };
            match letter {
                Some('s') => text.push_str(left.next().map_or("", String::as_str)),
                Some('b') => text.push_str(&escapes(left.next().map_or("", String::as_str))),
                Some('d' | 'i') => {
                    let number = left.next().map_or(Ok(0), |word| word.parse::<i64>());
                    text.push_str(&number.unwrap_or_default().to_string());
                }
                Some('%') => text.push('%'),
                Some(other) => return wrong(shell, io, &format!("printf: %{other}: invalid format")).await,
                None => text.push(c),
            }
        }
        // The format is used again for what is left.
        if left.len() == 0 || left.len() == before {
            return say(shell, io, &text).await;
        }
    }
}

async fn seq(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let numbers: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some(&[last]) => (1, 1, last),
        Some(&[first, last]) => (first, 1, last),
        Some(&[first, step, last]) if step != 0 => (first, step, last),
        _ => return wrong(shell, io, "seq: invalid number").await,
    };
    let mut text = String::new();
    let mut at = first;
    while (step > 0 && at <= last || step < 0 && at >= last) && (at - first) / step < MOST {
        text.push_str(&format!("{at}\n"));
        at = at.saturating_add(step);
    }
    say(shell, io, &text).await
}

/// What a command reads: its files, one after the other, or the input.
async fn sources(shell: &mut Shell, name: &str, files: &[&String], io: &Io) -> (Vec<Io>, i32) {
    let (mut sources, mut status) = (Vec::new(), 0);
    for file in files {
        let path = absolute(&shell.directory, file);
        if file.as_str() == "-" || path == "/dev/stdin" {
            sources.push(io.clone());
            continue;
        }
        match shell.system.files.open(&path) {
            Ok(bytes) => {
                let pipe = Rc::new(RefCell::new(Pipe::default()));
                pipe.borrow_mut().hold(&bytes);
                sources.push(Io { stdin: Source::Pipe(pipe), ..io.clone() });
            }
            Err(why) if shell.system.files.is_directory(&path) => {
                status = wrong(shell, io, &format!("{name}: read error: {why}")).await;
            }
            Err(why) => status = wrong(shell, io, &format!("{name}: can't open '{file}': {why}")).await,
        }
    }
    if files.is_empty() {
        sources.push(io.clone());
    }
    (sources, status)
}

/// Splits options from the other words; `-n 5` and `-5` give a number.
fn options(words: &[String]) -> (String, Option<String>, Vec<&String>) {
    let (mut flags, mut count, mut rest) = (String::new(), None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            Some("n") | Some("c") if rest.is_empty() => {
                flags.push_str(&word[1..]);
                count =
                    words.clone().next().filter(|next| next.trim_start_matches('+').parse::<usize>().is_ok()).cloned();
                if count.is_some() {
                    words.next();
                }
            }
            Some(letters) => {
                let digits = letters.trim_start_matches('n');
                match digits.trim_start_matches('+').parse::<usize>() {
                    Ok(_) => count = Some(digits.into()),
                    Err(_) => flags.push_str(letters),
                }
            }
            None => rest.push(word),
        }
    }
    (flags, count, rest)
}

async fn lines(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    let (flags, count, mut names) = options(words);
    let mut pattern = None;
    if name == "grep" {
        if names.is_empty() {
            return wrong(shell, io, "grep: no pattern").await + 1;
        }
        let text = names.remove(0);
        let text = if flags.contains('F') { regex_lite::escape(text) } else { text.clone() };
        match RegexBuilder::new(&text).case_insensitive(flags.contains('i')).build() {
            Ok(regex) => pattern = Some(regex),
            Err(_) => return wrong(shell, io, &format!("grep: bad regex '{text}'")).await + 1,
        }
    }
    let copies: Vec<String> = match name {
        "tee" => std::mem::take(&mut names).into_iter().map(|file| absolute(&shell.directory, file)).collect(),
        _ => Vec::new(),
    };
    for path in copies.iter().filter(|_| !flags.contains('a')) {
        if let Err(why) = shell.system.files.write(path, b"", false) {
            return wrong(shell, io, &format!("tee: {path}: {why}")).await;
        }
    }
    let most = count.and_then(|count| count.parse::<usize>().ok()).unwrap_or(10);
    let (sources, status) = sources(shell, name, &names, io).await;
    let (mut seen, mut found, mut bytes, mut words) = (0, 0, 0, 0);
    let mut kept: Vec<String> = Vec::new();
    for source in sources {
        let mut number = 0;
        while !(name == "head" && number >= most) {
            let Some(line) = shell.line(&source).await else { break };
            if shell.system.interrupted() {
                return 130;
            }
            let text = String::from_utf8_lossy(&line);
            (number, seen, bytes) = (number + 1, seen + 1, bytes + line.len());
            words += text.split_whitespace().count();
            let fits =
                pattern.as_ref().is_none_or(|regex| regex.is_match(text.trim_end_matches('\n')) != flags.contains('v'));
            found += usize::from(fits);
            let quiet = name == "wc" || (name == "grep" && flags.contains(['q', 'c']));
            if name == "sort" {
                kept.push(text.trim_end_matches('\n').to_string());
            } else if fits && !quiet {
                for path in &copies {
                    _ = shell.system.files.write(path, &line, true);
                }
                if say(shell, io, &text).await == 141 {
                    return 141;
                }
            }
        }
    }
    match name {
        "wc" => {
            let parts = [('l', seen), ('w', words), ('c', bytes)];
            let asked: Vec<String> =
                parts.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, count)| count.to_string()).collect();
            let text = match asked.is_empty() {
                true => format!("{seen:>7} {words:>7} {bytes:>7}"),
                false => asked.join(" "),
            };
            say(shell, io, &(text + "\n")).await.max(status)
        }
        "sort" => {
            kept.sort();
            if flags.contains('u') {
                kept.dedup();
            }
            let text: String = kept.iter().map(|line| format!("{line}\n")).collect();
            say(shell, io, &text).await.max(status)
        }
        "grep" => {
            if flags.contains('c') {
                _ = say(shell, io, &format!("{found}\n")).await;
            }
            status.max(i32::from(found == 0))
        }
        _ => status,
    }
}

/// `tail`, also of a file that grows (`-f`, `-F`).
async fn tail(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let (flags, count, names) = options(words);
    let follows = flags.contains(['f', 'F']);
    if follows && names.iter().any(|name| name.as_str() == "/dev/null") {
        shell.system.sleep(FOREVER).await;
        return 130;
    }
    let count = count.unwrap_or_else(|| "10".into());
    let (sources, status) = sources(shell, "tail", if follows && flags.contains('F') { &[] } else { &names }, io).await;
    let sources = if follows && flags.contains('F') && !names.is_empty() { Vec::new() } else { sources };
    let cut = |lines: Vec<String>| match count.strip_prefix('+').map(|from| from.parse::<usize>()) {
        Some(from) => lines.into_iter().skip(from.unwrap_or(1).saturating_sub(1)).collect::<String>(),
        None => {
            let most = count.parse().unwrap_or(10);
            lines.iter().skip(lines.len().saturating_sub(most)).cloned().collect()
        }
    };
    if !follows {
        for source in sources {
            let mut lines = Vec::new();
            while let Some(line) = shell.line(&source).await {
                lines.push(String::from_utf8_lossy(&line).into_owned());
            }
            if say(shell, io, &cut(lines)).await == 141 {
                return 141;
            }
        }
        return status;
    }
    let Some(path) = names.first().map(|name| absolute(&shell.directory, name)) else { return status };
    let whole = String::from_utf8_lossy(&shell.system.files.read(&path).unwrap_or_default()).into_owned();
    let mut shown = whole.len();
    _ = say(shell, io, &cut(whole.split_inclusive('\n').map(str::to_string).collect())).await;
    loop {
        shell.system.sleep(1_000_000_000).await;
        if shell.system.interrupted() {
            return 130;
        }
        let bytes = shell.system.files.read(&path).unwrap_or_default();
        // A file that is shorter than before was begun anew.
        shown = if bytes.len() < shown { 0 } else { shown };
        let more = String::from_utf8_lossy(bytes.get(shown..).unwrap_or_default()).into_owned();
        if say(shell, io, &more).await == 141 {
            return 141;
        }
        shown = bytes.len();
    }
}
