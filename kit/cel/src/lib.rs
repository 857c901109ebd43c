//! The Common Expression Language, as Kubernetes has it: rules of custom resources, admission policies and the conditions of
//! webhooks are written in it.
//!
//! An expression is read ([`Program::compile`]), which also tells what can't be meant; then it is evaluated as often as one
//! likes ([`Scope`]). It always ends: nothing in the language runs without an end, and a budget bounds the rest. The language
//! is small, and what Kubernetes says of a mistake is part of it, so it is written here and not taken from a crate: `cel` 0.15
//! brings a parser of 7000 generated lines, which every learner would compile, and neither types nor a budget.
//!
//! Sources: the specification of CEL (`google/cel-spec`, `doc/langdef.md`), cel-go, `apiserver/pkg/cel`. What is left out: the
//! estimate of what an expression will cost, messages of protocol buffers as values, and selectors in questions to the
//! authorizer.

mod authorizer;
mod check;
mod eval;
mod functions;
mod kinds;
mod lex;
mod macros;
mod parse;
mod schema;
mod strings;
mod tree;
mod types;
mod value;

pub use authorizer::{Check, Decision, Question};
pub use eval::{OUT_OF_BUDGET, PER_CALL, Scope};
pub use schema::{escape, unescape};
pub use types::{BOOL, NULL, STRING, Type};
pub use value::{Failure, List, Map, Value};

use parse::{Problem, parse};
use tree::{Expr, Node};

/// An expression that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    expr: Expr,
    /// The type of what it gives, as far as it is known.
    pub result: Type,
}

impl Program {
    /// Reads an expression that may use these variables.
    ///
    /// # Errors
    ///
    /// What is wrong with it, each with the place.
    pub fn compile(text: &str, variables: &[(&str, Type)]) -> Result<Program, String> {
        let expr = parse(text).map_err(|problem| shown(text, &[problem]))?;
        let scope = variables.iter().map(|(name, of)| (name.to_string(), of.clone())).collect();
        let mut checker = check::Checker::new(scope);
        let result = checker.type_of(&expr);
        match checker.problems.as_slice() {
            [] => Ok(Program { expr, result }),
            problems => Err(shown(text, problems)),
        }
    }

    /// Whether it gives a value of this type, as far as is known.
    pub fn gives(&self, of: &Type) -> bool {
        self.result == Type::Dyn || self.result == *of
    }

    /// Whether it uses a variable.
    pub fn uses(&self, name: &str) -> bool {
        uses(&self.expr, name)
    }
}

fn uses(expr: &Expr, name: &str) -> bool {
    let in_all = |all: &[Expr]| all.iter().any(|expr| uses(expr, name));
    match &expr.node {
        Node::Ident(there) => there == name,
        Node::Select { of, .. } => uses(of, name),
        Node::Index { of, index, .. } => uses(of, name) || uses(index, name),
        Node::Call { args, .. } => in_all(args),
        Node::List(items) => items.iter().any(|(item, _)| uses(item, name)),
        Node::Map(entries) => entries.iter().any(|(key, value, _)| uses(key, name) || uses(value, name)),
        Node::Logic { parts, .. } => in_all(parts),
        Node::If(parts) => in_all(&**parts),
        Node::Loop(of) => {
            let hidden = of.item == name || of.key.as_deref() == Some(name);
            uses(&of.range, name) || !hidden && (uses(&of.body, name) || of.only.iter().any(|only| uses(only, name)))
        }
        Node::OptMap { of, name: variable, body, .. } => uses(of, name) || variable != name && uses(body, name),
        _ => false,
    }
}

/// Problems with the lines where they are (`ToDisplayString` of cel-go's `common/error.go`).
fn shown(text: &str, problems: &[Problem]) -> String {
    let mut problems: Vec<&Problem> = problems.iter().collect();
    problems.sort_by_key(|(at, _)| *at);
    let show = |(at, why): &&Problem| {
        let head = &text[..*at];
        let line = head.matches('\n').count();
        let column = head.rsplit('\n').next().unwrap_or_default().chars().count();
        let source = text.lines().nth(line).unwrap_or_default().replace('\t', " ");
        format!("ERROR: <input>:{}:{}: {why}\n | {source}\n | {}^", line + 1, column + 1, ".".repeat(column))
    };
    problems.iter().map(show).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
