//! From words as they are written to the words that a command gets.
//!
//! Source: POSIX.1-2017, Shell Command Language, 2.6: parameters, commands, arithmetic, fields, path names.

use super::files::absolute;
use super::parse::is_name;
use super::shell::{Io, Shell, Sink};
use super::syntax::{Part, Word};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;

/// The longest that all words of a command may be, in bytes (`MAX_ARG_STRLEN` of Linux).
pub const LONGEST: usize = 128 << 10;

/// A word in the making; what was quoted has a backslash before it in the pattern.
#[derive(Default)]
struct Field {
    text: String,
    pattern: String,
    wild: bool,
}

impl Field {
    fn push(&mut self, text: &str, quoted: bool) {
        self.text.push_str(text);
        for c in text.chars() {
            let special = matches!(c, '*' | '?');
            self.wild |= special && !quoted;
            if (special && quoted) || c == '\\' {
                self.pattern.push('\\');
            }
            self.pattern.push(c);
        }
    }
}

type Expanding<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

impl Shell {
    /// The words that these become.
    pub(super) async fn words(&mut self, words: &[Word], io: &Io) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for word in words {
            for field in self.fields(word, io, true).await? {
                match field.wild {
                    true => all.extend(self.matches(&field)),
                    false => all.push(field.text),
                }
            }
            if all.iter().map(String::len).sum::<usize>() > LONGEST {
                return Err("Argument list too long".into());
            }
        }
        Ok(all)
    }

    /// One text, as in an assignment.
    pub(super) async fn text(&mut self, word: &Word, io: &Io) -> Result<String, String> {
        let fields = self.fields(word, io, false).await?;
        Ok(fields.into_iter().map(|field| field.text).collect::<Vec<_>>().join(" "))
    }

    fn fields<'a>(&'a mut self, word: &'a Word, io: &'a Io, split: bool) -> Expanding<'a, Vec<Field>> {
        Box::pin(async move {
            let mut fields: Vec<Field> = Vec::new();
            // Whether what comes next goes on with the last field.
            let mut open = false;
            for part in word {
                let (text, quoted) = match part {
                    Part::Text { text, quoted } => {
                        // A leading `~` is the home directory.
                        let home = !quoted && text == "~" && fields.is_empty();
                        (if home { self.get("HOME") } else { text.clone() }, true)
                    }
                    Part::Variable { name, quoted: true, operator: None } if name == "@" => {
                        for (index, argument) in self.arguments.clone().iter().skip(1).enumerate() {
                            if index > 0 || !open {
                                fields.push(Field::default());
                            }
                            open = true;
                            fields.iter_mut().last().into_iter().for_each(|field| field.push(argument, true));
                        }
                        continue;
                    }
                    Part::Variable { name, operator, quoted } => {
                        (self.variable(name, operator.as_ref(), io).await?, *quoted)
                    }
                    Part::Command { node, quoted } => {
                        let kept = Rc::new(RefCell::new(Vec::new()));
                        let inner = Io { stdout: Sink::Kept(kept.clone()), ..io.clone() };
                        self.status = self.fork().lives(node, &inner).await;
                        let text = String::from_utf8_lossy(&kept.borrow()).trim_end_matches('\n').to_string();
                        (text, *quoted)
                    }
                    Part::Arithmetic { text } => {
                        let text = self.text(text, io).await?;
                        (self.arithmetic(&text)?.to_string(), true)
                    }
                };
                if quoted || !split {
                    if !open {
                        fields.push(Field::default());
                    }
                    open = true;
                    let literal = !matches!(part, Part::Text { quoted: false, .. });
                    fields.iter_mut().last().into_iter().for_each(|field| field.push(&text, literal));
                } else {
                    let goes_on = open;
                    open &= !text.starts_with(char::is_whitespace);
                    for piece in text.split_whitespace() {
                        if !open {
                            fields.push(Field::default());
                        }
                        fields.iter_mut().last().into_iter().for_each(|field| field.push(piece, false));
                        open = false;
                    }
                    // What is empty neither ends a field nor begins one.
                    open = if text.is_empty() {
                        goes_on
                    } else {
                        !text.ends_with(char::is_whitespace) && !fields.is_empty()
                    };
                }
                if fields.iter().map(|field| field.text.len()).sum::<usize>() > LONGEST {
                    return Err("Argument list too long".into());
                }
            }
            Ok(fields)
        })
    }

    async fn variable(&mut self, name: &str, operator: Option<&(String, Word)>, io: &Io) -> Result<String, String> {
        let value = self.lookup(name);
        let Some((operator, word)) = operator else {
            return Ok(value.unwrap_or_default());
        };
        let there = value.filter(|value| !(operator.starts_with(':') && value.is_empty()));
        match (operator.trim_start_matches(':'), there) {
            ("+", Some(_)) => self.text(word, io).await,
            ("+", None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            ("=", None) => {
                let value = self.text(word, io).await?;
                self.set(name, &value);
                Ok(value)
            }
            ("?", None) => {
                let message = self.text(word, io).await?;
                let message = if message.is_empty() { "parameter not set".into() } else { message };
                Err(format!("{name}: {message}"))
            }
            (_, None) => self.text(word, io).await,
        }
    }

    fn lookup(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some(self.pid.to_string()),
            "!" => Some(self.job.map(|job| job.to_string()).unwrap_or_default()),
            "#" => Some(self.arguments.len().saturating_sub(1).to_string()),
            "@" | "*" => Some(self.arguments.get(1..).unwrap_or_default().join(" ")),
            _ => match name.parse::<usize>() {
                Ok(index) => self.arguments.get(index).cloned(),
                Err(_) => self.variables.get(name).map(|(value, _)| value.clone()),
            },
        }
    }

    /// The files that a pattern names; the pattern itself if there are none.
    fn matches(&self, field: &Field) -> Vec<String> {
        let (directory, pattern) = field.pattern.rsplit_once('/').unwrap_or(("", &field.pattern));
        if directory.contains(['*', '?']) {
            return vec![field.text.clone()];
        }
        let prefix = if field.pattern.contains('/') { format!("{directory}/") } else { String::new() };
        let place = absolute(&self.directory, if prefix.is_empty() { "." } else { &prefix });
        let pattern: Vec<char> = pattern.chars().collect();
        let names = self.system.files.list(&place).into_iter();
        let fits = |name: &String| {
            let hidden = name.starts_with('.') && !pattern.starts_with(&['.']);
            !hidden && fits(&pattern, &name.chars().collect::<Vec<_>>())
        };
        let found: Vec<String> = names.filter(fits).map(|name| format!("{prefix}{name}")).collect();
        if found.is_empty() { vec![field.text.clone()] } else { found }
    }

    /// The value of an expression of whole numbers.
    fn arithmetic(&mut self, text: &str) -> Result<i64, String> {
        let mut sum = Sum { text: text.chars().filter(|c| !c.is_whitespace()).collect(), at: 0, depth: 0, shell: self };
        let value = sum.level(0)?;
        match sum.at == sum.text.len() {
            true => Ok(value),
            false => Err("arithmetic syntax error".into()),
        }
    }
}

/// Whether a name fits a pattern of `*`, `?` and characters, those after a backslash as they stand.
fn fits(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|skip| fits(rest, &name[skip..])),
        (['\\', c, pattern @ ..], [n, name @ ..]) => c == n && fits(pattern, name),
        (['?', pattern @ ..], [_, name @ ..]) => fits(pattern, name),
        ([c, pattern @ ..], [n, name @ ..]) => c == n && fits(pattern, name),
        _ => false,
    }
}

/// An expression that is being read.
struct Sum<'a> {
    text: Vec<char>,
    at: usize,
    depth: usize,
    shell: &'a Shell,
}

/// Operators, from those that bind least.
const LEVELS: [&[&str]; 6] = [&["||"], &["&&"], &["==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

impl Sum<'_> {
    fn eat(&mut self, text: &str) -> bool {
        let there = text.chars().enumerate().all(|(index, c)| self.text.get(self.at + index) == Some(&c));
        self.at += if there { text.chars().count() } else { 0 };
        there
    }

    fn level(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.atom() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.eat(operator)) {
            let right = self.level(level + 1)?;
            left = match *operator {
                "||" => i64::from(left != 0 || right != 0),
                "&&" => i64::from(left != 0 && right != 0),
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                "*" => left.wrapping_mul(right),
                _ if right == 0 => return Err("divide by zero".into()),
                "/" => left.wrapping_div(right),
                _ => left.wrapping_rem(right),
            };
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > 200 {
            return Err("arithmetic syntax error".into());
        }
        if self.eat("(") {
            let value = self.level(0)?;
            return if self.eat(")") { Ok(value) } else { Err("arithmetic syntax error".into()) };
        }
        if self.eat("-") {
            return Ok(self.atom()?.wrapping_neg());
        }
        if self.eat("!") {
            return Ok(i64::from(self.atom()? == 0));
        }
        let word = self.text.iter().skip(self.at).take_while(|c| c.is_ascii_alphanumeric() || **c == '_');
        let word: String = word.collect();
        self.at += word.len();
        if is_name(&word) {
            return Ok(self.shell.get(&word).trim().parse().unwrap_or(0));
        }
        word.parse().map_err(|_| "arithmetic syntax error".to_string())
    }
}
