//! Queries as people type them: `level:error AND NOT path:"/health"`, also as `?q=` of an address.
//!
//! Source: <https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-query-string-query>. Without fuzziness, boosts
//! and regular expressions.

use super::failure::Failure;
use super::query::bound;
use crate::logs::{Bool, Query, Range};
use serde_json::{Map, Value};

/// So deep parentheses may lie in each other.
const DEEPEST: usize = 30;

/// The query of `query_string`.
///
/// # Errors
///
/// What is wrong in it.
pub fn query(options: &Map<String, Value>, now: i64) -> Result<Query, Failure> {
    let text = options.get("query").and_then(Value::as_str);
    let text = text.ok_or_else(|| Failure::parsing("[query_string] must be provided with a [query]"))?;
    let fields =
        options.get("fields").and_then(Value::as_array).and_then(|fields| fields.first()).and_then(Value::as_str);
    let field = options.get("default_field").and_then(Value::as_str).or(fields).filter(|field| *field != "*");
    let all = options
        .get("default_operator")
        .and_then(Value::as_str)
        .is_some_and(|operator| operator.eq_ignore_ascii_case("and"));
    read(text, field, all, now)
}

/// Reads what somebody has typed. `field` is asked where none is named, `all` if words beside each other all have to be there.
///
/// # Errors
///
/// What is wrong in it.
pub fn read(text: &str, field: Option<&str>, all: bool, now: i64) -> Result<Query, Failure> {
    let tokens = tokens(text).ok_or_else(|| failure(text))?;
    if tokens.is_empty() {
        return Ok(Query::Ids(Vec::new()));
    }
    let mut reader = Reader { tokens: &tokens, at: 0, all, now };
    let query = reader.clauses(field.map(str::to_string), 0).filter(|_| reader.at == tokens.len());
    query.ok_or_else(|| failure(text))
}

fn failure(text: &str) -> Failure {
    Failure::new(400, "query_shard_exception", format!("Failed to parse query [{text}]"))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    /// `name:`
    Field(String),
    Sign(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' | '[' | ']' | '{' | '}' | '!' => tokens.push(Token::Sign(c)),
            '+' | '-' if !matches!(tokens.last(), Some(Token::Field(_))) => tokens.push(Token::Sign(c)),
            '"' => {
                let mut quoted = String::new();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => quoted.push(chars.next()?),
                        c => quoted.push(c),
                    }
                }
                tokens.push(Token::Quoted(quoted));
            }
            first => {
                let (mut word, mut next) = (String::new(), Some(first));
                let mut is_field = false;
                while let Some(c) = next {
                    match c {
                        '\\' => word.push(chars.next()?),
                        // A time has colons, too, and no field is called after a number.
                        ':' if !word.starts_with(|c: char| c.is_ascii_digit()) => {
                            is_field = true;
                            break;
                        }
                        c => word.push(c),
                    }
                    next = chars.next_if(|c| !c.is_whitespace() && !"()[]{}\"".contains(*c));
                }
                tokens.push(if is_field { Token::Field(word) } else { Token::Word(word) });
            }
        }
    }
    Some(tokens)
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    all: bool,
    now: i64,
}

/// How a clause counts.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    May,
    Must,
    MustNot,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn takes(&mut self, token: &Token) -> bool {
        let there = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(there);
        there
    }

    fn says(&mut self, word: &str, sign: &str) -> bool {
        self.takes(&Token::Word(word.into())) || self.takes(&Token::Word(sign.into()))
    }

    /// Clauses beside each other. As in Lucene's classic parser an `AND` makes both of its neighbours required.
    fn clauses(&mut self, field: Option<String>, depth: usize) -> Option<Query> {
        if depth > DEEPEST {
            return None;
        }
        let mut clauses: Vec<(Role, Query)> = Vec::new();
        loop {
            let and = self.says("AND", "&&");
            let or = !and && self.says("OR", "||");
            if (and || or) && clauses.is_empty() {
                return None;
            }
            let mut role = if and || self.all && !or { Role::Must } else { Role::May };
            if self.says("NOT", "!") || self.takes(&Token::Sign('!')) || self.takes(&Token::Sign('-')) {
                role = Role::MustNot;
            } else if self.takes(&Token::Sign('+')) {
                role = Role::Must;
            }
            let query = self.clause(field.as_deref(), depth)?;
            if let (true, Some((before, _))) = (and, clauses.last_mut()) {
                *before = if *before == Role::May { Role::Must } else { *before };
            }
            if let (true, true, Some((before, _))) = (or, self.all, clauses.last_mut()) {
                *before = if *before == Role::Must { Role::May } else { *before };
            }
            clauses.push((role, query));
            if matches!(self.tokens.get(self.at), None | Some(Token::Sign(')'))) {
                break;
            }
        }
        let mut of = |role| {
            let (those, rest) = std::mem::take(&mut clauses).into_iter().partition::<Vec<_>, _>(|(it, _)| *it == role);
            clauses = rest;
            those.into_iter().map(|(_, query)| query).collect::<Vec<_>>()
        };
        let (must, must_not, should) = (of(Role::Must), of(Role::MustNot), of(Role::May));
        Some(Query::Bool(Bool { must, should, must_not, minimum_should_match: None }))
    }

    fn clause(&mut self, field: Option<&str>, depth: usize) -> Option<Query> {
        let name = || field.map(str::to_string);
        match self.next()? {
            Token::Field(name) if name == "_exists_" => match self.next()? {
                Token::Word(path) | Token::Quoted(path) => Some(Query::Exists(path)),
                _ => None,
            },
            Token::Field(name) => {
                let name = (name != "*").then_some(name);
                self.clause(name.as_deref(), depth + 1)
            }
            Token::Sign('(') => {
                let query = self.clauses(field.map(str::to_string), depth + 1)?;
                self.takes(&Token::Sign(')')).then_some(query)
            }
            Token::Sign(open @ ('[' | '{')) => {
                let from = self.bound(open == '{')?;
                if !self.takes(&Token::Word("TO".into())) {
                    return None;
                }
                let inclusive = self.tokens.get(self.at + 1) == Some(&Token::Sign(']'));
                let to = self.bound(inclusive)?;
                (self.takes(&Token::Sign(']')) || self.takes(&Token::Sign('}'))).then_some(())?;
                let (gt, gte) = if open == '{' { (from, None) } else { (None, from) };
                let (lte, lt) = if inclusive { (to, None) } else { (None, to) };
                Some(Query::Range(name()?, Box::new(Range { gt, gte, lt, lte })))
            }
            Token::Sign(_) => None,
            Token::Quoted(text) => Some(Query::Phrase { field: name(), text, open: false }),
            Token::Word(word) if word == "*" => Some(name().map_or(Query::All, Query::Exists)),
            Token::Word(word) if word.starts_with(['<', '>']) => {
                Some(Query::Range(name()?, Box::new(self.half(&word))))
            }
            Token::Word(word) if word.contains(['*', '?']) => Some(Query::Wildcard { field: name(), form: word }),
            Token::Word(text) => Some(Query::Match { field: name(), text, all: false }),
        }
    }

    /// `>=500`
    fn half(&self, text: &str) -> Range {
        let of = |value: &str, up| bound(&value.into(), self.now, up);
        match (text.strip_prefix(">="), text.strip_prefix("<="), text.strip_prefix('>')) {
            (Some(value), ..) => Range { gte: of(value, false), ..Range::default() },
            (_, Some(value), _) => Range { lte: of(value, true), ..Range::default() },
            (_, _, Some(value)) => Range { gt: of(value, true), ..Range::default() },
            _ => Range { lt: of(text.trim_start_matches('<'), false), ..Range::default() },
        }
    }

    /// A bound of `[a TO b]`; `*` is none.
    fn bound(&mut self, up: bool) -> Option<Option<Value>> {
        match self.next()? {
            Token::Word(text) if text == "*" => Some(None),
            Token::Word(text) | Token::Quoted(text) => Some(bound(&text.into(), self.now, up)),
            _ => None,
        }
    }
}
