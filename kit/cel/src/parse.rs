//! Tokens to a tree.
//!
//! Sources: the grammar of the CEL specification; `parser/parser.go` of cel-go.

use crate::lex::{Placed, Token, tokens};
use crate::macros::{global_call, member_call};
use crate::tree::{Expr, Node};

/// How deep an expression may be (`maxRecursionDepth` of cel-go's parser).
const DEEPEST: usize = 250;

/// What is wrong, and where.
pub type Problem = (usize, String);

/// Names that stand for nothing (`reservedIds`).
const RESERVED: [&str; 19] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "null",
    "package",
    "namespace",
    "return",
    "true",
    "void",
];
const OPERANDS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, \
                        BYTES, IDENTIFIER}";

/// Reads an expression.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn parse(text: &str) -> Result<Expr, Problem> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.expr()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("<EOF>")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
}

/// The operators between two operands, by how closely they bind.
fn binary(sign: &str) -> Option<(u8, &'static str)> {
    Some(match sign {
        "==" => (1, "_==_"),
        "!=" => (1, "_!=_"),
        "<" => (1, "_<_"),
        "<=" => (1, "_<=_"),
        ">" => (1, "_>_"),
        ">=" => (1, "_>=_"),
        "in" => (1, "@in"),
        "+" => (2, "_+_"),
        "-" => (2, "_-_"),
        "*" => (3, "_*_"),
        "/" => (3, "_/_"),
        "%" => (3, "_%_"),
        _ => return None,
    })
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].0.clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(there) if *there == sign);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Problem> {
        if self.accept(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let (token, from, to) = &self.tokens[self.next];
        let shown = token.shown(&self.text[*from..*to]);
        (*from, format!("Syntax error: mismatched input '{shown}' expecting {expected}"))
    }

    fn expr(&mut self) -> Result<Expr, Problem> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((self.at(), format!("expression recursion limit exceeded: {DEEPEST}")));
        }
        let when = self.logic(false)?;
        let at = self.at();
        let expr = if self.accept("?") {
            let yes = self.logic(false)?;
            self.expect(":")?;
            let no = self.expr()?;
            Expr { at, node: Node::If(Box::new([when, yes, no])) }
        } else {
            when
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn logic(&mut self, and: bool) -> Result<Expr, Problem> {
        let next = |parser: &mut Self| if and { parser.binary(1) } else { parser.logic(true) };
        let first = next(self)?;
        let at = self.at();
        let mut parts = vec![first];
        while self.accept(if and { "&&" } else { "||" }) {
            parts.push(next(self)?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(Expr { at, node: Node::Logic { and, parts } }),
        }
    }

    fn binary(&mut self, least: u8) -> Result<Expr, Problem> {
        let mut left = self.unary()?;
        let mut chain = 0;
        loop {
            let sign = match self.peek() {
                Token::Sign(sign) => *sign,
                Token::Ident(name) if name == "in" => "in",
                _ => return Ok(left),
            };
            let Some((strength, name)) = binary(sign).filter(|(strength, _)| *strength >= least) else {
                return Ok(left);
            };
            let at = self.at();
            self.take();
            chain += 1;
            if self.depth + chain > DEEPEST {
                return Err((at, format!("expression recursion limit exceeded: {DEEPEST}")));
            }
            let right = self.binary(strength + 1)?;
            left = call(at, name, false, vec![left, right]);
        }
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        let at = self.at();
        let name = if self.accept("!") {
            "!_"
        } else if self.accept("-") {
            "-_"
        } else {
            return self.member();
        };
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((at, format!("expression recursion limit exceeded: {DEEPEST}")));
        }
        let of = self.unary()?;
        self.depth -= 1;
        match (name, of.node) {
            ("-_", Node::Int(value)) => Ok(Expr { at, node: Node::Int(value.wrapping_neg()) }),
            ("-_", Node::Double(value)) => Ok(Expr { at, node: Node::Double(-value) }),
            (name, node) => Ok(call(at, name, false, vec![Expr { at: of.at, node }])),
        }
    }

    fn member(&mut self) -> Result<Expr, Problem> {
        let mut of = self.primary()?;
        let mut chain = 0;
        loop {
            let at = self.at();
            chain += 1;
            if self.depth + chain > DEEPEST {
                return Err((at, format!("expression recursion limit exceeded: {DEEPEST}")));
            }
            if self.accept(".?") {
                let field = self.name()?;
                of = Expr { at, node: Node::Select { of: Box::new(of), field, test: false, optional: true } };
            } else if self.accept(".") {
                let name = self.name()?;
                // A call stands where its arguments begin (`VisitMemberCall`, `VisitGlobalCall`).
                let open = self.at();
                of = if self.accept("(") {
                    let args = self.args(")")?;
                    member_call(open, of, name, args)?
                } else {
                    Expr { at, node: Node::Select { of: Box::new(of), field: name, test: false, optional: false } }
                };
            } else if self.accept("[") || matches!(self.peek(), Token::Sign("[?")) {
                let optional = self.accept("[?");
                let index = Box::new(self.expr()?);
                self.expect("]")?;
                of = Expr { at, node: Node::Index { of: Box::new(of), index, optional } };
            } else {
                return Ok(of);
            }
        }
    }

    fn name(&mut self) -> Result<String, Problem> {
        match self.peek() {
            Token::Ident(name) if !["in", "true", "false", "null"].contains(&name.as_str()) => {
                let name = name.clone();
                self.take();
                Ok(name)
            }
            _ => Err(self.unexpected("IDENTIFIER")),
        }
    }

    fn args(&mut self, end: &'static str) -> Result<Vec<Expr>, Problem> {
        let mut args = Vec::new();
        while !self.accept(end) {
            args.push(self.expr()?);
            if !self.accept(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(args)
    }

    fn primary(&mut self) -> Result<Expr, Problem> {
        let at = self.at();
        // A leading dot means the outermost name, and there is but one.
        if self.accept(".") && !matches!(self.peek(), Token::Ident(_)) {
            return Err(self.unexpected("IDENTIFIER"));
        }
        if matches!(self.peek(), Token::End) {
            return Err(self.unexpected(OPERANDS));
        }
        let token = self.take();
        let next = self.at();
        let node = match token {
            Token::Int(value) => match value {
                // Only what a minus comes before may be so large.
                i64::MIN if !self.after_minus() => return Err((at, "invalid int literal".into())),
                value => Node::Int(value),
            },
            Token::Uint(value) => Node::Uint(value),
            Token::Double(value) => Node::Double(value),
            Token::Text(text) => Node::Text(text),
            Token::Bytes(bytes) => Node::Bytes(bytes),
            Token::Ident(name) => match name.as_str() {
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "null" => Node::Null,
                _ if RESERVED.contains(&name.as_str()) => {
                    return Err((at, format!("Syntax error: reserved identifier: {name}")));
                }
                _ if self.accept("(") => {
                    let args = self.args(")")?;
                    return global_call(next, name, args);
                }
                _ => Node::Ident(name),
            },
            Token::Sign("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => Node::List(self.items()?),
            Token::Sign("[?") => {
                // The question mark belongs to the first item.
                let first = self.expr()?;
                let mut items = vec![(first, true)];
                match self.accept(",") {
                    true => items.extend(self.items()?),
                    false => self.expect("]")?,
                }
                Node::List(items)
            }
            Token::Sign("{") => Node::Map(self.entries()?),
            _ => {
                self.next -= 1;
                return Err(self.unexpected(OPERANDS));
            }
        };
        Ok(Expr { at, node })
    }

    fn after_minus(&self) -> bool {
        self.next >= 2 && matches!(self.tokens[self.next - 2].0, Token::Sign("-"))
    }

    fn items(&mut self) -> Result<Vec<(Expr, bool)>, Problem> {
        let mut items = Vec::new();
        while !self.accept("]") {
            let optional = self.accept("?");
            items.push((self.expr()?, optional));
            if !self.accept(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Expr, Expr, bool)>, Problem> {
        let mut entries = Vec::new();
        while !self.accept("}") {
            let optional = self.accept("?");
            let key = self.expr()?;
            self.expect(":")?;
            entries.push((key, self.expr()?, optional));
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

/// A call of a function or an operator.
pub fn call(at: usize, name: &str, member: bool, args: Vec<Expr>) -> Expr {
    Expr { at, node: Node::Call { name: name.into(), member, args } }
}
