//! How questions and answers look to people, and what two answers are compared by.

use kit_api::Name;
use serde::Serialize;
use serde_json::Value;

/// A value as lines of text.
///
/// Answers are compared as they are shown. So `lines` must show all that matters and nothing that
/// Kubernetes leaves open: a reconciler's actions, for example, are shown in sorted order.
pub trait Show {
    /// One line for each part that is worth a line in a diff.
    fn lines(&self) -> Vec<String>;
}

impl<T: Show> Show for Vec<T> {
    fn lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["none".into()];
        }
        self.iter().flat_map(Show::lines).collect()
    }
}

impl<T: Show> Show for Option<T> {
    fn lines(&self) -> Vec<String> {
        self.as_ref().map_or_else(|| vec!["none".into()], Show::lines)
    }
}

impl<T: Show, E: Show> Show for Result<T, E> {
    fn lines(&self) -> Vec<String> {
        match self {
            Ok(value) => value.lines(),
            Err(error) => error.lines().into_iter().map(|line| format!("error: {line}")).collect(),
        }
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn lines(&self) -> Vec<String> {
        (**self).lines()
    }
}

impl Show for () {
    fn lines(&self) -> Vec<String> {
        vec!["done".into()]
    }
}

impl Show for String {
    fn lines(&self) -> Vec<String> {
        vec![scalar(self)]
    }
}

impl Show for Name {
    fn lines(&self) -> Vec<String> {
        vec![scalar(self)]
    }
}

/// What was said of one node, or of anything else with a name.
impl<T: Show> Show for (Name, T) {
    fn lines(&self) -> Vec<String> {
        let (name, said) = self;
        said.lines().into_iter().map(|line| format!("{}  {line}", scalar(name))).collect()
    }
}

macro_rules! plain {
    ($($t:ty)*) => {$(
        impl Show for $t {
            fn lines(&self) -> Vec<String> { vec![self.to_string()] }
        }
    )*};
}
plain!(bool i32 i64 u32 u64 f64);

/// Any serializable value on one line, as YAML's flow style: `{key: dedicated, effect: NoSchedule}`.
pub fn flow(value: &impl Serialize) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::String(s) => out.push_str(&scalar(s)),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    write(item, out);
                }
                out.push(']');
            }
            Value::Object(fields) => {
                out.push('{');
                for (i, (key, item)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    out.push_str(&scalar(key));
                    out.push_str(": ");
                    write(item, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(&serde_json::to_value(value).unwrap_or(Value::Null), &mut out);
    out
}

/// A string as it is where nobody can misread it, in quotes elsewhere (control characters above all: an
/// answer must not be able to forge a line).
fn scalar(s: &str) -> String {
    let plain = !s.is_empty()
        && s.chars().all(|c| c.is_alphanumeric() || " -_./*<>!+%@^~".contains(c) || (c == ':' && !s.ends_with(':')))
        && s.trim() == s;
    if plain { s.to_string() } else { format!("{s:?}") }
}
