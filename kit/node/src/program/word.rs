//! Words of a script: quotes, and what stands for something else.
//!
//! Source: POSIX.1-2017, Shell Command Language, 2.2, 2.5 and 2.6.

use super::parse::{Parsed, Parser, Problem};
use super::syntax::{Part, Word};

impl Parser {
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let mut parts = Word::new();
        loop {
            match self.peek() {
                None | Some(' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')') => {
                    return Ok((!parts.is_empty()).then_some(parts));
                }
                Some('\'') => {
                    self.at += 1;
                    let mut text = String::new();
                    loop {
                        match self.next().ok_or(Problem::Incomplete)? {
                            '\'' => break,
                            c => text.push(c),
                        }
                    }
                    parts.push(Part::Text { text, quoted: true });
                }
                Some('"') => {
                    self.at += 1;
                    parts.push(Part::Text { text: String::new(), quoted: true });
                    while self.peek() != Some('"') {
                        let part = self.part(true)?;
                        parts.push(part);
                    }
                    self.at += 1;
                }
                Some(_) => {
                    let part = self.part(false)?;
                    parts.push(part);
                }
            }
        }
    }

    /// One piece, within double quotes or without any.
    fn part(&mut self, quoted: bool) -> Parsed<Part> {
        match self.next().ok_or(Problem::Incomplete)? {
            '\\' => {
                let next = self.next().ok_or(Problem::Incomplete)?;
                let text = match next {
                    '\n' => String::new(),
                    c if quoted && !"$`\"\\".contains(c) => format!("\\{c}"),
                    c => c.into(),
                };
                Ok(Part::Text { text, quoted: true })
            }
            '`' => {
                let mut inner = String::new();
                loop {
                    match self.next().ok_or(Problem::Incomplete)? {
                        '`' => break,
                        c => inner.push(c),
                    }
                }
                let mut parser = Parser { text: inner.chars().collect(), at: 0, depth: self.depth + 1 };
                Ok(Part::Command { node: parser.list()?, quoted })
            }
            '$' => self.dollar(quoted),
            c => Ok(Part::Text { text: c.into(), quoted }),
        }
    }

    fn dollar(&mut self, quoted: bool) -> Parsed<Part> {
        if self.eat("((") {
            let (mut text, mut open) = (Word::new(), 0);
            loop {
                match self.peek().ok_or(Problem::Incomplete)? {
                    ')' if open == 0 => {
                        self.at += 1;
                        self.close(')')?;
                        return Ok(Part::Arithmetic { text });
                    }
                    c => {
                        open += i32::from(c == '(') - i32::from(c == ')');
                        let part = self.part(true)?;
                        text.push(part);
                    }
                }
            }
        }
        if self.eat("(") {
            let node = self.list()?;
            self.close(')')?;
            return Ok(Part::Command { node, quoted });
        }
        if self.eat("{") {
            let name = self.name();
            if self.eat("}") {
                return Ok(Part::Variable { name, operator: None, quoted });
            }
            let colon = self.eat(":");
            let operator = match self.next().ok_or(Problem::Incomplete)? {
                c @ ('-' | '=' | '+' | '?') => format!("{}{c}", if colon { ":" } else { "" }),
                c => return Err(Problem::Unexpected(format!("${{{name}{c}"))),
            };
            let mut word = Word::new();
            while self.peek() != Some('}') {
                let part = self.part(true)?;
                word.push(part);
            }
            self.at += 1;
            return Ok(Part::Variable { name, operator: Some((operator, word)), quoted });
        }
        let name = self.name();
        Ok(match name.is_empty() {
            true => Part::Text { text: "$".into(), quoted },
            false => Part::Variable { name, operator: None, quoted },
        })
    }

    fn name(&mut self) -> String {
        let from = self.at;
        match self.peek() {
            Some('?' | '$' | '!' | '#' | '@' | '*' | '0'..='9') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.text[from..self.at].iter().collect()
    }
}
