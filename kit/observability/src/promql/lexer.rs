//! Text to tokens (`promql/parser/lex.go`).

use super::Error;
use crate::number;

/// One token. Keywords are words: what they mean depends on where they stand.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// The end of the text.
    End,
    /// A sign: an operator, a bracket, a comma, `@`, or `:` within `[]`.
    Sign(&'static str),
    /// A number.
    Number(f64),
    /// A duration in milliseconds.
    Duration(i64),
    /// A text, without its quotes.
    Text(String),
    /// A word.
    Word(String),
}

impl Token {
    /// How messages name it.
    pub fn describe(&self) -> String {
        match self {
            Token::End => "end of input".into(),
            Token::Sign(sign) => format!("{sign:?}"),
            Token::Number(value) => format!("number {:?}", number::general(*value, None)),
            Token::Duration(_) => "duration".into(),
            Token::Text(text) => format!("string {text:?}"),
            Token::Word(word) => format!("identifier {word:?}"),
        }
    }
}

/// The longer signs come first.
const SIGNS: [&str; 18] =
    ["==", "!=", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "^", ",", "(", ")", "@", "{"];
/// Signs between `{` and `}`.
const SIGNS_IN_BRACES: [&str; 6] = ["=~", "!~", "!=", "=", ",", "}"];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    tokens: Vec<(Token, usize)>,
    parens: usize,
    braces: bool,
    brackets: bool,
}

/// All tokens with where they begin; the last one is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut lexer = Lexer { text, pos: 0, tokens: Vec::new(), parens: 0, braces: false, brackets: false };
    while lexer.step()? {}
    Ok(lexer.tokens)
}

/// An error at a place of the text.
pub fn error(text: &str, pos: usize, message: impl Into<String>) -> Error {
    let before = &text.as_bytes()[..pos.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    Error::Parse { line, column, message: message.into() }
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(error(self.text, self.pos, message))
    }

    fn push(&mut self, token: Token, length: usize) {
        self.tokens.push((token, self.pos));
        self.pos += length;
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> Result<bool, Error> {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return match () {
                () if self.braces => self.fail("unexpected end of input inside braces"),
                () if self.parens > 0 => self.fail("unclosed left parenthesis"),
                () if self.brackets => self.fail("unclosed left bracket"),
                () => {
                    self.push(Token::End, 0);
                    Ok(false)
                }
            };
        };
        match first {
            '#' => self.pos += rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '"' | '\'' => self.quoted(first)?,
            '`' => match rest[1..].find('`') {
                Some(end) => self.push(Token::Text(rest[1..=end].into()), end + 2),
                None => return self.fail("unterminated raw string"),
            },
            _ if self.braces => self.in_braces(first)?,
            '0'..='9' => self.number_or_duration()?,
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number_or_duration()?,
            ':' if self.brackets => self.push(Token::Sign(":"), 1),
            ':' | '_' | 'a'..='z' | 'A'..='Z' => {
                let length = rest.find(|c: char| !is_word(c) && c != ':').unwrap_or(rest.len());
                self.push(word(&rest[..length]), length);
            }
            '[' | ']' => self.bracket(first)?,
            _ => self.sign(first)?,
        }
        Ok(true)
    }

    fn sign(&mut self, first: char) -> Result<(), Error> {
        let Some(sign) = SIGNS.into_iter().find(|sign| self.rest().starts_with(sign)) else {
            return self.fail(format!("unexpected character: {first:?}"));
        };
        match sign {
            "=" if self.rest().starts_with("=~") => return self.fail("unexpected character after '=': '~'"),
            "(" => self.parens += 1,
            ")" if self.parens == 0 => return self.fail("unexpected right parenthesis ')'"),
            ")" => self.parens -= 1,
            "{" => self.braces = true,
            _ => {}
        }
        self.push(Token::Sign(sign), sign.len());
        Ok(())
    }

    fn in_braces(&mut self, first: char) -> Result<(), Error> {
        let rest = self.rest();
        if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            self.push(Token::Word(rest[..length].into()), length);
            return Ok(());
        }
        let Some(sign) = SIGNS_IN_BRACES.into_iter().find(|sign| rest.starts_with(sign)) else {
            return self.fail(format!("unexpected character inside braces: {first:?}"));
        };
        self.braces = sign != "}";
        self.push(Token::Sign(sign), sign.len());
        Ok(())
    }

    fn bracket(&mut self, first: char) -> Result<(), Error> {
        match (first, self.brackets) {
            ('[', true) => return self.fail("unexpected left bracket '['"),
            (']', false) => return self.fail("unexpected right bracket ']'"),
            ('[', _) => self.push(Token::Sign("["), 1),
            _ => self.push(Token::Sign("]"), 1),
        }
        self.brackets = first == '[';
        Ok(())
    }

    fn number_or_duration(&mut self) -> Result<(), Error> {
        let rest = self.rest();
        let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
        let mut length = 0;
        for (at, c) in rest.char_indices() {
            let signed = matches!(c, '+' | '-') && !hexadecimal && rest[..at].ends_with(['e', 'E']);
            if !is_word(c) && c != '.' && !signed {
                break;
            }
            length = at + c.len_utf8();
        }
        let text = &rest[..length];
        let token = match number(text) {
            Some(value) => Token::Number(value),
            None => match crate::duration::parse(text) {
                Ok(0) => return self.fail("duration must be greater than 0"),
                Ok(duration) => Token::Duration(duration),
                Err(_) => return self.fail(format!("bad number or duration syntax: {text:?}")),
            },
        };
        self.push(token, length);
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), Error> {
        let rest = self.rest();
        let mut bytes = Vec::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => break,
                '\\' => match escape(&rest[at + 1..], quote) {
                    Some((unescaped, length)) => {
                        bytes.extend(unescaped);
                        chars.nth(length - 1);
                    }
                    None => return self.fail("unknown escape sequence"),
                },
                c if c == quote => {
                    self.push(Token::Text(String::from_utf8_lossy(&bytes).into_owned()), at + 1);
                    return Ok(());
                }
                c => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.fail("unterminated quoted string")
    }
}

/// Infinity and "not a number" are keywords, in any case.
fn word(text: &str) -> Token {
    match text.to_ascii_lowercase().as_str() {
        "inf" => Token::Number(f64::INFINITY),
        "nan" => Token::Number(f64::NAN),
        _ => Token::Word(text.into()),
    }
}

/// Whole numbers have the bases of Go's literals, octal by a leading 0 among them (`strconv.ParseInt` with base 0).
fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let whole = match lower.as_bytes() {
        [b'0', b'x', ..] => i64::from_str_radix(&lower[2..], 16),
        [b'0', b'b', ..] => i64::from_str_radix(&lower[2..], 2),
        [b'0', b'o', ..] => i64::from_str_radix(&lower[2..], 8),
        [b'0', _, ..] => i64::from_str_radix(&lower[1..], 8),
        _ => lower.parse(),
    };
    whole.map(|n| n as f64).ok().or_else(|| number::parse(text))
}

/// What follows a backslash: the bytes that it stands for, and its length.
fn escape(text: &str, quote: char) -> Option<(Vec<u8>, usize)> {
    let first = text.chars().next()?;
    let simple = |byte: u8| Some((vec![byte], 1));
    let code = |from: usize, length: usize, radix: u32| {
        let digits = text.get(from..from + length).filter(|d| d.chars().all(|c| c.is_digit(radix)))?;
        u32::from_str_radix(digits, radix).ok()
    };
    let character = |length: usize| {
        let c = char::from_u32(code(1, length, 16)?)?;
        Some((c.encode_utf8(&mut [0; 4]).as_bytes().to_vec(), length + 1))
    };
    match first {
        'a' => simple(7),
        'b' => simple(8),
        'f' => simple(12),
        'n' => simple(b'\n'),
        'r' => simple(b'\r'),
        't' => simple(b'\t'),
        'v' => simple(11),
        '\\' => simple(b'\\'),
        c if c == quote => simple(c as u8),
        '0'..='7' => Some((vec![u8::try_from(code(0, 3, 8)?).ok()?], 3)),
        'x' => Some((vec![code(1, 2, 16)? as u8], 3)),
        'u' => character(4),
        'U' => character(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_tokens() {
        for (text, expected) in [
            ("0x1F", Token::Number(31.0)),
            ("010", Token::Number(8.0)),
            ("08", Token::Number(8.0)),
            ("1e-3", Token::Number(0.001)),
            (".5", Token::Number(0.5)),
            ("1h30m", Token::Duration(5_400_000)),
            ("iNf", Token::Number(f64::INFINITY)),
            ("a:b_1", Token::Word("a:b_1".into())),
            (r#""a\n\"\x41\u00e9\101""#, Token::Text("a\n\"A\u{e9}A".into())),
            (r"'it\'s'", Token::Text("it's".into())),
            (r"`\n`", Token::Text(r"\n".into())),
        ] {
            assert_eq!(tokens(text).map(|t| t[0].0.clone()), Ok(expected), "{text}");
        }
        for text in ["\"a", "\"\\q\"", "`a", "1z", "0s", "a =~ b", "(", ")", "a[", "{", "$", "a]", "\"\\\""] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }
}
