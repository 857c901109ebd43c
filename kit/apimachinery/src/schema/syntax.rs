//! What is wrong with a text that is no JSON, in the words of Go's decoder.
//!
//! Source: Go's `encoding/json/scanner.go`, which `sigs.k8s.io/json` takes over.

/// What the scanner waits for.
#[derive(Clone, Copy)]
enum Wait {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    /// What may follow a value.
    End,
    /// The rest of a string.
    Text,
    Escape,
    /// So many hexadecimal digits.
    Hex(u8),
    /// The rest of `true`, `false` or `null`, and how much of it was read.
    Literal(&'static str, usize),
    Number(Digits),
}

/// Where in a number the scanner is.
#[derive(Clone, Copy)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Dot,
    Fraction,
    E,
    Sign,
    Exponent,
}

/// What is open, and what of it was read last.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Key,
    Member,
    Item,
}

/// Why Go finds the text to be no JSON; none if it is JSON.
pub fn syntax_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { open: Vec::new(), wait: Wait::Value };
    for byte in text {
        if let Err(context) = scanner.step(*byte) {
            return Some(format!("invalid character {} {context}", shown(*byte)));
        }
    }
    (!scanner.ends()).then(|| "unexpected end of JSON input".into())
}

/// A character as Go quotes it.
fn shown(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        b'\t' => r"'\t'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        0x07 => r"'\a'".into(),
        0x08 => r"'\b'".into(),
        0x0b => r"'\v'".into(),
        0x0c => r"'\f'".into(),
        0x20..0x7f => format!("'{}'", char::from(byte)),
        0x00..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        0x80..0xa1 | 0xad => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

struct Scanner {
    open: Vec<Open>,
    wait: Wait,
}

impl Scanner {
    /// Takes one byte; the error is where it doesn't belong.
    fn step(&mut self, byte: u8) -> Result<(), String> {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.wait {
            Wait::Value | Wait::ValueOrEnd | Wait::Key | Wait::KeyOrEnd | Wait::End if blank => Ok(()),
            Wait::ValueOrEnd if byte == b']' => self.close(),
            Wait::Value | Wait::ValueOrEnd => self.begin(byte),
            Wait::KeyOrEnd if byte == b'}' => self.close(),
            Wait::Key | Wait::KeyOrEnd => match byte {
                b'"' => self.go(Wait::Text),
                _ => Err("looking for beginning of object key string".into()),
            },
            Wait::End => self.end(byte),
            Wait::Text => match byte {
                b'"' => self.go(Wait::End),
                b'\\' => self.go(Wait::Escape),
                0..0x20 => Err("in string literal".into()),
                _ => Ok(()),
            },
            Wait::Escape => match byte {
                b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.go(Wait::Text),
                b'u' => self.go(Wait::Hex(4)),
                _ => Err("in string escape code".into()),
            },
            Wait::Hex(left) => match byte.is_ascii_hexdigit() {
                true => self.go(if left == 1 { Wait::Text } else { Wait::Hex(left - 1) }),
                false => Err("in \\u hexadecimal character escape".into()),
            },
            Wait::Literal(word, read) => match word.as_bytes().get(read) {
                Some(expected) if *expected == byte => match read + 1 == word.len() {
                    true => self.go(Wait::End),
                    false => self.go(Wait::Literal(word, read + 1)),
                },
                expected => {
                    let expected = expected.copied().map(char::from).unwrap_or_default();
                    Err(format!("in literal {word} (expecting '{expected}')"))
                }
            },
            Wait::Number(at) => self.number(at, byte),
        }
    }

    fn go(&mut self, wait: Wait) -> Result<(), String> {
        self.wait = wait;
        Ok(())
    }

    fn begin(&mut self, byte: u8) -> Result<(), String> {
        let wait = match byte {
            b'{' => {
                self.open.push(Open::Key);
                Wait::KeyOrEnd
            }
            b'[' => {
                self.open.push(Open::Item);
                Wait::ValueOrEnd
            }
            b'"' => Wait::Text,
            b'-' => Wait::Number(Digits::Minus),
            b'0' => Wait::Number(Digits::Zero),
            b'1'..=b'9' => Wait::Number(Digits::Whole),
            b't' => Wait::Literal("true", 1),
            b'f' => Wait::Literal("false", 1),
            b'n' => Wait::Literal("null", 1),
            _ => return Err("looking for beginning of value".into()),
        };
        self.go(wait)
    }

    fn close(&mut self) -> Result<(), String> {
        self.open.pop();
        self.go(Wait::End)
    }

    fn end(&mut self, byte: u8) -> Result<(), String> {
        match (self.open.last().copied(), byte) {
            (Some(Open::Key), b':') => {
                self.open.pop();
                self.open.push(Open::Member);
                self.go(Wait::Value)
            }
            (Some(Open::Key), _) => Err("after object key".into()),
            (Some(Open::Member), b',') => {
                self.open.pop();
                self.open.push(Open::Key);
                self.go(Wait::Key)
            }
            (Some(Open::Member), b'}') | (Some(Open::Item), b']') => self.close(),
            (Some(Open::Member), _) => Err("after object key:value pair".into()),
            (Some(Open::Item), b',') => self.go(Wait::Value),
            (Some(Open::Item), _) => Err("after array element".into()),
            (None, _) => Err("after top-level value".into()),
        }
    }

    fn number(&mut self, at: Digits, byte: u8) -> Result<(), String> {
        let digit = byte.is_ascii_digit();
        let next = match (at, byte) {
            (Digits::Minus, b'0') => Digits::Zero,
            (Digits::Minus, b'1'..=b'9') => Digits::Whole,
            (Digits::Minus, _) => return Err("in numeric literal".into()),
            (Digits::Whole, _) if digit => Digits::Whole,
            (Digits::Zero | Digits::Whole, b'.') => Digits::Dot,
            (Digits::Zero | Digits::Whole | Digits::Fraction, b'e' | b'E') => Digits::E,
            (Digits::Dot | Digits::Fraction, _) if digit => Digits::Fraction,
            (Digits::Dot, _) => return Err("after decimal point in numeric literal".into()),
            (Digits::E, b'+' | b'-') => Digits::Sign,
            (Digits::E | Digits::Sign | Digits::Exponent, _) if digit => Digits::Exponent,
            (Digits::E | Digits::Sign, _) => return Err("in exponent of numeric literal".into()),
            // The number has ended, and the byte belongs to what comes after it.
            (Digits::Zero | Digits::Whole | Digits::Fraction | Digits::Exponent, _) => {
                self.wait = Wait::End;
                return self.step(byte);
            }
        };
        self.go(Wait::Number(next))
    }

    /// Whether the text may end here.
    fn ends(&mut self) -> bool {
        // What ends a number is what comes after it.
        self.step(b' ').is_ok() && matches!(self.wait, Wait::End) && self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_json_are_told_of_as_go_does() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("[1, 2", "unexpected end of JSON input"),
            ("nul", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{a", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} {}", "invalid character '{' after top-level value"),
            ("\"\n\"", r"invalid character '\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12g""#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("trie", "invalid character 'i' in literal true (expecting 'u')"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
        ] {
            assert_eq!(syntax_error(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
        for text in ["1", " -0.5e+3 ", "null", r#"{"a": [1, {"b": "\u00e4\n"}, []], "c": {}}"#] {
            assert_eq!(syntax_error(text.as_bytes()), None, "{text}");
        }
    }
}
