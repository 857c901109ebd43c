//! `test` and `[`. Source: POSIX.1-2017, `test`.

use super::super::files::absolute;
use super::super::shell::{Io, Shell};
use super::super::tree::{Content, READ, WRITE};

/// 0 if it holds, 1 if it doesn't, 2 if it makes no sense.
pub async fn run(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if name == "[" && words.pop() != Some("]") {
        shell.complain(io, "[: missing ]").await;
        return 2;
    }
    match any(shell, &words) {
        Ok(holds) => i32::from(!holds),
        Err(word) => {
            shell.complain(io, &format!("{word}: unknown operand")).await;
            2
        }
    }
}

fn any(shell: &Shell, words: &[&str]) -> Result<bool, String> {
    let mut holds = false;
    for part in words.split(|word| *word == "-o") {
        let mut all = true;
        for part in part.split(|word| *word == "-a") {
            all &= one(shell, part)?;
        }
        holds |= all;
    }
    Ok(holds)
}

fn one(shell: &Shell, words: &[&str]) -> Result<bool, String> {
    let path = |word: &str| absolute(&shell.directory, word);
    let files = &shell.system.files;
    let number = |word: &str| word.trim().parse::<i64>().map_err(|_| word.to_string());
    Ok(match *words {
        [] => false,
        ["!", ref rest @ ..] => !one(shell, rest)?,
        [word] => !word.is_empty(),
        ["-n", word] => !word.is_empty(),
        ["-z", word] => word.is_empty(),
        ["-f", word] => files.look(&path(word), true).is_ok_and(|entry| matches!(entry.content, Content::File(_))),
        ["-d", word] => files.is_directory(&path(word)),
        ["-e", word] => files.look(&path(word), true).is_ok(),
        ["-r", word] => files.may(READ, &path(word)),
        ["-w", word] => files.may(WRITE, &path(word)),
        ["-L" | "-h", word] => {
            files.look(&path(word), false).is_ok_and(|entry| matches!(entry.content, Content::Link(_)))
        }
        ["-s", word] => files.read(&path(word)).is_some_and(|bytes| !bytes.is_empty()),
        ["-t", _] => shell.system.tty,
        ["-x", _] => false,
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "-eq", right] => number(left)? == number(right)?,
        [left, "-ne", right] => number(left)? != number(right)?,
        [left, "-lt", right] => number(left)? < number(right)?,
        [left, "-le", right] => number(left)? <= number(right)?,
        [left, "-gt", right] => number(left)? > number(right)?,
        [left, "-ge", right] => number(left)? >= number(right)?,
        [_, word, ..] => return Err(word.into()),
    })
}
