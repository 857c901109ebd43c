//! `traceparent` and `tracestate` (<https://www.w3.org/TR/trace-context/>; where the specification leaves a choice,
//! `opentelemetry-api/src/opentelemetry/trace` of opentelemetry-python).

/// Headers longer than this are not read.
const LONGEST_PARENT: usize = 512;
const LONGEST_STATE: usize = 8192;
/// With more members, none is kept.
const MOST_MEMBERS: usize = 32;

/// Which span a call was made under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The same for all spans of a trace; never zero.
    pub trace_id: u128,
    /// The span itself; never zero.
    pub span_id: u64,
    /// Bit 0: the trace is sampled. Others are passed on as they are.
    pub flags: u8,
    /// What vendors add, the newest first.
    pub state: Vec<(String, String)>,
}

impl SpanContext {
    /// Reads the headers of a call. `None`: there is nothing valid, so a new trace begins, and the state is dropped, too.
    /// Of several `traceparent`s the first counts.
    pub fn extract(parents: &[&str], states: &[&str]) -> Option<SpanContext> {
        let parent = parents.first().filter(|parent| parent.len() <= LONGEST_PARENT)?;
        let parent = parent.trim_start_matches([' ', '\t']);
        let (version, rest) = hex(parent, 2)?;
        let (trace_id, rest) = hex(rest.strip_prefix('-')?, 32)?;
        let (span_id, rest) = hex(rest.strip_prefix('-')?, 16)?;
        let (flags, rest) = hex(rest.strip_prefix('-')?, 2)?;
        // A later version may have more fields; this one has not.
        let ends = rest.trim_matches([' ', '\t']).is_empty();
        if version == 0xff || !(ends || version != 0 && rest.starts_with('-')) || trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(SpanContext { trace_id, span_id: span_id as u64, flags: flags as u8, state: state(states) })
    }

    /// Whether the caller keeps this trace.
    pub fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The header `traceparent` of a call that is made under this span.
    pub fn parent_header(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }

    /// The header `tracestate`, if there is anything to say.
    pub fn state_header(&self) -> Option<String> {
        let members: Vec<_> = self.state.iter().map(|(key, value)| format!("{key}={value}")).collect();
        (!members.is_empty()).then(|| members.join(","))
    }
}

/// The number that `text` begins with; large letters are no digits here.
fn hex(text: &str, digits: usize) -> Option<(u128, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let valid = number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Some((u128::from_str_radix(number, 16).ok().filter(|_| valid)?, rest))
}

/// All members, or none if one of them is not valid.
fn state(headers: &[&str]) -> Vec<(String, String)> {
    let length = headers.iter().map(|header| header.chars().count()).sum::<usize>() + headers.len().saturating_sub(1);
    let mut members: Vec<(String, String)> = Vec::new();
    let all = headers.iter().flat_map(|header| header.split(',')).map(|member| member.trim_matches([' ', '\t']));
    for member in all.filter(|member| !member.is_empty()) {
        match member.split_once('=') {
            Some((key, value)) if is_key(key) && is_value(value) && members.iter().all(|(k, _)| k != key) => {
                members.push((key.into(), value.into()));
            }
            _ => return Vec::new(),
        }
    }
    if members.len() > MOST_MEMBERS || length > LONGEST_STATE { Vec::new() } else { members }
}

/// A name, or a tenant and a system around `@`.
fn is_key(key: &str) -> bool {
    let part = |text: &str, longest: usize, digit_first: bool| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/".contains(c);
        let first = |c: char| c.is_ascii_lowercase() || digit_first && c.is_ascii_digit();
        text.starts_with(first) && text.len() <= longest && text.chars().all(fits)
    };
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
        None => part(key, 256, false),
    }
}

fn is_value(value: &str) -> bool {
    let fits = |c: char| matches!(c, ' '..='~') && c != ',' && c != '=';
    (1..=256).contains(&value.len()) && value.chars().all(fits) && !value.ends_with(' ')
}
