//! JSON as it arrives: a value, and the fields that were there twice.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Paths of fields that were there twice.
pub type Duplicates = Vec<String>;

/// Reads a value; of two fields of one name the last one counts, as Go has it.
///
/// # Errors
///
/// If the text is not JSON.
pub fn parse(text: &str) -> Result<(Value, Duplicates), serde_json::Error> {
    let duplicates = RefCell::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed { path: Path::Root, duplicates: &duplicates }.deserialize(&mut reader)?;
    reader.end()?;
    Ok((value, duplicates.into_inner()))
}

/// Where in the document something is. It is only written down where it is told of.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(of, name) => write!(f, "{of}.{name}"),
            Path::Item(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}

struct Seed<'a> {
    path: Path<'a>,
    duplicates: &'a RefCell<Duplicates>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = Path::Item(&self.path, items.len());
            match access.next_element_seed(Seed { path, duplicates: self.duplicates })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let path = Path::Field(&self.path, &name);
            let value = access.next_value_seed(Seed { path, duplicates: self.duplicates })?;
            let path = fields.contains_key(&name).then(|| path.to_string());
            fields.insert(name, value);
            if let Some(path) = path.filter(|path| !self.duplicates.borrow().contains(path)) {
                self.duplicates.borrow_mut().push(path);
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_counts_and_both_are_told() {
        let (value, twice) = parse(r#"{"a": [{"b": 1, "b": 2}]}"#).expect("JSON");
        assert_eq!((value["a"][0]["b"].as_i64(), twice), (Some(2), vec!["a[0].b".to_string()]));
        assert!(parse("{} {}").is_err());
    }
}
