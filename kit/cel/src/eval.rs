//! What an expression gives, within a budget.
//!
//! Sources: `interpreter/{interpretable,attributes,runtimecost}.go` of cel-go. A step costs one; what looks at every
//! character or item costs more, as upstream has it in the large: it is a bound, not the same count.

use crate::Program;
use crate::authorizer::{Decision, Question};
use crate::check::type_name;
use crate::functions::{self, call, entries, has, index};
use crate::tree::{Expr, Loop, LoopKind, Node};
use crate::value::{Failure, Map, NO_OVERLOAD, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What one expression may cost (`PerCallLimit` of `apiserver/pkg/apis/cel/config.go`).
pub const PER_CALL: i64 = 1_000_000;
/// What is said when it costs more.
pub const OUT_OF_BUDGET: &str = "operation cancelled: actual cost limit exceeded";

/// What the names of an expression stand for.
pub struct Scope<'a> {
    names: Vec<(&'a str, Value<'a>)>,
    variables: &'a [(String, Result<Program, String>)],
    known: RefCell<Vec<(String, Result<Value<'a>, Failure>)>>,
    ask: Option<&'a dyn Fn(&Question) -> Decision>,
    cost: Cell<i64>,
}

impl<'a> Scope<'a> {
    /// Names and what they stand for.
    pub fn new(names: Vec<(&'a str, Value<'a>)>) -> Scope<'a> {
        Scope { names, variables: &[], known: RefCell::default(), ask: None, cost: Cell::new(0) }
    }

    /// With variables that are evaluated when they are asked for, once.
    pub fn with_variables(mut self, variables: &'a [(String, Result<Program, String>)]) -> Scope<'a> {
        self.variables = variables;
        self.names.push(("variables", Value::Variables));
        self
    }

    /// With somebody who answers questions about authorization.
    pub fn with_authorizer(mut self, ask: &'a dyn Fn(&Question) -> Decision) -> Scope<'a> {
        self.ask = Some(ask);
        self
    }

    /// What all expressions have cost.
    pub fn cost(&self) -> i64 {
        self.cost.get()
    }

    /// What an expression gives.
    ///
    /// # Errors
    ///
    /// Why it gives nothing.
    pub fn evaluate(&self, program: &Program) -> Result<Value<'a>, Failure> {
        let run = Run { scope: self, locals: RefCell::default(), left: Cell::new(PER_CALL) };
        let found = run.value(&program.expr);
        self.cost.set(self.cost.get().saturating_add(PER_CALL - run.left.get().max(0)));
        found
    }

    fn variable(&self, name: &str) -> Result<Value<'a>, Failure> {
        if let Some((_, there)) = self.known.borrow().iter().find(|(there, _)| there == name) {
            return there.clone();
        }
        let missing = || format!("no such key: {name}");
        let (_, program) = self.variables.iter().find(|(there, _)| there == name).ok_or_else(missing)?;
        let found = match program {
            Ok(program) => {
                self.evaluate(program).map_err(|why| format!("composited variable {name:?} fails to evaluate: {why}"))
            }
            Err(why) => Err(format!("composited variable {name:?} fails to compile: {why}")),
        };
        self.known.borrow_mut().push((name.to_string(), found.clone()));
        found
    }
}

struct Run<'s, 'a> {
    scope: &'s Scope<'a>,
    locals: RefCell<Vec<(String, Value<'a>)>>,
    left: Cell<i64>,
}

impl<'a> Run<'_, 'a> {
    fn spend(&self, cost: usize) -> Result<(), Failure> {
        self.left.set(self.left.get().saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX)));
        if self.left.get() < 0 { Err(OUT_OF_BUDGET.into()) } else { Ok(()) }
    }

    fn value(&self, expr: &Expr) -> Result<Value<'a>, Failure> {
        self.spend(1)?;
        Ok(match &expr.node {
            Node::Null => Value::Null,
            Node::Bool(flag) => Value::Bool(*flag),
            Node::Int(value) => Value::Int(*value),
            Node::Uint(value) => Value::Uint(*value),
            Node::Double(value) => Value::Double(*value),
            Node::Text(text) => {
                self.spend(text.len() / 10)?;
                Value::text(text.as_str())
            }
            Node::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
            Node::Ident(name) => return self.named(name, expr),
            Node::Select { of, field, test, optional } => return self.select(expr, of, field, *test, *optional),
            Node::Index { of, index: at, optional } => {
                let (of, at) = (self.value(of)?, self.value(at)?);
                match (index(&of, &at), optional) {
                    (Ok(found @ Value::Optional(_)), true) => found,
                    (Ok(found), true) => found.some(),
                    (Err(_), true) => Value::Optional(None),
                    (found, false) => return found,
                }
            }
            Node::Call { name, args, .. } => return self.call(name, args),
            Node::List(items) => {
                let mut all = Vec::new();
                for (item, optional) in items {
                    match (self.value(item)?, optional) {
                        (Value::Optional(item), true) => all.extend(item.map(|item| (*item).clone())),
                        (item, _) => all.push(item),
                    }
                }
                Value::list(all)
            }
            Node::Map(entries) => return self.map(entries),
            Node::Logic { and, parts } => return self.logic(*and, parts),
            Node::If(parts) => {
                let [when, yes, no] = &**parts;
                match self.value(when)? {
                    Value::Bool(true) => return self.value(yes),
                    Value::Bool(false) => return self.value(no),
                    _ => return Err(NO_OVERLOAD.into()),
                }
            }
            Node::Loop(of) => return self.go_over(of),
            Node::OptMap { of, name, body, flat } => match self.value(of)? {
                Value::Optional(Some(inner)) => {
                    let found = self.with(vec![(name.clone(), (*inner).clone())], body)?;
                    if *flat { found } else { found.some() }
                }
                Value::Optional(None) => Value::Optional(None),
                _ => return Err(NO_OVERLOAD.into()),
            },
        })
    }

    fn named(&self, name: &str, expr: &Expr) -> Result<Value<'a>, Failure> {
        if let Some((_, value)) = self.locals.borrow().iter().rev().find(|(there, _)| there == name) {
            return Ok(value.clone());
        }
        if let Some((_, value)) = self.scope.names.iter().find(|(there, _)| *there == name) {
            return Ok(value.clone());
        }
        type_name(expr).map(Value::Type).ok_or_else(|| format!("no such attribute(s): {name}"))
    }

    fn select(&self, expr: &Expr, of: &Expr, field: &str, test: bool, optional: bool) -> Result<Value<'a>, Failure> {
        // A variable may have a name with a dot.
        if let Node::Ident(root) = &of.node
            && let Some((_, value)) =
                self.scope.names.iter().find(|(name, _)| name.split_once('.') == Some((root, field)))
        {
            return Ok(value.clone());
        }
        let of = match self.value(of) {
            // The name of a type may have dots.
            Err(why) => return type_name(expr).map(Value::Type).ok_or(why),
            Ok(of) => of,
        };
        if let Value::Variables = of {
            return self.scope.variable(field);
        }
        if test {
            return Ok(Value::Bool(has(&of, field)));
        }
        match (index(&of, &Value::text(field)), optional) {
            (Ok(found @ Value::Optional(_)), true) => Ok(found),
            (Ok(found), true) => Ok(found.some()),
            (Err(_), true) => Ok(Value::Optional(None)),
            (found, false) => found,
        }
    }

    fn call(&self, name: &str, args: &[Expr]) -> Result<Value<'a>, Failure> {
        let args = args.iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>, _>>()?;
        let size = |value: &Value<'a>| functions::size(value).unwrap_or_default();
        let sizes: usize = args.iter().map(size).sum();
        self.spend(match name {
            // A pattern is read first, and that costs most.
            "matches" | "find" | "findAll" => 20 + sizes,
            name if name.starts_with("sets.") => args.iter().map(|arg| size(arg).max(1)).product(),
            "size" | "type" | "_[_]" => 0,
            _ => sizes / 10,
        })?;
        if let [Value::Check(check), rest @ ..] = args.as_slice() {
            let nobody = |_: &Question| (false, String::new());
            return check.call(name, rest, self.scope.ask.unwrap_or(&nobody));
        }
        call(name, &args)
    }

    fn map(&self, entries: &[(Expr, Expr, bool)]) -> Result<Value<'a>, Failure> {
        let mut all: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for (key, value, optional) in entries {
            let key = self.value(key)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                return Err(format!("unsupported key type: {}", key.type_name()));
            }
            let value = match (self.value(value)?, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(value)), true) => (*value).clone(),
                (value, _) => value,
            };
            all.push((key, value));
        }
        Ok(Value::Map(Map::New(Rc::new(all))))
    }

    /// An error is none where another part decides.
    fn logic(&self, and: bool, parts: &[Expr]) -> Result<Value<'a>, Failure> {
        let mut failed = None;
        for part in parts {
            match self.value(part) {
                Ok(Value::Bool(flag)) if flag != and => return Ok(Value::Bool(flag)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failed = failed.or(Some(NO_OVERLOAD.into())),
                Err(why) if why == OUT_OF_BUDGET => return Err(why),
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        failed.map_or(Ok(Value::Bool(and)), Err)
    }

    fn with(&self, names: Vec<(String, Value<'a>)>, body: &Expr) -> Result<Value<'a>, Failure> {
        let before = self.locals.borrow().len();
        self.locals.borrow_mut().extend(names);
        let found = self.value(body);
        self.locals.borrow_mut().truncate(before);
        found
    }

    fn go_over(&self, of: &Loop) -> Result<Value<'a>, Failure> {
        let range = self.value(&of.range)?;
        let is_map = matches!(range, Value::Map(_));
        let (mut items, mut made, mut count, mut failed) = (Vec::new(), Vec::new(), 0, None);
        for (key, value) in entries(&range)? {
            self.spend(1)?;
            let names = match &of.key {
                Some(name) => vec![(name.clone(), key.clone()), (of.item.clone(), value.clone())],
                None if is_map => vec![(of.item.clone(), key.clone())],
                None => vec![(of.item.clone(), value.clone())],
            };
            if let Some(only) = &of.only {
                match self.with(names.clone(), only)? {
                    Value::Bool(true) => {}
                    Value::Bool(false) => continue,
                    _ => return Err(NO_OVERLOAD.into()),
                }
            }
            let found = self.with(names, &of.body);
            match (of.kind, found) {
                (_, Err(why)) if why == OUT_OF_BUDGET => return Err(why),
                (LoopKind::All, Ok(Value::Bool(false))) => return Ok(Value::Bool(false)),
                (LoopKind::Exists, Ok(Value::Bool(true))) => return Ok(Value::Bool(true)),
                (LoopKind::All | LoopKind::Exists, Ok(Value::Bool(_))) => {}
                (LoopKind::All | LoopKind::Exists, Ok(_)) => failed = failed.or(Some(NO_OVERLOAD.into())),
                (LoopKind::All | LoopKind::Exists, Err(why)) => failed = failed.or(Some(why)),
                (_, Err(why)) => return Err(why),
                (LoopKind::ExistsOne, Ok(Value::Bool(flag))) => count += usize::from(flag),
                (LoopKind::Filter, Ok(Value::Bool(true))) => items.push(if is_map { key } else { value }),
                (LoopKind::Filter, Ok(Value::Bool(false))) => {}
                (LoopKind::ExistsOne | LoopKind::Filter, Ok(_)) => return Err(NO_OVERLOAD.into()),
                (LoopKind::Map, Ok(found)) => items.push(found),
                (LoopKind::TransformMap, Ok(found)) => made.push((key, found)),
            }
        }
        match (of.kind, failed) {
            (_, Some(why)) => Err(why),
            (LoopKind::All, None) => Ok(Value::Bool(true)),
            (LoopKind::Exists, None) => Ok(Value::Bool(false)),
            (LoopKind::ExistsOne, None) => Ok(Value::Bool(count == 1)),
            (LoopKind::Map | LoopKind::Filter, None) => Ok(Value::list(items)),
            (LoopKind::TransformMap, None) => Ok(Value::Map(Map::New(Rc::new(made)))),
        }
    }
}
