//! How questions and answers look to people, and what two answers must agree on.

use kit_api::Name;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// A value as people read it, and as it is held against another.
///
/// `lines` shows all that matters and nothing that Kubernetes leaves open: a reconciler's actions, for example, are shown
/// in sorted order. `meaning` says the same without loss, so that no answer passes for another that only looks like it.
pub trait Show: Serialize {
    /// One line for each part that is worth a line in a diff.
    fn lines(&self) -> Vec<String>;

    /// A text that two values share if they mean the same. It is their JSON, but where something is left open.
    fn meaning(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same for a list of such values. Their order counts, unless their contract leaves it open.
    fn meaning_of_list(list: &[Self]) -> String
    where
        Self: Sized,
    {
        format!("{:?}", list.iter().map(Show::meaning).collect::<Vec<_>>())
    }
}

/// What a list means whose order is left open.
pub(crate) fn unordered(items: impl IntoIterator<Item = impl Serialize>) -> String {
    let mut items: Vec<_> = items.into_iter().map(|item| serde_json::to_string(&item).unwrap_or_default()).collect();
    items.sort();
    format!("{items:?}")
}

impl<T: Show> Show for Vec<T> {
    fn lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["none".into()];
        }
        self.iter().flat_map(Show::lines).collect()
    }
    fn meaning(&self) -> String {
        T::meaning_of_list(self)
    }
}

impl<T: Show> Show for Option<T> {
    fn lines(&self) -> Vec<String> {
        self.as_ref().map_or_else(|| vec!["none".into()], Show::lines)
    }
    fn meaning(&self) -> String {
        format!("{:?}", self.as_ref().map(Show::meaning))
    }
}

impl<T: Show, E: Show> Show for Result<T, E> {
    fn lines(&self) -> Vec<String> {
        match self {
            Ok(value) => value.lines(),
            Err(error) => error.lines().into_iter().map(|line| format!("error: {line}")).collect(),
        }
    }
    fn meaning(&self) -> String {
        format!("{:?}", self.as_ref().map(Show::meaning).map_err(Show::meaning))
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn lines(&self) -> Vec<String> {
        (**self).lines()
    }
    fn meaning(&self) -> String {
        (**self).meaning()
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

impl Show for BTreeSet<String> {
    fn lines(&self) -> Vec<String> {
        if self.is_empty() { vec!["none".into()] } else { self.iter().cloned().collect() }
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

/// Numbers with few digits, of which there are many, may lie where rounding goes up or down: seldom do their products with this.
const ASIDE: f64 = 1.000_000_000_271_828;

/// What a number means whose last digits depend on the order of sums: its first nine digits, and nothing of what subtraction
/// leaves of equal numbers.
pub(crate) fn nine_digits(number: f64) -> String {
    if number.abs() < 1e-12 { "0".into() } else { format!("{:.8e}", number * ASIDE) }
}

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

#[cfg(test)]
mod tests {
    use super::nine_digits;

    #[test]
    fn what_the_order_of_a_sum_leaves_means_nothing() {
        // Rounded as they are, the first goes down and the second up.
        assert_eq!(nine_digits(33.68132875), nine_digits(33.681328750000006));
        assert_ne!(nine_digits(33.68132875), nine_digits(33.68133));
        assert_eq!(nine_digits(0.1 + 0.2 - 0.3), nine_digits(0.0));
    }
}
