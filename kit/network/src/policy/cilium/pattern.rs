//! Regular expressions as Go and Envoy read them (RE2): matched in linear time, without look-around.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast;

/// A pattern that a whole value must match.
///
/// # Errors
///
/// The pattern is none; said as Go's `regexp` says it.
pub fn whole(pattern: &str) -> Result<Regex, String> {
    build(pattern, &format!(r"\A(?:{pattern})\z"))
}

/// A pattern that is found anywhere in a value, if it isn't anchored itself.
///
/// # Errors
///
/// As those of [`whole`].
pub fn anywhere(pattern: &str) -> Result<Regex, String> {
    build(pattern, pattern)
}

fn build(pattern: &str, text: &str) -> Result<Regex, String> {
    // RE2's classes `\d`, `\w` and `\s` are those of ASCII.
    let built = RegexBuilder::new(text).unicode(false).build();
    // The pattern itself must be whole: `a)(b` is not, though it is one inside of a group.
    let parsed = ast::parse::Parser::new().parse(pattern);
    match (parsed, built) {
        (Err(error), _) => Err(format!("error parsing regexp: {}", as_go(pattern, &error))),
        (Ok(_), Err(error)) => Err(format!("error parsing regexp: {error}")),
        (Ok(_), Ok(regex)) => Ok(regex),
    }
}

/// What Go's `regexp/syntax` calls the error, and what it quotes.
fn as_go(pattern: &str, error: &ast::Error) -> String {
    use ast::ErrorKind;
    let from = &pattern[error.span().start.offset..];
    let at = &pattern[error.span().start.offset..error.span().end.offset];
    match error.kind() {
        ErrorKind::GroupUnclosed => format!("missing closing ): `{pattern}`"),
        ErrorKind::GroupUnopened => format!("unexpected ): `{pattern}`"),
        ErrorKind::ClassUnclosed => format!("missing closing ]: `{from}`"),
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => format!("invalid character class range: `{at}`"),
        ErrorKind::EscapeUnexpectedEof => "trailing backslash at end of expression: ``".to_string(),
        ErrorKind::EscapeUnrecognized => format!("invalid escape sequence: `{at}`"),
        ErrorKind::RepetitionMissing => {
            let operator = from.chars().next().unwrap_or('*');
            format!("missing argument to repetition operator: `{operator}`")
        }
        ErrorKind::RepetitionCountInvalid => format!("invalid repeat count: `{at}`"),
        other => format!("{other}: `{at}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_patterns_are_told_as_go_tells_them() {
        let cases = [
            ("(GET", "missing closing ): `(GET`"),
            ("/a[", "missing closing ]: `[`"),
            ("GET)", "unexpected ): `GET)`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("a)(b", "unexpected ): `a)(b`"),
        ];
        for (pattern, error) in cases {
            assert_eq!(whole(pattern).map(|_| ()), Err(format!("error parsing regexp: {error}")), "{pattern}");
        }
    }

    #[test]
    fn a_whole_value_must_match_each_alternative() {
        let either = whole("/a|/b").expect("it is a pattern");
        for (value, matches) in [("/a", true), ("/b", true), ("/ab", false), ("/a/b", false), ("/a\n", false)] {
            assert_eq!(either.is_match(value.as_bytes()), matches, "{value:?}");
        }
    }
}
