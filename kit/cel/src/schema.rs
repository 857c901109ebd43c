//! Names of fields in expressions: what is no name in CEL is written in another way.
//!
//! Source: `apiserver/pkg/cel/escaping.go`.

const KEYWORDS: [&str; 20] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];
const SIGNS: [(&str, &str); 4] = [("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// A field's name as expressions write it; nothing if there is no way to write it.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if KEYWORDS.contains(&name) || name == "while" {
        return Some(format!("__{name}__"));
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some((sign, long)) = SIGNS.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
            out += long;
            rest = &rest[sign.len()..];
        } else if c == '_' || c.is_ascii_alphanumeric() {
            out.push(c);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(out)
}

/// The field's name that is written so.
pub fn unescape(name: &str) -> String {
    let inner = name.strip_prefix("__").and_then(|name| name.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| KEYWORDS.contains(word) || *word == "while") {
        return word.into();
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        match SIGNS.into_iter().find(|(_, long)| rest.starts_with(long)) {
            Some((sign, long)) => {
                out += sign;
                rest = &rest[long.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}
