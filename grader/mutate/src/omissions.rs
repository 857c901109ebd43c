//! Mistakes by leaving something out: a statement, a step in a chain of calls, a field, the order of what is compared.

use crate::mutants::Mutator;
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{BinOp, Expr, ExprCall, ExprIf, ExprMethodCall, ExprStruct, ExprTuple, Stmt};

/// Steps of a chain after which it goes on with the same type, so that it compiles without them.
const STEPS: [&str; 12] =
    ["abs", "chain", "clamp", "filter", "max", "min", "rev", "round", "skip", "skip_while", "take", "take_while"];

impl Mutator<'_> {
    /// A statement that is there for what it does, and not for a value.
    pub fn leave_out_statement(&mut self, statement: &Stmt) {
        let Stmt::Expr(expression, Some(semicolon)) = statement else { return };
        let acts = match expression {
            Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) => true,
            Expr::Break(_) | Expr::Continue(_) | Expr::Return(_) => true,
            Expr::Binary(binary) => changes_its_left_side(&binary.op),
            _ => false,
        };
        if acts {
            self.replace_between(expression.span(), semicolon.span(), "delete the statement".into(), "");
        }
    }

    pub fn decide_beforehand(&mut self, expression: &ExprIf) {
        // `if let` makes names that the block needs.
        if !has_let(&expression.cond) {
            for value in ["true", "false"] {
                self.replace(expression.cond.span(), format!("condition → `{value}`"), value);
            }
        }
    }

    pub fn leave_out_step(&mut self, call: &ExprMethodCall) {
        let name = call.method.to_string();
        // `iter.max()` ends a chain; `a.max(b)` is a step of one.
        let is_end = (name == "max" || name == "min") && call.args.is_empty();
        if STEPS.contains(&name.as_str()) && !is_end {
            let what = format!("delete `.{name}({})`", if call.args.is_empty() { "" } else { "…" });
            self.replace_between(call.dot_token.span(), call.paren_token.span.close(), what, "");
        }
    }

    /// A field that then comes from `..rest`.
    pub fn leave_out_field(&mut self, literal: &ExprStruct) {
        if literal.rest.is_none() {
            return;
        }
        for pair in literal.fields.pairs() {
            let (field, comma) = pair.into_tuple();
            let last = comma.map_or(field.span(), Spanned::span);
            let what = format!("delete the field `{}`", self.source(field.member.span()));
            self.replace_between(field.span(), last, what, "");
        }
    }

    /// Neighbours change places: what was compared first is then compared second.
    pub fn swap_neighbours(&mut self, tuple: &ExprTuple) {
        let spans: Vec<Span> = tuple.elems.iter().map(Spanned::span).collect();
        for pair in spans.windows(2) {
            let (first, second) = (self.source(pair[0]).to_string(), self.source(pair[1]).to_string());
            if first != second {
                let what = format!("`{first}` after `{second}`");
                self.replace_between(pair[0], pair[1], what, &format!("{second}, {first}"));
            }
        }
    }

    pub fn leave_out_reverse(&mut self, call: &ExprCall) {
        let Expr::Path(path) = call.func.as_ref() else { return };
        if path.path.segments.last().is_some_and(|last| last.ident == "Reverse") {
            self.replace(call.func.span(), "delete `Reverse`".into(), "");
        }
    }
}

fn changes_its_left_side(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::BitXorAssign(_)
    )
}

fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}
