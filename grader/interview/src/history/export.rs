//! The whole history as one JSON value.

use super::History;
use anyhow::Result;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value, json};

/// Of the form of the export; another one whenever a reader of the old one would be misled.
const VERSION: u32 = 1;

/// The columns that hold JSON.
const JSON: [&str; 3] = ["plan", "report", "event"];

impl History {
    /// Everything: `{version, sessions: [{…, events: […]}], cards: […], reviews: […]}`, with times in milliseconds since
    /// the beginning of 1970.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub fn export(&self) -> Result<Value> {
        // What is written meanwhile is in all of it or in none.
        let transaction = self.connection.unchecked_transaction()?;
        let mut sessions = self.rows("SELECT * FROM sessions ORDER BY id", &[])?;
        for session in &mut sessions {
            let id = session["id"].as_i64().unwrap_or_default();
            let events = self.rows("SELECT at, event FROM events WHERE session = ?1 ORDER BY number", &[id])?;
            session["events"] = events.into();
        }
        let cards = self.rows("SELECT * FROM cards ORDER BY card", &[])?;
        let reviews = self.rows("SELECT * FROM reviews ORDER BY at, rowid", &[])?;
        transaction.finish()?;
        Ok(json!({"version": VERSION, "sessions": sessions, "cards": cards, "reviews": reviews}))
    }

    fn rows(&self, query: &str, of: &[i64]) -> Result<Vec<Value>> {
        let mut statement = self.connection.prepare(query)?;
        let names: Vec<String> = statement.column_names().map(ToString::to_string).collect();
        let rows = statement.query_map(rusqlite::params_from_iter(of), |row| {
            let mut fields = Map::new();
            for (at, name) in names.iter().enumerate() {
                let value = match row.get_ref(at)? {
                    ValueRef::Integer(number) => number.into(),
                    ValueRef::Real(number) => number.into(),
                    ValueRef::Text(text) => {
                        let text = String::from_utf8_lossy(text).into_owned();
                        let read = JSON.contains(&name.as_str()).then(|| serde_json::from_str(&text).ok()).flatten();
                        read.unwrap_or(Value::String(text))
                    }
                    _ => Value::Null,
                };
                fields.insert(name.clone(), value);
            }
            Ok(Value::Object(fields))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
