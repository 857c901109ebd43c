//! The header `baggage` (<https://www.w3.org/TR/baggage/>, and
//! `opentelemetry-api/src/opentelemetry/baggage` of opentelemetry-python).

/// Limits of the specification: a header, one entry, how many of them.
const LONGEST_HEADER: usize = 8192;
const LONGEST_ENTRY: usize = 4096;
const MOST_ENTRIES: usize = 180;

/// Values that travel with a call, in order; each name once.
pub type Baggage = Vec<(String, String)>;

/// Reads a header. What is not valid is left out, the rest stays.
pub fn extract(header: &str) -> Baggage {
    let mut baggage = Baggage::new();
    if header.len() > LONGEST_HEADER {
        return baggage;
    }
    for entry in within_limits(header.split(',').map(|entry| entry.trim_matches([' ', '\t']).to_string())) {
        let Some((name, value)) = entry.split_once('=') else { continue };
        let (name, value) = (name.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']));
        if !is_key(name) || !is_value_with_properties(value) {
            continue;
        }
        let (name, value) = (decode(name).trim().to_string(), decode(value).trim().to_string());
        match baggage.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => baggage.push((name, value)),
        }
    }
    baggage
}

/// Writes a header, if there is anything to say. What goes over the limits is left out.
pub fn inject(baggage: &Baggage) -> Option<String> {
    let entries = baggage.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let entries: Vec<_> = within_limits(entries).collect();
    (!entries.is_empty()).then(|| entries.join(","))
}

/// Entries, as many as fit; the first that is too much ends them.
fn within_limits(entries: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let valid = entries.filter(|entry| !entry.is_empty() && entry.is_ascii() && entry.len() <= LONGEST_ENTRY);
    valid.take(MOST_ENTRIES).scan(0, |length, entry| {
        *length += usize::from(*length > 0) + entry.len();
        (*length <= LONGEST_HEADER).then_some(entry)
    })
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c))
}

fn is_value(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic() && !"\",;\\".contains(c))
}

/// `value;property;key=value`.
fn is_value_with_properties(text: &str) -> bool {
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    parts.next().is_some_and(is_value)
        && parts.all(|property| match property.split_once('=') {
            Some((key, value)) => {
                is_key(key.trim_end_matches([' ', '\t'])) && is_value(value.trim_start_matches([' ', '\t']))
            }
            None => is_key(property),
        })
}

/// As forms are encoded: a blank is `+`.
fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b' ' => "+".to_string(),
        b'_' | b'.' | b'-' | b'~' => char::from(b).into(),
        b if b.is_ascii_alphanumeric() => char::from(b).into(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
        match (first, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        for (header, expected) in [
            ("a%20b=1", vec![("a b", "1")]),
            ("a=1=2", vec![("a", "1=2")]),
            ("a=1,a=2", vec![("a", "2")]),
            ("a=%C3%A9", vec![("a", "é")]),
            ("a=1 ; p , b=2;q = x", vec![("a", "1 ; p"), ("b", "2;q = x")]),
            ("a b=1,a=1 2,a=\"x\",a", vec![]),
        ] {
            let expected: Baggage = expected.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            assert_eq!(extract(header), expected, "{header}");
        }
    }

    #[test]
    fn limits() {
        let many: Vec<_> = (0..200).map(|i| format!("k{i}=v")).collect();
        assert_eq!(extract(&many.join(",")).len(), 180);
        let long = vec![("a".to_string(), "x".repeat(5000)), ("b".to_string(), "y".repeat(4000))];
        assert_eq!(inject(&long).map(|header| header.len()), Some(4002));
    }
}
