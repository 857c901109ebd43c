//! Calls, and the macros among them.
//!
//! Sources: `parser/macro.go` and `ext/comprehensions.go` of cel-go.

use crate::parse::{Problem, call};
use crate::tree::{Expr, Loop, LoopKind, Node};
use crate::types::is_function;

/// A call of a function without a receiver; `has` is a macro.
pub fn global_call(at: usize, name: String, mut args: Vec<Expr>) -> Result<Expr, Problem> {
    if name != "has" || args.len() != 1 {
        return Ok(call(at, &name, false, args));
    }
    match args.remove(0) {
        Expr { node: Node::Select { of, field, test: false, optional }, .. } => {
            Ok(Expr { at, node: Node::Select { of, field, test: true, optional } })
        }
        arg => Err((arg.at, "invalid argument to has() macro".into())),
    }
}

/// A call on a receiver: of a macro, of a function with a name space, or of a function.
pub fn member_call(at: usize, of: Expr, name: String, mut args: Vec<Expr>) -> Result<Expr, Problem> {
    if let Node::Ident(space) = &of.node {
        let whole = format!("{space}.{name}");
        if is_function(&whole) {
            return Ok(call(at, &whole, false, args));
        }
    }
    let (kind, names, with_filter) = match (name.as_str(), args.len()) {
        ("all", 2) => (LoopKind::All, 1, false),
        ("all", 3) => (LoopKind::All, 2, false),
        ("exists", 2) => (LoopKind::Exists, 1, false),
        ("exists", 3) => (LoopKind::Exists, 2, false),
        ("exists_one" | "existsOne", 2) => (LoopKind::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (LoopKind::ExistsOne, 2, false),
        ("map", 2) => (LoopKind::Map, 1, false),
        ("map", 3) => (LoopKind::Map, 1, true),
        ("filter", 2) => (LoopKind::Filter, 1, false),
        ("transformList", 3) => (LoopKind::Map, 2, false),
        ("transformList", 4) => (LoopKind::Map, 2, true),
        ("transformMap", 3) => (LoopKind::TransformMap, 2, false),
        ("transformMap", 4) => (LoopKind::TransformMap, 2, true),
        ("optMap" | "optFlatMap", 2) => {
            let body = args.pop().map(Box::new);
            let Some(body) = body else { return Err((at, String::new())) };
            let variable = variable(args.pop(), "optMap() variable name must be a simple identifier")?;
            let flat = name == "optFlatMap";
            return Ok(Expr { at, node: Node::OptMap { of: Box::new(of), name: variable, body, flat } });
        }
        _ => {
            args.insert(0, of);
            return Ok(call(at, &name, true, args));
        }
    };
    let Some(body) = args.pop() else { return Err((at, String::new())) };
    let only = if with_filter { args.pop() } else { None };
    let item = variable(args.pop(), "argument must be a simple name")?;
    let key = if names == 2 { Some(variable(args.pop(), "argument must be a simple name")?) } else { None };
    Ok(Expr { at, node: Node::Loop(Box::new(Loop { kind, range: of, key, item, only, body })) })
}

fn variable(arg: Option<Expr>, wrong: &str) -> Result<String, Problem> {
    match arg {
        Some(Expr { node: Node::Ident(name), .. }) => Ok(name),
        arg => Err((arg.map_or(0, |arg| arg.at), wrong.into())),
    }
}
