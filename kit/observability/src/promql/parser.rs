//! Tokens to an expression (`promql/parser/generated_parser.y`); types are checked as parts are joined (`parse.go`, checkAST).

use super::Error;
use super::ast::{Aggregation, BinaryOp, Cardinality, Expr, Kind, Matching};
use super::functions;
use super::lexer::{self, Token};
use crate::labels::{Labels, METRIC_NAME, MatchOp, is_label_name, set};

/// How deep brackets, calls and signs may nest: the parser and what walks its result recurse.
const DEEPEST: usize = 100;
/// How many operators and ranges may be joined, for the same reason: each result is a part of the next one.
const MOST_JOINED: usize = 250;
/// How tightly a sign in front binds: as `*` does, so that `-2 ^ 2` is -4.
const UNARY: u8 = 6;

/// Reads an expression.
pub fn parse(text: &str) -> Result<Expr, Error> {
    let mut parser = Parser::new(text)?;
    if parser.peek() == &Token::End {
        return parser.fail_at(0, "no expression found in input");
    }
    let expr = parser.expr(0)?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => parser.unexpected(""),
    }
}

/// Reads the name and labels of a series: `name{a="b"}`.
pub fn metric(text: &str) -> Result<Labels, Error> {
    let mut parser = Parser::new(text)?;
    let mut labels = Labels::new();
    if let Token::Word(name) = parser.peek().clone() {
        parser.next();
        set(&mut labels, METRIC_NAME, name);
    }
    if parser.peek() != &Token::End {
        for matcher in parser.matchers()? {
            match matcher.op {
                MatchOp::Equal => set(&mut labels, &matcher.name, matcher.value),
                _ => return parser.fail_at(0, "a series has `=` only"),
            }
        }
    }
    match parser.peek() {
        Token::End => Ok(labels),
        _ => parser.unexpected(" in series"),
    }
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<(Token, usize)>,
    pub(super) at: usize,
    depth: usize,
    joined: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Error> {
        Ok(Parser { text, tokens: lexer::tokens(text)?, at: 0, depth: 0, joined: 0 })
    }

    fn token(&self, ahead: usize) -> &(Token, usize) {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    pub(super) fn peek(&self) -> &Token {
        &self.token(0).0
    }

    pub(super) fn pos(&self) -> usize {
        self.token(0).1
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(super) fn fail_at<T>(&self, pos: usize, message: impl Into<String>) -> Result<T, Error> {
        Err(lexer::error(self.text, pos, message))
    }

    pub(super) fn unexpected<T>(&self, context: &str) -> Result<T, Error> {
        self.fail_at(self.pos(), format!("unexpected {}{context}", self.peek().describe()))
    }

    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Token::Sign(s) if *s == sign);
        self.at += usize::from(there);
        there
    }

    pub(super) fn expect(&mut self, sign: &str, context: &str) -> Result<(), Error> {
        if self.eat(sign) { Ok(()) } else { self.unexpected(context) }
    }

    /// The keyword that stands here, in small letters.
    pub(super) fn keyword(&self) -> String {
        match self.peek() {
            Token::Word(word) => word.to_ascii_lowercase(),
            _ => String::new(),
        }
    }

    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let there = self.keyword() == keyword;
        self.at += usize::from(there);
        there
    }

    fn operator(&self) -> Option<(BinaryOp, u8)> {
        match self.peek() {
            Token::Sign(sign) => BinaryOp::of(sign),
            Token::Word(_) => BinaryOp::of(&self.keyword()),
            _ => None,
        }
    }

    /// An expression of operators that bind at least so tightly.
    fn expr(&mut self, least: u8) -> Result<Expr, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.fail_at(self.pos(), "the expression is nested too deeply");
        }
        let start = self.pos();
        let mut lhs = self.operand()?;
        while let Some((op, binds)) = self.operator().filter(|(_, binds)| *binds >= least) {
            self.next();
            self.join()?;
            let (return_bool, matching) = self.modifiers()?;
            // All but the power are evaluated from the left.
            let rhs = self.expr(if op == BinaryOp::Pow { binds } else { binds + 1 })?;
            lhs = self.binary(start, op, lhs, rhs, return_bool, matching)?;
        }
        self.depth -= 1;
        Ok(lhs)
    }

    pub(super) fn join(&mut self) -> Result<(), Error> {
        self.joined += 1;
        if self.joined > MOST_JOINED { self.fail_at(self.pos(), "the expression is too long") } else { Ok(()) }
    }

    fn operand(&mut self) -> Result<Expr, Error> {
        let start = self.pos();
        let negative = matches!(self.peek(), Token::Sign("-"));
        if negative || matches!(self.peek(), Token::Sign("+")) {
            self.next();
            let inner = self.expr(UNARY)?;
            return match (inner.kind(), inner) {
                (_, Expr::Number(value)) => Ok(Expr::Number(if negative { -value } else { value })),
                (Kind::Scalar | Kind::Vector, inner) if negative => Ok(Expr::Negate(Box::new(inner))),
                (Kind::Scalar | Kind::Vector, inner) => Ok(inner),
                (other, _) => self.fail_at(
                    start,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                        other.name()
                    ),
                ),
            };
        }
        let primary = self.primary()?;
        self.postfix(start, primary)
    }

    fn primary(&mut self) -> Result<Expr, Error> {
        match self.peek().clone() {
            Token::Number(value) => {
                self.next();
                Ok(Expr::Number(value))
            }
            Token::Text(text) => {
                self.next();
                Ok(Expr::Text(text))
            }
            Token::Sign("(") => {
                self.next();
                let inner = self.expr(0)?;
                self.expect(")", "")?;
                Ok(Expr::Paren(Box::new(inner)))
            }
            Token::Sign("{") => self.selector(None),
            Token::Word(word) => self.word(word),
            _ => self.unexpected(""),
        }
    }

    fn word(&mut self, word: String) -> Result<Expr, Error> {
        let (start, keyword) = (self.pos(), self.keyword());
        let call = matches!(self.token(1).0, Token::Sign("("));
        let grouped =
            matches!(&self.token(1).0, Token::Word(w) if ["by", "without"].contains(&&*w.to_ascii_lowercase()));
        if let Some(op) = Aggregation::of(&keyword).filter(|_| call || grouped) {
            self.next();
            return self.aggregate(start, op);
        }
        if ["on", "ignoring", "group_left", "group_right", "bool", "atan2"].contains(&&*keyword) {
            return self.fail_at(start, format!("unexpected <{keyword}>"));
        }
        self.next();
        if call && !word.contains(':') {
            return self.call(start, &word);
        }
        self.selector(Some(word))
    }

    fn modifiers(&mut self) -> Result<(bool, Option<Matching>), Error> {
        let return_bool = self.eat_keyword("bool");
        let on = self.keyword() == "on";
        if !on && self.keyword() != "ignoring" {
            return Ok((return_bool, None));
        }
        self.next();
        let mut matching = Matching { on, labels: self.grouping()?, ..Matching::default() };
        matching.card = match &*self.keyword() {
            "group_left" => Cardinality::ManyToOne,
            "group_right" => Cardinality::OneToMany,
            _ => return Ok((return_bool, Some(matching))),
        };
        self.next();
        if matches!(self.peek(), Token::Sign("(")) {
            matching.include = self.grouping()?;
        }
        Ok((return_bool, Some(matching)))
    }

    /// `(a, b)`; keywords may be labels, too.
    fn grouping(&mut self) -> Result<Vec<String>, Error> {
        self.expect("(", " in grouping opts, expected \"(\"")?;
        let mut labels = Vec::new();
        while !self.eat(")") {
            match self.peek().clone() {
                Token::Word(label) if is_label_name(&label) => labels.push(label),
                _ => return self.unexpected(" in grouping opts, expected label"),
            }
            self.next();
            if !self.eat(",") && !matches!(self.peek(), Token::Sign(")")) {
                return self.unexpected(" in grouping opts, expected \",\" or \")\"");
            }
        }
        Ok(labels)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Error> {
        self.expect("(", "")?;
        let mut arguments = Vec::new();
        if self.eat(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expr(0)?);
            if self.eat(")") {
                return Ok(arguments);
            }
            self.expect(",", "")?;
            if matches!(self.peek(), Token::Sign(")")) {
                return self.fail_at(self.pos(), "trailing commas not allowed in function call args");
            }
        }
    }

    fn aggregate(&mut self, start: usize, op: Aggregation) -> Result<Expr, Error> {
        let mut clause = self.clause()?;
        let mut arguments = self.arguments()?;
        if clause.is_none() {
            clause = self.clause()?;
        }
        let expected = 1 + usize::from(op.param().is_some());
        match arguments.len() {
            0 => return self.fail_at(start, "no arguments for aggregate expression provided"),
            n if n != expected => {
                let what = "wrong number of arguments for aggregate expression provided";
                return self.fail_at(start, format!("{what}, expected {expected}, got {n}"));
            }
            _ => {}
        }
        let expr = Box::new(arguments.remove(expected - 1));
        self.expect_kind(start, &expr, Kind::Vector, "aggregation expression")?;
        let param = arguments.pop().map(Box::new);
        if let (Some(param), Some(kind)) = (&param, op.param()) {
            self.expect_kind(start, param, kind, "aggregation parameter")?;
        }
        let (without, grouping) = clause.unwrap_or_default();
        Ok(Expr::Aggregate { op, param, expr, grouping, without })
    }

    fn clause(&mut self) -> Result<Option<(bool, Vec<String>)>, Error> {
        let without = self.keyword() == "without";
        if !without && self.keyword() != "by" {
            return Ok(None);
        }
        self.next();
        Ok(Some((without, self.grouping()?)))
    }

    fn call(&mut self, start: usize, name: &str) -> Result<Expr, Error> {
        let arguments = self.arguments()?;
        let Some(function) = functions::function(name) else {
            return self.fail_at(start, format!("unknown function with name {name:?}"));
        };
        let (least, most, given) = (function.least(), function.most(), arguments.len());
        if given < least || most.is_some_and(|most| given > most) {
            let expected = match most {
                Some(most) if most == least => format!("{least}"),
                Some(most) if given > most => format!("at most {most}"),
                _ => format!("at least {least}"),
            };
            return self.fail_at(start, format!("expected {expected} argument(s) in call to {name:?}, got {given}"));
        }
        for (index, argument) in arguments.iter().enumerate() {
            self.expect_kind(start, argument, function.argument(index), &format!("call to function {name:?}"))?;
        }
        Ok(Expr::Call(function, arguments))
    }

    fn expect_kind(&self, pos: usize, expr: &Expr, kind: Kind, context: &str) -> Result<(), Error> {
        let got = expr.kind();
        if got == kind {
            return Ok(());
        }
        self.fail_at(pos, format!("expected type {} in {context}, got {}", kind.name(), got.name()))
    }

    fn binary(
        &self,
        start: usize,
        op: BinaryOp,
        lhs: Expr,
        rhs: Expr,
        return_bool: bool,
        matching: Option<Matching>,
    ) -> Result<Expr, Error> {
        let (left, right) = (lhs.kind(), rhs.kind());
        let scalars = [left, right].iter().filter(|kind| **kind == Kind::Scalar).count();
        let given = matching.is_some();
        let matching = matching.unwrap_or_default();
        let twice = matching.labels.iter().find(|label| matching.on && matching.include.contains(label));
        let message = if return_bool && !op.is_comparison() {
            "bool modifier can only be used on comparison operators".into()
        } else if op.is_comparison() && !return_bool && scalars == 2 {
            "comparisons between scalars must use BOOL modifier".into()
        } else if let Some(label) = twice {
            format!("label {label:?} must not occur in ON and GROUP clause at once")
        } else if [left, right].iter().any(|kind| !matches!(kind, Kind::Scalar | Kind::Vector)) {
            "binary expression must contain only scalar and instant vector types".into()
        } else if scalars > 0 && given && !matching.labels.is_empty() {
            "vector matching only allowed between instant vectors".into()
        } else if scalars > 0 && op.is_set() {
            format!("set operator {:?} not allowed in binary scalar expression", op.sign())
        } else if op.is_set() && matching.card != Cardinality::OneToOne {
            format!("no grouping allowed for {:?} operation", op.sign())
        } else {
            return Ok(Expr::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs), return_bool, matching });
        };
        self.fail_at(start, message)
    }
}
