//! Selectors, and what follows an expression: ranges, `offset`, `@`.

use super::Error;
use super::ast::{At, Expr, Kind, Selector};
use super::lexer::{self, Token};
use super::parser::Parser;
use crate::labels::{METRIC_NAME, MatchOp, Matcher};

/// Farther away, in milliseconds, there is nothing, but calculating with times would overflow.
const FARTHEST: i64 = i64::MAX / 4;

const MUST_FOLLOW: &str = "must be preceded by an instant vector selector or range vector selector or a subquery";

impl Parser<'_> {
    pub(super) fn selector(&mut self, name: Option<String>) -> Result<Expr, Error> {
        let start = self.pos();
        let mut matchers = match self.peek() {
            Token::Sign("{") => self.matchers()?,
            _ => Vec::new(),
        };
        match &name {
            Some(name) => {
                if let Some(twice) = matchers.iter().find(|matcher| matcher.name == METRIC_NAME) {
                    let message = format!("metric name must not be set twice: {name:?} or {:?}", twice.value);
                    return self.fail_at(start, message);
                }
                let named = Matcher::new(METRIC_NAME, MatchOp::Equal, name);
                matchers.push(named.map_err(|e| lexer::error(self.text, start, e))?);
            }
            None if matchers.iter().all(|matcher| matcher.matches_value("")) => {
                return self.fail_at(start, "vector selector must contain at least one non-empty matcher");
            }
            None => {}
        }
        Ok(Expr::Selector(Selector { name, matchers, offset: 0, at: None }))
    }

    pub(super) fn matchers(&mut self) -> Result<Vec<Matcher>, Error> {
        self.expect("{", "")?;
        let mut matchers = Vec::new();
        while !self.eat("}") {
            let start = self.pos();
            let Token::Word(name) = self.next() else {
                self.at -= 1;
                return self.unexpected(" in label matching, expected identifier or \"}\"");
            };
            let op = match self.peek() {
                Token::Sign(sign) => MatchOp::of(sign),
                _ => None,
            };
            let Some(op) = op else { return self.unexpected(" in label matching, expected label matching operator") };
            self.next();
            let Token::Text(value) = self.peek().clone() else {
                return self.unexpected(" in label matching, expected string");
            };
            self.next();
            matchers.push(Matcher::new(&name, op, &value).map_err(|e| lexer::error(self.text, start, e))?);
            if !self.eat(",") && !matches!(self.peek(), Token::Sign("}")) {
                return self.unexpected(" in label matching, expected \",\" or \"}\"");
            }
        }
        Ok(matchers)
    }

    fn duration(&mut self, context: &str) -> Result<i64, Error> {
        match *self.peek() {
            Token::Duration(duration) => {
                self.next();
                Ok(duration)
            }
            _ => self.unexpected(context),
        }
    }

    /// Ranges, `offset` and `@` after an expression.
    pub(super) fn postfix(&mut self, start: usize, mut expr: Expr) -> Result<Expr, Error> {
        loop {
            if self.eat("[") {
                self.join()?;
                expr = self.range(start, expr)?;
            } else if self.keyword() == "offset" {
                self.next();
                let negative = self.eat("-");
                let offset = self.duration(" in offset, expected duration")?;
                let place = match &mut expr {
                    Expr::Selector(selector) | Expr::Range(selector, _) => &mut selector.offset,
                    Expr::Subquery { offset, .. } => offset,
                    _ => return self.fail_at(start, format!("offset modifier {MUST_FOLLOW}")),
                };
                if *place != 0 {
                    return self.fail_at(start, "offset may not be set multiple times");
                }
                *place = if negative { -offset } else { offset };
            } else if self.eat("@") {
                let time = self.time()?;
                let place = match &mut expr {
                    Expr::Selector(selector) | Expr::Range(selector, _) => &mut selector.at,
                    Expr::Subquery { at, .. } => at,
                    _ => return self.fail_at(start, format!("@ modifier {MUST_FOLLOW}")),
                };
                if place.is_some() {
                    return self.fail_at(start, "@ <timestamp> may not be set multiple times");
                }
                *place = Some(time);
            } else {
                return Ok(expr);
            }
        }
    }

    fn range(&mut self, start: usize, expr: Expr) -> Result<Expr, Error> {
        let bracket = self.pos() - 1;
        let range = self.duration(" in subquery selector, expected duration")?;
        if self.eat(":") {
            let step = match self.peek() {
                Token::Sign("]") => None,
                _ => Some(self.duration(" in subquery selector, expected duration or \"]\"")?),
            };
            self.expect("]", " in subquery selector, expected \"]\"")?;
            if expr.kind() != Kind::Vector {
                let message = format!("subquery is only allowed on instant vector, got {} instead", expr.kind().name());
                return self.fail_at(start, message);
            }
            return Ok(Expr::Subquery { expr: Box::new(expr), range, step, offset: 0, at: None });
        }
        self.expect("]", " in subquery or range, expected \":\" or \"]\"")?;
        match expr {
            Expr::Selector(s) if s.offset != 0 => self.fail_at(bracket, "no offset modifiers allowed before range"),
            Expr::Selector(s) if s.at.is_some() => self.fail_at(bracket, "no @ modifiers allowed before range"),
            Expr::Selector(selector) => Ok(Expr::Range(selector, range)),
            _ => self.fail_at(bracket, "ranges only allowed for vector selectors"),
        }
    }

    fn time(&mut self) -> Result<At, Error> {
        if ["start", "end"].contains(&&*self.keyword()) {
            self.next();
            self.expect("(", " in @, expected timestamp")?;
            self.expect(")", " in @, expected timestamp")?;
            return Ok(At::Query);
        }
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        let Token::Number(seconds) = *self.peek() else { return self.unexpected(" in @, expected timestamp") };
        // The bounds of upstream's `int64`, in seconds.
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            let message = format!("timestamp out of bounds for @ modifier: {seconds:.6}");
            return self.fail_at(self.pos(), message);
        }
        self.next();
        let milliseconds = (if negative { -seconds } else { seconds } * 1000.0).round() as i64;
        Ok(At::Time(milliseconds.clamp(-FARTHEST, FARTHEST)))
    }
}
