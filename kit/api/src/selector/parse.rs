//! The text form of label selectors: `app in (web, api),!canary,generation>3`.
//!
//! A hand-written parser as upstream's (`labels.Parse`), because its error messages follow its steps.

use super::label::{Operator, Requirement, Selector, key_error};
use std::collections::BTreeSet;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Error,
    End,
    ClosedPar,
    Comma,
    DoesNotExist,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    OpenPar,
}

const LITERALS: [(&str, Token); 11] = [
    (")", Token::ClosedPar),
    (",", Token::Comma),
    ("!", Token::DoesNotExist),
    ("==", Token::DoubleEquals),
    ("=", Token::Equals),
    (">", Token::GreaterThan),
    ("in", Token::In),
    ("<", Token::LessThan),
    ("!=", Token::NotEquals),
    ("notin", Token::NotIn),
    ("(", Token::OpenPar),
];

fn literal(text: &str) -> Option<Token> {
    LITERALS.iter().find(|(literal, _)| *literal == text).map(|(_, token)| *token)
}

fn is_special(byte: u8) -> bool {
    b"=!(),><".contains(&byte)
}

fn is_space(byte: u8) -> bool {
    b" \t\r\n".contains(&byte)
}

/// All tokens, `End` last. A NUL ends the text, as upstream's reader takes it for the end.
fn scan(text: &str) -> Vec<(Token, &str)> {
    let text = text.split('\0').next().unwrap_or_default();
    let bytes = text.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        if is_space(bytes[at]) {
            at += 1;
        } else if is_special(bytes[at]) {
            // The longest operator that begins here.
            let longest = (1..=2).rev().find(|n| text.get(at..at + n).is_some_and(|part| literal(part).is_some()));
            at += longest.unwrap_or(1);
            let part = &text[start..at];
            tokens.push((literal(part).unwrap_or(Token::Error), part));
        } else {
            at += bytes[at..].iter().take_while(|&&b| !is_special(b) && !is_space(b)).count();
            let part = &text[start..at];
            tokens.push((literal(part).unwrap_or(Token::Identifier), part));
        }
    }
    tokens.push((Token::End, ""));
    tokens
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The next token; where names and values stand, `in` and `notin` are words as any other.
    fn peek(&self) -> (Token, &'a str) {
        match self.tokens.get(self.at).copied().unwrap_or((Token::End, "")) {
            (Token::In | Token::NotIn, text) => (Token::Identifier, text),
            other => other,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<Selector, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::DoesNotExist, _) => {
                    let requirement = self.requirement();
                    requirements.push(requirement.map_err(|e| format!("unable to parse requirement: {e}"))?);
                    match self.next() {
                        (Token::End, _) => break,
                        (Token::Comma, _) => match self.peek() {
                            (Token::Identifier | Token::DoesNotExist, _) => {}
                            (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
                        },
                        (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
                    }
                }
                (Token::End, _) => break,
                (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
            }
        }
        Ok(Selector::sorted(requirements))
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::DoesNotExist;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(error) = key_error("<nil>", key) {
            return Err(error);
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => BTreeSet::from([self.value()?]),
        };
        Requirement::new(key, operator, values.into_iter().map(String::from).collect())
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let (token, found) = self.tokens.get(self.at).copied().unwrap_or((Token::End, ""));
        self.at += 1;
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            _ => return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.next() {
            (Token::Identifier, value) => Ok(value),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    /// The values in parentheses; `(a,)` and `(,a)` hold the empty value too.
    fn list(&mut self) -> Result<BTreeSet<&'a str>, String> {
        match self.next() {
            (Token::OpenPar, _) => {}
            (_, found) => return Err(format!("found '{found}' expected: '('")),
        }
        match self.peek() {
            (Token::ClosedPar, _) => {
                self.next();
                return Ok(BTreeSet::from([""]));
            }
            (Token::Identifier | Token::Comma, _) => {}
            (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                (Token::Identifier, value) => {
                    values.insert(value);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::ClosedPar, _) => break,
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert("");
                    }
                    match self.peek() {
                        (Token::ClosedPar, _) => {
                            values.insert("");
                            break;
                        }
                        (Token::Comma, _) => _ = values.insert(""),
                        _ => {}
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
        self.next();
        Ok(values)
    }
}

impl FromStr for Selector {
    type Err = String;

    /// `labels.Parse`: the query parameter `labelSelector=`, and `kubectl get --selector`.
    fn from_str(text: &str) -> Result<Self, String> {
        Parser { tokens: scan(text), at: 0 }.selector()
    }
}
