//! An absolute number or a percentage of a total, such as `maxSurge: 25%`.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/util/intstr/intstr.go`.

pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a fraction of one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Away from zero for positive values (`math.Ceil`).
    Up,
    /// `math.Floor`.
    Down,
}

/// The number itself, or that share of `total` (`GetScaledValueFromIntOrPercent`).
///
/// # Errors
///
/// A text that is no integer with a `%` behind it, with upstream's message.
pub fn scaled(value: &IntOrString, total: i32, round: Round) -> Result<i32, String> {
    let text = match value {
        IntOrString::Int(number) => return Ok(*number),
        IntOrString::String(text) => text,
    };
    let wrong = |reason: String| format!("invalid value for IntOrString: {reason}");
    let digits = text.strip_suffix('%').ok_or_else(|| wrong("invalid type: string is not a percentage".to_string()))?;
    let percent = atoi(digits)
        .map_err(|reason| wrong(format!("invalid value {text:?}: strconv.Atoi: parsing {digits:?}: {reason}")))?;
    let share = percent as f64 * f64::from(total) / 100.0;
    // Go's int has 64 bits, and its callers keep the lower 32.
    Ok(match round {
        Round::Up => share.ceil(),
        Round::Down => share.floor(),
    } as i64 as i32)
}

/// Go's `strconv.Atoi`: 64 bits, with a sign, without anything else.
fn atoi(text: &str) -> Result<i64, &'static str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("invalid syntax");
    }
    text.parse().map_err(|_| "value out of range")
}
