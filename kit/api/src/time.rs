//! Times as objects have them, which is all that their JSON can say.

use crate::jiff::Timestamp;
use crate::meta::{MicroTime, Time};

/// Whole seconds; what is beyond them is left out (`metav1.Time`).
pub fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// Whole microseconds, for leases (`metav1.MicroTime`).
pub fn micros(at: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_what_is_read_after_it_was_written() {
        let at = Timestamp::from_nanosecond(1_748_779_201_002_003_004).expect("a time");
        let (time, micro) = (seconds(at), micros(at));
        assert_eq!(serde_json::to_string(&time).and_then(|json| serde_json::from_str(&json)).ok(), Some(time));
        assert_eq!(serde_json::to_string(&micro).and_then(|json| serde_json::from_str(&json)).ok(), Some(micro));
    }
}
