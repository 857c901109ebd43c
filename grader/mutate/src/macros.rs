//! What stands in macros: patterns of `matches!`, and expressions such as those of `vec!`.

use crate::mutants::{Mutator, one_line};
use proc_macro2::Span;
use syn::parse::{ParseStream, Result};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Expr, Macro, Pat, Token};

/// `matches!(value, pattern if guard)`.
struct Matches {
    value: Expr,
    pattern: Pat,
    guard: Option<Expr>,
}

impl Matches {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let value = input.parse()?;
        input.parse::<Token![,]>()?;
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        let guard = if input.parse::<Option<Token![if]>>()?.is_some() { Some(input.parse()?) } else { None };
        input.parse::<Option<Token![,]>>()?;
        Ok(Matches { value, pattern, guard })
    }
}

impl Mutator<'_> {
    pub fn mutate_macro(&mut self, invocation: &Macro) {
        if invocation.path.is_ident("matches") {
            if let Ok(matches) = invocation.parse_body_with(Matches::parse) {
                self.mutate_matches(invocation, &matches);
            }
        } else if let Ok(list) = invocation.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            list.iter().for_each(|expression| self.visit_expr(expression));
        }
    }

    fn mutate_matches(&mut self, invocation: &Macro, matches: &Matches) {
        self.replace(invocation.path.span(), "`matches` → `!matches`".into(), "!matches");
        self.visit_expr(&matches.value);
        if let Pat::Or(or) = &matches.pattern {
            let cases: Vec<Span> = or.cases.iter().map(Spanned::span).collect();
            for (i, &case) in cases.iter().enumerate() {
                let what = format!("delete the pattern `{}`", one_line(self.source(case)));
                // With the bar on one side of it.
                if let Some(&next) = cases.get(i + 1) {
                    let text = self.source(next).to_string();
                    self.replace_between(case, next, what, &text);
                } else if let Some(before) = i.checked_sub(1).map(|before| cases[before]) {
                    let text = self.source(before).to_string();
                    self.replace_between(before, case, what, &text);
                }
            }
        }
        self.visit_pat(&matches.pattern);
        if let Some(guard) = &matches.guard {
            self.decide_guard(guard);
            self.visit_expr(guard);
        }
    }
}
