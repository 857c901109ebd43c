//! What a line from a worker means.

use super::{Kind, Loss};
use crate::commands::settings::SHOWN;
use kit_contract::wire::{Answer, FailureKind};

/// The answer to question `id`, as JSON.
pub fn decode(line: &[u8], id: u64) -> Result<String, Loss> {
    let answer: Answer = serde_json::from_slice(line).map_err(|e| {
        let start: String = String::from_utf8_lossy(line).chars().take(60).collect();
        Loss::protocol(format!("{:?} is not an answer: {e}", start.trim_end()))
    })?;
    if answer.id != id {
        return Err(Loss::protocol(format!("it answered question {} when {id} was asked", answer.id)));
    }
    match (answer.answer, answer.error) {
        (Some(answer), None) => Ok(answer.get().to_string()),
        (None, Some(failure)) => {
            let at = failure.at.map_or(String::new(), |at| format!(" at {at}"));
            let message = format!("{}{at}", shortened(failure.message));
            Err(match failure.kind {
                FailureKind::NotStarted => Loss::NotStarted(message),
                FailureKind::Panic => Loss::Error(Kind::Panic, message),
                FailureKind::Protocol => Loss::protocol(message),
            })
        }
        _ => Err(Loss::protocol("an answer has either `answer` or `error`")),
    }
}

/// A message, or its beginning.
fn shortened(mut message: String) -> String {
    let all = message.len();
    if all > SHOWN {
        let end = (0..=SHOWN).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
        message.truncate(end);
        message += &format!("… (its message has {all} bytes; this is its beginning)");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            let names = proptest::collection::hash_map(".*", inner.clone(), 0..8);
            prop_oneof![
                proptest::collection::vec(inner, 0..8).prop_map(Value::from),
                names.prop_map(|fields| fields.into_iter().collect::<Value>()),
            ]
        })
    }

    /// A good line with some bytes changed, taken out or put in.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>(), any::<bool>()), 0..4);
        (value(), 0..4_u64, edits).prop_map(|(answer, id, edits)| {
            let mut line = json!({"id": id, "answer": answer}).to_string().into_bytes();
            for (at, byte, insert) in edits {
                let at = at.index(line.len());
                match byte {
                    Some(byte) if insert => line.insert(at, byte),
                    Some(byte) => line[at] = byte,
                    None if line.len() > 1 => _ = line.remove(at),
                    None => {}
                }
            }
            line
        })
    }

    /// What may count as an answer, said another way: one object with this id, an `answer`, and nothing else.
    fn is_answer(line: &[u8], id: u64) -> bool {
        let Ok(fields) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(line) else { return false };
        fields.iter().all(|(name, value)| match name.as_str() {
            "id" => value.get() == id.to_string(),
            "answer" => true,
            "error" => value.get() == "null",
            _ => false,
        }) && ["id", "answer"].iter().all(|name| fields.contains_key(*name))
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_answer_or_has_a_name(line in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert_eq!(decode(&line, 0).is_ok(), is_answer(&line, 0));
        }

        #[test]
        fn damaged_answers_are_taken_only_if_they_still_are_answers(line in damaged()) {
            match decode(&line, 1) {
                Ok(_) => prop_assert!(is_answer(&line, 1)),
                Err(Loss::Error(kind, message)) => {
                    prop_assert_eq!(kind, Kind::Protocol);
                    prop_assert!(!message.is_empty());
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn answers_arrive_unchanged(answer in value(), id in any::<u64>()) {
            let line = json!({"id": id, "answer": answer}).to_string();
            let arrived = decode(line.as_bytes(), id).map(|text| serde_json::from_str::<Value>(&text).ok());
            prop_assert!(matches!(arrived, Ok(Some(seen)) if seen == answer), "{}", line);
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let deep = format!("{{\"id\":0,\"answer\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let cases: [(&[u8], &str); 12] = [
            (b"", "is not an answer"),
            (b"\xff\xfe", "is not an answer"),
            (b"null", "is not an answer"),
            (br#"{"id":0}"#, "either `answer` or `error`"),
            (br#"{"id":0,"answer":NaN}"#, "is not an answer"),
            (br#"{"id":-1,"answer":1}"#, "is not an answer"),
            (br#"{"id":7,"answer":1}"#, "it answered question 7 when 0 was asked"),
            (br#"{"id":0,"answer":1,"status":"passed"}"#, "unknown field `status`"),
            (br#"{"id":0,"id":0,"answer":1}"#, "duplicate field `id`"),
            (br#"{"id":0,"answer":1}{"id":1,"answer":1}"#, "trailing characters"),
            (br#"{"id":0,"answer":1,"error":{"kind":"panic","message":""}}"#, "either `answer` or `error`"),
            (br#"{"id":0,"error":{"kind":"passed","message":""}}"#, "unknown variant `passed`"),
        ];
        for (line, expected) in cases {
            let Err(Loss::Error(Kind::Protocol, message)) = decode(line, 0) else { panic!("{line:?}") };
            assert!(message.contains(expected), "{line:?}: {message}");
        }
        // Raw text until the contract's type reads it: that reader has a limit of its own.
        let raw = decode(deep.as_bytes(), 0).expect("brackets that match");
        assert!(serde_json::from_str::<Value>(&raw).is_err());
    }
}
