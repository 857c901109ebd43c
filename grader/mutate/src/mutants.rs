//! The mistakes: which code is changed, and into what.

use crate::defaults;
use anyhow::Result;
use proc_macro2::{LineColumn, Span};
use serde::Serialize;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, BinOp, Block, Expr, ExprMethodCall, ItemFn, ItemMod, Lit, Macro, RangeLimits, Signature, Stmt, UnOp};

/// One mistake: replace the bytes from `start` to `end` of the file by `text`.
#[derive(Debug, Clone, Serialize)]
pub struct Mutant {
    /// Counts from 1.
    pub line: usize,
    /// The function that it is in; empty outside of functions.
    pub function: String,
    /// What is done, in a few words.
    pub what: String,
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// All mistakes in the source `text`, in order.
pub fn of(text: &str) -> Result<Vec<Mutant>> {
    let file = syn::parse_file(text)?;
    let mut mutator = Mutator { text, starts: line_starts(text), functions: Vec::new(), mutants: Vec::new() };
    mutator.visit_file(&file);
    let mut mutants = mutator.mutants;
    mutants.sort_by(|a, b| (a.start, a.end, &a.text).cmp(&(b.start, b.end, &b.text)));
    Ok(mutants)
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

pub struct Mutator<'a> {
    text: &'a str,
    starts: Vec<usize>,
    functions: Vec<String>,
    mutants: Vec<Mutant>,
}

impl Mutator<'_> {
    /// Columns are counted in characters.
    fn byte(&self, at: LineColumn) -> usize {
        let line = &self.text[self.starts[at.line - 1]..];
        self.starts[at.line - 1] + line.char_indices().nth(at.column).map_or(line.len(), |(byte, _)| byte)
    }

    /// What stands there.
    pub fn source(&self, span: Span) -> &str {
        &self.text[self.byte(span.start())..self.byte(span.end())]
    }

    pub fn replace(&mut self, span: Span, what: String, text: &str) {
        self.replace_between(span, span, what, text);
    }

    pub fn replace_between(&mut self, first: Span, last: Span, what: String, text: &str) {
        let (start, end) = (self.byte(first.start()), self.byte(last.end()));
        let function = self.functions.last().cloned().unwrap_or_default();
        self.mutants.push(Mutant { line: first.start().line, function, what, start, end, text: text.into() });
    }

    /// One mutant for each word in place of the one at `span`.
    fn swap(&mut self, span: Span, old: &str, new: &[&str]) {
        for new in new {
            self.replace(span, format!("`{old}` → `{new}`"), new);
        }
    }

    pub fn decide_guard(&mut self, guard: &Expr) {
        for value in ["true", "false"] {
            self.replace(guard.span(), format!("guard → `{value}`"), value);
        }
    }

    fn function(&mut self, signature: &Signature, block: &Block, visit: impl FnOnce(&mut Self)) {
        self.functions.push(signature.ident.to_string());
        for value in defaults::of(&signature.output) {
            // A body that is this value already is no mistake.
            if self.source(block.span()).trim_matches(['{', '}']).trim() != value {
                self.replace(block.span(), format!("body → `{value}`"), &format!("{{ {value} }}"));
            }
        }
        visit(self);
        self.functions.pop();
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("test")
            || (a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test")))
    })
}

impl<'ast> Visit<'ast> for Mutator<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block, |mutator| visit::visit_item_fn(mutator, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |mutator| visit::visit_impl_item_fn(mutator, item));
    }

    // Attributes are for the compiler.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    // The length of an array and the like: a type, not a decision.
    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_bin_op(&mut self, op: &'ast BinOp) {
        let (old, new): (&str, &[&str]) = match op {
            BinOp::Eq(_) => ("==", &["!="]),
            BinOp::Ne(_) => ("!=", &["=="]),
            BinOp::Lt(_) => ("<", &["<=", ">"]),
            BinOp::Le(_) => ("<=", &["<", ">"]),
            BinOp::Gt(_) => (">", &[">=", "<"]),
            BinOp::Ge(_) => (">=", &[">", "<"]),
            BinOp::And(_) => ("&&", &["||"]),
            BinOp::Or(_) => ("||", &["&&"]),
            BinOp::Add(_) => ("+", &["-", "*"]),
            BinOp::Sub(_) => ("-", &["+", "/"]),
            BinOp::Mul(_) => ("*", &["+", "/"]),
            BinOp::Div(_) => ("/", &["*", "%"]),
            BinOp::Rem(_) => ("%", &["/", "+"]),
            BinOp::AddAssign(_) => ("+=", &["-=", "*="]),
            BinOp::SubAssign(_) => ("-=", &["+=", "/="]),
            BinOp::MulAssign(_) => ("*=", &["+=", "/="]),
            BinOp::BitAnd(_) => ("&", &["|"]),
            BinOp::BitOr(_) => ("|", &["&"]),
            BinOp::Shl(_) => ("<<", &[">>"]),
            BinOp::Shr(_) => (">>", &["<<"]),
            _ => return,
        };
        self.swap(op.span(), old, new);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Unary(unary) => match &unary.op {
                UnOp::Not(not) => self.replace(not.span(), "delete `!`".into(), ""),
                UnOp::Neg(minus) => self.replace(minus.span(), "delete `-`".into(), ""),
                _ => {}
            },
            Expr::Range(range) if range.end.is_some() => match &range.limits {
                RangeLimits::HalfOpen(dots) => self.swap(dots.span(), "..", &["..="]),
                RangeLimits::Closed(dots) => self.swap(dots.span(), "..=", &[".."]),
            },
            Expr::If(expression) => self.decide_beforehand(expression),
            Expr::Struct(literal) => self.leave_out_field(literal),
            Expr::Tuple(tuple) => self.swap_neighbours(tuple),
            Expr::Call(call) => self.leave_out_reverse(call),
            _ => {}
        }
        visit::visit_expr(self, expression);
    }

    fn visit_lit(&mut self, literal: &'ast Lit) {
        match literal {
            Lit::Bool(bool) => {
                let other = (!bool.value).to_string();
                self.swap(bool.span(), &bool.value.to_string(), &[&other]);
            }
            Lit::Int(int) => {
                if let Ok(value) = int.base10_parse::<u128>() {
                    let new = format!("{}{}", value + 1, int.suffix());
                    self.swap(int.span(), &int.to_string(), &[&new]);
                }
            }
            Lit::Float(float) => {
                if let Ok(value) = float.base10_parse::<f64>() {
                    let new = format!("{:?}{}", value + 1.0, float.suffix());
                    self.swap(float.span(), &float.to_string(), &[&new]);
                }
            }
            _ => {}
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        self.leave_out_statement(statement);
        visit::visit_stmt(self, statement);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        self.mutate_macro(invocation);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        // Without its last arm a match is hardly ever complete.
        for arm in expression.arms.iter().rev().skip(1) {
            let what = format!("delete the arm `{}`", one_line(self.source(arm.pat.span())));
            let last = arm.comma.as_ref().map_or(arm.body.span(), Spanned::span);
            self.replace_between(arm.span(), last, what, "");
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if let Some((_, guard)) = &arm.guard {
            self.decide_guard(guard);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        const PAIRS: [(&str, &str); 8] = [
            ("min", "max"),
            ("any", "all"),
            ("first", "last"),
            ("ceil", "floor"),
            ("is_some", "is_none"),
            ("is_some_and", "is_none_or"),
            ("min_by_key", "max_by_key"),
            ("take_while", "skip_while"),
        ];
        let name = call.method.to_string();
        let other = PAIRS.iter().find_map(|(a, b)| match &name {
            name if name == a => Some(*b),
            name if name == b => Some(*a),
            _ => None,
        });
        if let Some(other) = other {
            self.swap(call.method.span(), &name, &[other]);
        }
        self.leave_out_step(call);
        visit::visit_expr_method_call(self, call);
    }
}

pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the mutants of `text` look like.
    fn mutated(text: &str) -> Vec<String> {
        let apply = |m: Mutant| format!("{}{}{}", &text[..m.start], m.text, &text[m.end..]);
        of(text).expect("this is Rust").into_iter().map(apply).collect()
    }

    #[test]
    fn each_mistake_is_one_change_of_the_text() {
        let cases: [(&str, &[&str]); 16] = [
            (
                "fn f(a: u8) -> bool { a < b }",
                &[
                    "fn f(a: u8) -> bool { false }",
                    "fn f(a: u8) -> bool { true }",
                    "fn f(a: u8) -> bool { a <= b }",
                    "fn f(a: u8) -> bool { a > b }",
                ],
            ),
            ("fn f() { g(!a) }", &["fn f() { () }", "fn f() { g(a) }"]),
            ("const N: u32 = 9u32;", &["const N: u32 = 10u32;"]),
            ("const N: &[u8] = &l[1..m];", &["const N: &[u8] = &l[2..m];", "const N: &[u8] = &l[1..=m];"]),
            ("const ä: bool = \"é\" == x;", &["const ä: bool = \"é\" != x;"]),
            (
                "const N: u8 = match x { A => a, B if c => b, _ => d };",
                &[
                    "const N: u8 = match x {  B if c => b, _ => d };",
                    "const N: u8 = match x { A => a,  _ => d };",
                    "const N: u8 = match x { A => a, B if false => b, _ => d };",
                    "const N: u8 = match x { A => a, B if true => b, _ => d };",
                ],
            ),
            ("const N: u8 = a.min(b);", &["const N: u8 = a;", "const N: u8 = a.max(b);"]),
            ("#[cfg(test)] mod tests { const N: u8 = 1; }", &[]),
            (
                "const N: bool = matches!(x, A | B if c);",
                &[
                    "const N: bool = !matches!(x, A | B if c);",
                    "const N: bool = matches!(x, A if c);",
                    "const N: bool = matches!(x, B if c);",
                    "const N: bool = matches!(x, A | B if false);",
                    "const N: bool = matches!(x, A | B if true);",
                ],
            ),
            ("const N: &[bool] = vec![a == b];", &["const N: &[bool] = vec![a != b];"]),
            ("const N: () = { l.sort(); l };", &["const N: () = {  l };"]),
            (
                "const N: u8 = if a { b } else { c };",
                &["const N: u8 = if false { b } else { c };", "const N: u8 = if true { b } else { c };"],
            ),
            (
                "const N: u8 = l.rev().filter(f).max();",
                &[
                    "const N: u8 = l.filter(f).max();",
                    "const N: u8 = l.rev().max();",
                    "const N: u8 = l.rev().filter(f).min();",
                ],
            ),
            ("const N: A = A { b, c: d, ..e };", &["const N: A = A {  c: d, ..e };", "const N: A = A { b,  ..e };"]),
            (
                "const N: (u8, u8) = (a, Reverse(b));",
                &["const N: (u8, u8) = (Reverse(b), a);", "const N: (u8, u8) = (a, (b));"],
            ),
            (
                "fn f() -> Option<(u8, Vec<u8>)> { g() }",
                &[
                    "fn f() -> Option<(u8, Vec<u8>)> { None }",
                    "fn f() -> Option<(u8, Vec<u8>)> { Some((0, Default::default())) }",
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(mutated(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mutant_says_where_it_is() {
        let mutants = of("impl A {\n    fn b(&self) {\n        c(1 == 2);\n    }\n}\n").expect("this is Rust");
        let swapped = mutants.iter().find(|m| m.text == "!=").expect("an operator is swapped");
        assert_eq!((swapped.line, swapped.function.as_str(), swapped.what.as_str()), (3, "b", "`==` → `!=`"));
    }
}
