//! Text to nodes (Go's `text/template/parse`).

use super::Error;
use super::node::{Command, Leave, Node, Operand, Pipeline};

/// How deep blocks and brackets may nest.
const DEEPEST: usize = 50;

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let mut parser = Parser { text, pos: 0, trim: false, depth: 0, ranges: 0 };
    match parser.nodes()? {
        (nodes, None) => Ok(nodes),
        (_, Some(Stop::End)) => parser.fail("unexpected {{end}}"),
        (_, Some(_)) => parser.fail("unexpected {{else}}"),
    }
}

/// What ends a list of nodes.
enum Stop {
    End,
    Else,
    ElseIf,
}

struct Parser<'a> {
    text: &'a str,
    pos: usize,
    /// The last action ended with `-}}`.
    trim: bool,
    depth: usize,
    /// Within how many ranges it is.
    ranges: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error { pos: self.pos, part: String::new(), message: message.into() })
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEEPEST { self.fail("nested too deeply") } else { Ok(()) }
    }

    fn blanks(&mut self) {
        self.pos += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn eat(&mut self, text: &str) -> bool {
        self.blanks();
        let there = self.rest().starts_with(text);
        self.pos += if there { text.len() } else { 0 };
        there
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.pos += length;
        &rest[..length]
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.blanks();
        let start = self.pos;
        if self.word() != word {
            self.pos = start;
        }
        self.pos != start
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Option<Stop>), Error> {
        self.deeper()?;
        let mut nodes = Vec::new();
        loop {
            let rest = self.rest();
            let end = rest.find("{{").unwrap_or(rest.len());
            let mut text = &rest[..end];
            if self.trim {
                text = text.trim_start();
            }
            self.pos += end;
            let last = self.rest().is_empty();
            if self.rest().strip_prefix("{{-").is_some_and(|rest| rest.starts_with(char::is_whitespace)) {
                text = text.trim_end();
                self.pos += 1;
            }
            if !text.is_empty() {
                nodes.push(Node::Text(text.into()));
            }
            if last {
                self.depth -= 1;
                return Ok((nodes, None));
            }
            self.pos += 2;
            self.trim = false;
            if let Some(stop) = self.action(&mut nodes)? {
                self.depth -= 1;
                return Ok((nodes, Some(stop)));
            }
        }
    }

    /// The end of an action.
    fn close(&mut self) -> Result<(), Error> {
        self.blanks();
        self.trim = self.text[..self.pos].ends_with(char::is_whitespace) && self.eat("-");
        if self.eat("}}") { Ok(()) } else { self.fail(self.unexpected()) }
    }

    fn unexpected(&self) -> String {
        match self.rest().chars().next() {
            None => "unclosed action".into(),
            Some(c) => format!("unexpected {:?} in operand", c.to_string()),
        }
    }

    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<Stop>, Error> {
        self.blanks();
        if self.rest().starts_with("/*") {
            let Some(end) = self.rest().find("*/") else { return self.fail("unclosed comment") };
            self.pos += end + 2;
            self.close()?;
        } else if self.eat_word("end") {
            self.close()?;
            return Ok(Some(Stop::End));
        } else if self.eat_word("else") {
            if self.eat_word("if") {
                return Ok(Some(Stop::ElseIf));
            }
            self.close()?;
            return Ok(Some(Stop::Else));
        } else if self.eat_word("if") {
            nodes.push(self.condition(false)?);
        } else if self.eat_word("with") {
            nodes.push(self.condition(true)?);
        } else if self.eat_word("range") {
            nodes.push(self.range()?);
        } else if self.ranges > 0 && self.eat_word("break") {
            self.close()?;
            nodes.push(Node::Leave(Leave::Break));
        } else if self.ranges > 0 && self.eat_word("continue") {
            self.close()?;
            nodes.push(Node::Leave(Leave::Continue));
        } else if let Some((names, declares)) = self.names() {
            let [name] = &names[..] else { return self.fail("too many declarations") };
            nodes.push(Node::Assign(name.clone(), declares, self.pipeline()?));
            self.close()?;
        } else {
            nodes.push(Node::Output(self.pipeline()?));
            self.close()?;
        }
        Ok(None)
    }

    /// `$a, $b :=`, if that is what comes.
    fn names(&mut self) -> Option<(Vec<String>, bool)> {
        let start = self.pos;
        let mut names = Vec::new();
        while self.eat("$") {
            names.push(self.word().to_string());
            if self.eat(":=") {
                return Some((names, true));
            }
            if self.eat("=") {
                return Some((names, false));
            }
            if !self.eat(",") {
                break;
            }
        }
        self.pos = start;
        None
    }

    fn condition(&mut self, with: bool) -> Result<Node, Error> {
        self.blanks();
        let names = self.names().map(|(names, _)| names).unwrap_or_default();
        let pipeline = self.pipeline()?;
        self.close()?;
        let (then, stop) = self.nodes()?;
        let otherwise = match stop {
            Some(Stop::ElseIf) => {
                self.deeper()?;
                let otherwise = vec![self.condition(false)?];
                self.depth -= 1;
                otherwise
            }
            stop => self.otherwise(stop)?,
        };
        Ok(Node::If { with, names, pipeline, then, otherwise })
    }

    fn otherwise(&mut self, stop: Option<Stop>) -> Result<Vec<Node>, Error> {
        match stop {
            Some(Stop::End) => Ok(Vec::new()),
            Some(Stop::Else) => match self.nodes()? {
                (nodes, Some(Stop::End)) => Ok(nodes),
                _ => self.fail("expected end; found {{else}}"),
            },
            Some(Stop::ElseIf) => self.fail("unexpected {{else if}}"),
            None => self.fail("unexpected EOF"),
        }
    }

    fn range(&mut self) -> Result<Node, Error> {
        self.blanks();
        let names = self.names().map(|(names, _)| names).unwrap_or_default();
        let pipeline = self.pipeline()?;
        self.close()?;
        self.ranges += 1;
        let (body, stop) = self.nodes()?;
        self.ranges -= 1;
        let otherwise = self.otherwise(stop)?;
        Ok(Node::Range { names, pipeline, body, otherwise })
    }

    fn pipeline(&mut self) -> Result<Pipeline, Error> {
        let mut commands = vec![self.command()?];
        while self.eat("|") {
            commands.push(self.command()?);
        }
        Ok(Pipeline(commands))
    }

    fn command(&mut self) -> Result<Command, Error> {
        self.blanks();
        let pos = self.pos;
        let (mut operands, mut end) = (Vec::new(), pos);
        loop {
            self.blanks();
            let blank = self.text[..self.pos].ends_with(char::is_whitespace);
            let rest = self.rest();
            if rest.is_empty() {
                return self.fail("unclosed action");
            }
            if rest.starts_with(['|', ')']) || rest.starts_with("}}") || rest.starts_with("-}}") && blank {
                break;
            }
            operands.push(self.operand()?);
            end = self.pos;
        }
        if operands.is_empty() { self.fail("missing value for command") } else { Ok(Command { pos, end, operands }) }
    }

    /// `.A.B` after an operand.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(is_word)) {
            self.pos += 1;
            fields.push(self.word().to_string());
        }
        fields
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        let (start, rest) = (self.pos, self.rest());
        match rest.chars().next() {
            Some('.') if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let fields = self.fields();
                self.pos += usize::from(fields.is_empty());
                // An error in a chain is told where its second part begins.
                let chain = fields.first().filter(|_| fields.len() > 1).map_or(0, |first| first.len() + 1);
                Ok(Operand::Dot(fields, start + chain))
            }
            Some('$') => {
                self.pos += 1;
                let name = self.word().to_string();
                let (end, fields) = (self.pos, self.fields());
                Ok(Operand::Variable(name, fields, end))
            }
            Some('(') => {
                self.pos += 1;
                self.deeper()?;
                let pipeline = self.pipeline()?;
                self.depth -= 1;
                if !self.eat(")") {
                    return self.fail(self.unexpected());
                }
                Ok(Operand::Paren(pipeline, self.fields(), start))
            }
            Some('"') => self.quoted(),
            Some('`') => match rest[1..].find('`') {
                Some(length) => {
                    self.pos += length + 2;
                    Ok(Operand::Text(rest[1..=length].into()))
                }
                None => self.fail("unterminated raw quoted string"),
            },
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            Some(c) if is_word(c) => Ok(match self.word() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                word if super::call::is_function(word) => Operand::Function(word.into()),
                word => return self.fail(format!("function {word:?} not defined")),
            }),
            _ => self.fail(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<Operand, Error> {
        let rest = self.rest();
        let length = rest.find(|c: char| !is_word(c) && !"+-.".contains(c)).unwrap_or(rest.len());
        let text = &rest[..length];
        let operand = match (text.parse(), crate::number::parse(text)) {
            (Ok(whole), _) => Operand::Int(whole),
            (_, Some(number)) => Operand::Float(number),
            _ => return self.fail(format!("bad number syntax: {text:?}")),
        };
        self.pos += length;
        Ok(operand)
    }

    fn quoted(&mut self) -> Result<Operand, Error> {
        let rest = self.rest();
        let mut text = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.pos += at + 1;
                    return Ok(Operand::Text(text));
                }
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('\\' | '"'))) => text.push(c),
                    _ => return self.fail("invalid syntax"),
                },
                other => text.push(other),
            }
        }
        self.fail("unterminated quoted string")
    }
}
