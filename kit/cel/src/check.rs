//! What can be said of an expression before it is evaluated: that a name is unknown, a field isn't there, or an operator
//! doesn't take what it is given.
//!
//! Source of rules and texts: `checker/{checker,errors}.go` of cel-go. Types are followed as far as signatures and schemas
//! tell them; where they don't, everything fits.

use crate::parse::Problem;
use crate::tree::{Expr, Loop, LoopKind, Node};
use crate::types::{self, BOOL, BYTES, DOUBLE, INT, NULL, STRING, Type, UINT, named, signatures};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Finds what is wrong with an expression.
pub struct Checker {
    scope: Vec<(String, Type)>,
    /// Whether items of different types may stand in one list: where they are what a text is put together from.
    mixed: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Checker {
    /// A checker that knows these variables.
    pub fn new(scope: Vec<(String, Type)>) -> Checker {
        Checker { scope, mixed: false, problems: Vec::new() }
    }

    fn problem(&mut self, at: usize, why: String) -> Type {
        self.problems.push((at, why));
        Type::Dyn
    }

    fn known(&self, name: &str) -> Option<Type> {
        self.scope.iter().rev().find(|(there, _)| there == name).map(|(_, of)| of.clone())
    }

    /// The type of what an expression gives.
    pub fn type_of(&mut self, expr: &Expr) -> Type {
        match &expr.node {
            Node::Null => NULL,
            Node::Bool(_) => BOOL,
            Node::Int(_) => INT,
            Node::Uint(_) => UINT,
            Node::Double(_) => DOUBLE,
            Node::Text(_) => STRING,
            Node::Bytes(_) => BYTES,
            Node::Ident(name) => match (self.known(name), named(name)) {
                (Some(of), _) => of,
                (None, Some(of)) => Type::Of(Arc::new(of)),
                _ => self.problem(expr.at, format!("undeclared reference to '{name}' (in container '')")),
            },
            Node::Select { of, field, test, optional } => {
                if let Some(of) = qualified(expr).and_then(|name| self.known(&name)) {
                    return of;
                }
                if let Some(of) =
                    qualified(expr).filter(|name| self.is_unknown_root(name)).and_then(|name| named(&name))
                {
                    return Type::Of(Arc::new(of));
                }
                let whole = self.type_of(of);
                let (inner, maybe) = match &whole {
                    Type::Optional(inner) => ((**inner).clone(), true),
                    other => (other.clone(), *optional),
                };
                let found = match inner {
                    Type::Dyn => Type::Dyn,
                    Type::Map(_, value) => (*value).clone(),
                    Type::Object(fields) => match fields.get(field) {
                        Some(of) => of.clone(),
                        None => self.problem(expr.at, format!("undefined field '{field}'")),
                    },
                    other => self.problem(expr.at, format!("type '{other}' does not support field selection")),
                };
                match (test, maybe) {
                    (true, _) => BOOL,
                    (false, true) => found.optional(),
                    (false, false) => found,
                }
            }
            Node::Index { of, index, optional } => {
                let args = [self.type_of(of), self.type_of(index)];
                let found = self.overload(expr.at, "_[_]", false, &args);
                if *optional { found.optional() } else { found }
            }
            Node::Call { name, member, args } => {
                let before = self.mixed;
                self.mixed |= name == "format";
                let args: Vec<Type> = args.iter().map(|arg| self.type_of(arg)).collect();
                self.mixed = before;
                self.overload(expr.at, name, *member, &args)
            }
            Node::List(items) => {
                let mut of: Option<Type> = None;
                for (item, optional) in items {
                    let found = self.item(item, *optional);
                    of = Some(self.same(item.at, of, found));
                }
                of.unwrap_or(Type::Dyn).list()
            }
            Node::Map(entries) => {
                let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
                for (key, value, optional) in entries {
                    let found = self.type_of(key);
                    keys = Some(self.same(key.at, keys, found));
                    let found = self.item(value, *optional);
                    values = Some(self.same(value.at, values, found));
                }
                let of = |found: Option<Type>| Arc::new(found.unwrap_or(Type::Dyn));
                Type::Map(of(keys), of(values))
            }
            Node::Logic { and, parts } => {
                for part in parts {
                    let found = self.type_of(part);
                    if !found.fits(&BOOL, &mut BTreeMap::new()) {
                        let name = if *and { "_&&_" } else { "_||_" };
                        let why = format!("found no matching overload for '{name}' applied to '({found}, bool)'");
                        self.problem(expr.at, why);
                    }
                }
                BOOL
            }
            Node::If(parts) => {
                let [when, yes, no] = &**parts;
                let (when, yes, no) = (self.type_of(when), self.type_of(yes), self.type_of(no));
                let mut bound = BTreeMap::new();
                let any = Type::Param('A');
                if when.fits(&BOOL, &mut bound) && yes.fits(&any, &mut bound) && no.fits(&any, &mut bound) {
                    return if yes == Type::Dyn { no } else { yes };
                }
                self.problem(
                    expr.at,
                    format!("found no matching overload for '_?_:_' applied to '({when}, {yes}, {no})'"),
                )
            }
            Node::Loop(of) => self.type_of_loop(expr.at, of),
            Node::OptMap { of, name, body, flat } => {
                let inner = match self.type_of(of) {
                    Type::Optional(inner) => (*inner).clone(),
                    _ => Type::Dyn,
                };
                let found = self.with([(name.clone(), inner)], body);
                if *flat { found } else { found.optional() }
            }
        }
    }

    fn is_unknown_root(&self, name: &str) -> bool {
        name.split('.').next().is_some_and(|root| self.known(root).is_none())
    }

    fn with<const N: usize>(&mut self, names: [(String, Type); N], body: &Expr) -> Type {
        let before = self.scope.len();
        self.scope.extend(names);
        let found = self.type_of(body);
        self.scope.truncate(before);
        found
    }

    fn item(&mut self, item: &Expr, optional: bool) -> Type {
        match (self.type_of(item), optional) {
            (Type::Optional(inner), true) => (*inner).clone(),
            (found, _) => found,
        }
    }

    /// Items of a literal are of one type (`cel.HomogeneousAggregateLiterals`).
    fn same(&mut self, at: usize, before: Option<Type>, found: Type) -> Type {
        match before {
            None | Some(Type::Dyn) => found,
            Some(before) => {
                if !found.fits(&before, &mut BTreeMap::new()) {
                    if self.mixed {
                        return Type::Dyn;
                    }
                    self.problem(at, format!("expected type '{before}' but found '{found}'"));
                }
                before
            }
        }
    }

    fn type_of_loop(&mut self, at: usize, of: &Loop) -> Type {
        let any = || (Type::Dyn, Type::Dyn);
        let range = self.type_of(&of.range);
        let (key, value) = match &range {
            Type::List(item) => (INT, (**item).clone()),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn => any(),
            other => {
                let why = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.problem(at, why);
                any()
            }
        };
        let item = match (&of.key, &range) {
            (None, Type::Map(..)) => key.clone(),
            _ => value.clone(),
        };
        let before = self.scope.len();
        self.scope.extend(of.key.iter().map(|name| (name.clone(), key.clone())));
        self.scope.push((of.item.clone(), item.clone()));
        let only = of.only.as_ref().map(|only| (only.at, self.type_of(only)));
        let body = self.type_of(&of.body);
        self.scope.truncate(before);
        let must_be_bool = matches!(of.kind, LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter);
        for (at, found) in only.into_iter().chain(must_be_bool.then(|| (of.body.at, body.clone()))) {
            if !found.fits(&BOOL, &mut BTreeMap::new()) {
                self.problem(at, format!("found no matching overload for '_&&_' applied to '(bool, {found})'"));
            }
        }
        match of.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => BOOL,
            LoopKind::Map => body.list(),
            LoopKind::Filter => item.list(),
            LoopKind::TransformMap => Type::Map(Arc::new(key), Arc::new(body)),
        }
    }

    fn overload(&mut self, at: usize, name: &str, member: bool, args: &[Type]) -> Type {
        let Some(all) = signatures(name) else {
            return self.problem(at, format!("undeclared reference to '{name}' (in container '')"));
        };
        let mut results = Vec::new();
        for signature in all.iter().filter(|one| one.member == member && one.args.len() == args.len()) {
            let mut bound = BTreeMap::new();
            let fit = args.iter().zip(&signature.args).all(|(arg, wanted)| arg.fits(wanted, &mut bound));
            if fit && (!is_order(name) || ordered(args)) {
                results.push(signature.result.filled(&bound));
            }
        }
        match results.as_slice() {
            [] => {
                let shown: Vec<String> = args.iter().map(Type::to_string).collect();
                let shown = match member {
                    true => format!("{}.({})", shown[0], shown[1..].join(", ")),
                    false => format!("({})", shown.join(", ")),
                };
                self.problem(at, format!("found no matching overload for '{name}' applied to '{shown}'"))
            }
            [only] => only.clone(),
            [first, rest @ ..] if rest.iter().all(|other| other == first) => first.clone(),
            // An operand of no known type leaves the result open, too.
            _ => Type::Dyn,
        }
    }
}

fn is_order(name: &str) -> bool {
    ["_<_", "_<=_", "_>_", "_>=_"].contains(&name)
}

/// Whether values of these types have an order: numbers among each other, and some of the same type.
fn ordered(args: &[Type]) -> bool {
    let number = |of: &Type| matches!(of, Type::Plain("int" | "uint" | "double"));
    let plain = |of: &Type| {
        matches!(
            of,
            Type::Plain("string" | "bytes" | "bool" | "google.protobuf.Timestamp" | "google.protobuf.Duration")
        )
    };
    let known: Vec<&Type> = args.iter().filter(|of| **of != Type::Dyn).collect();
    known.iter().all(|of| number(of))
        || known.iter().all(|of| plain(of)) && known.windows(2).all(|pair| pair[0] == pair[1])
}

/// The name that a chain of selections spells.
fn qualified(expr: &Expr) -> Option<String> {
    match &expr.node {
        Node::Ident(name) => Some(name.clone()),
        Node::Select { of, field, test: false, optional: false } => Some(format!("{}.{field}", qualified(of)?)),
        _ => None,
    }
}

/// The name of a type value that an expression spells.
pub fn type_name(expr: &Expr) -> Option<&'static str> {
    match types::named(&qualified(expr)?)? {
        Type::Plain(name) => Some(name),
        Type::List(_) => Some("list"),
        Type::Map(..) => Some("map"),
        _ => Some("type"),
    }
}
