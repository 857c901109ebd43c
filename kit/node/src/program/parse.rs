//! What a script says: the grammar of a POSIX shell, as far as people type it into manifests.
//!
//! Lists, pipes, `if`, `while`, `until`, `for`, `{ }`, `( )`, redirections, quotes, `$name`, `${name:-word}`, `$(…)` and
//! `$((…))`. There are no functions, no `case` and no here-documents. Source: POSIX.1-2017, Shell Command Language, 2.10.

use super::syntax::{How, Node, Redirect};

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// More has to come.
    Incomplete,
    /// What stands where it shouldn't.
    Unexpected(String),
}

pub(super) type Parsed<T> = Result<T, Problem>;

/// How deep commands may stand in each other.
const DEEPEST: usize = 40;
/// Words that end a list.
const CLOSERS: [&str; 7] = ["then", "elif", "else", "fi", "do", "done", "}"];

/// Reads a script.
pub fn parse(text: &str) -> Parsed<Node> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0 };
    let node = parser.list()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected()),
    }
}

/// Whether a text can be a variable's name.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) struct Parser {
    pub(super) text: Vec<char>,
    pub(super) at: usize,
    pub(super) depth: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let there = text.chars().enumerate().all(|(index, c)| self.text.get(self.at + index) == Some(&c));
        if there {
            self.at += text.chars().count();
        }
        there
    }

    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.text.get(self.at + 1) == Some(&'\n') => self.at += 2,
                Some('#') if self.at == 0 || matches!(self.text[self.at - 1], ' ' | '\t' | '\n' | ';' | '(') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn lines(&mut self) {
        self.blanks();
        while self.peek() == Some('\n') {
            self.at += 1;
            self.blanks();
        }
    }

    /// The plain word that comes next, without taking it.
    fn upcoming(&self) -> String {
        self.text[self.at..].iter().take_while(|c| !" \t\r\n;&|<>()".contains(**c)).collect()
    }

    fn keyword(&mut self, word: &str) -> bool {
        let there = self.upcoming() == word;
        if there {
            self.at += word.chars().count();
        }
        there
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        self.lines();
        if self.keyword(word) {
            return Ok(());
        }
        Err(if self.peek().is_none() { Problem::Incomplete } else { self.unexpected() })
    }

    fn unexpected(&self) -> Problem {
        let word = self.upcoming();
        Problem::Unexpected(match word.is_empty() {
            true => self.peek().map_or("end of file".into(), |c| if c == '\n' { "newline".into() } else { c.into() }),
            false => word,
        })
    }

    pub(super) fn list(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Problem::Unexpected("so much nesting".into()));
        }
        let mut nodes = Vec::new();
        loop {
            self.lines();
            if self.peek().is_none_or(|c| c == ')') || CLOSERS.contains(&self.upcoming().as_str()) {
                break;
            }
            let node = self.and_or()?;
            self.blanks();
            let background = self.peek() == Some('&');
            nodes.push(if background { Node::Background(Box::new(node)) } else { node });
            match self.peek() {
                Some(';' | '&' | '\n') => self.at += 1,
                _ => break,
            }
        }
        self.depth -= 1;
        Ok(Node::List(nodes))
    }

    /// A list that may not be empty, as all within compound commands.
    fn body(&mut self) -> Parsed<Node> {
        match self.list()? {
            Node::List(nodes) if nodes.is_empty() => {
                Err(if self.peek().is_none() { Problem::Incomplete } else { self.unexpected() })
            }
            node => Ok(node),
        }
    }

    fn and_or(&mut self) -> Parsed<Node> {
        let mut node = self.pipeline()?;
        loop {
            self.blanks();
            let and = self.eat("&&");
            if !and && !self.eat("||") {
                return Ok(node);
            }
            self.lines();
            let right = Box::new(self.pipeline()?);
            let left = Box::new(node);
            node = if and { Node::And(left, right) } else { Node::Or(left, right) };
        }
    }

    fn pipeline(&mut self) -> Parsed<Node> {
        self.blanks();
        let not = self.keyword("!");
        let mut nodes = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.text.get(self.at + 1) == Some(&'|') {
                break;
            }
            self.at += 1;
            self.lines();
            nodes.push(self.command()?);
        }
        let node = if nodes.len() == 1 { nodes.remove(0) } else { Node::Pipeline(nodes) };
        Ok(if not { Node::Not(Box::new(node)) } else { node })
    }

    fn command(&mut self) -> Parsed<Node> {
        self.blanks();
        let node = if self.eat("(") {
            let body = self.body()?;
            self.close(')')?;
            Node::Subshell(Box::new(body))
        } else if self.keyword("{") {
            let body = self.body()?;
            self.expect("}")?;
            body
        } else if self.keyword("if") {
            self.branches()?
        } else if self.keyword("while") {
            self.looped(false)?
        } else if self.keyword("until") {
            self.looped(true)?
        } else if self.keyword("for") {
            self.each()?
        } else {
            return self.simple();
        };
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None if redirects.is_empty() => return Ok(node),
                None => return Ok(Node::Redirected(Box::new(node), redirects)),
            }
        }
    }

    pub(super) fn close(&mut self, bracket: char) -> Parsed<()> {
        self.lines();
        match self.peek() {
            Some(c) if c == bracket => {
                self.at += 1;
                Ok(())
            }
            None => Err(Problem::Incomplete),
            Some(_) => Err(self.unexpected()),
        }
    }

    fn branches(&mut self) -> Parsed<Node> {
        let mut arms = Vec::new();
        loop {
            let condition = self.body()?;
            self.expect("then")?;
            arms.push((condition, self.body()?));
            self.lines();
            if self.keyword("elif") {
                continue;
            }
            let otherwise = if self.keyword("else") { Some(Box::new(self.body()?)) } else { None };
            self.expect("fi")?;
            return Ok(Node::If { arms, otherwise });
        }
    }

    fn looped(&mut self, until: bool) -> Parsed<Node> {
        let condition = Box::new(self.body()?);
        Ok(Node::Loop { until, condition, body: Box::new(self.done()?) })
    }

    fn done(&mut self) -> Parsed<Node> {
        self.expect("do")?;
        let body = self.body()?;
        self.expect("done")?;
        Ok(body)
    }

    fn each(&mut self) -> Parsed<Node> {
        self.blanks();
        let name = self.upcoming();
        if !is_name(&name) {
            return Err(self.unexpected());
        }
        self.at += name.chars().count();
        self.expect("in")?;
        let mut words = Vec::new();
        loop {
            self.blanks();
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
        }
        self.blanks();
        _ = self.eat(";");
        Ok(Node::For { name, words, body: Box::new(self.done()?) })
    }

    fn simple(&mut self) -> Parsed<Node> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            let name = self.upcoming();
            let name = name.split_once('=').map(|(name, _)| name.to_string()).filter(|name| is_name(name));
            if let Some(name) = name.filter(|_| words.is_empty()) {
                self.at += name.chars().count() + 1;
                assigns.push((name, self.word()?.unwrap_or_default()));
                continue;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(if self.peek().is_none() { Problem::Incomplete } else { self.unexpected() });
        }
        Ok(Node::Simple { assigns, words, redirects })
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let digits: String = self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        let operator = self.text.get(self.at + digits.len()).copied();
        if !matches!(operator, Some('<' | '>')) {
            return Ok(None);
        }
        self.at += digits.len();
        let how = match () {
            () if self.eat("<<") => return Err(Problem::Unexpected("<<".into())),
            () if self.eat("<") => How::Read,
            () if self.eat(">>") => How::Append,
            () if self.eat(">&") => How::Copy,
            () => {
                self.at += 1;
                How::Write
            }
        };
        self.blanks();
        let fd = digits.parse().unwrap_or(u32::from(how != How::Read));
        let to = self.word()?;
        let to = to.ok_or_else(|| if self.peek().is_none() { Problem::Incomplete } else { self.unexpected() })?;
        Ok(Some(Redirect { fd, how, to }))
    }
}
