//! What sessions and practice leave on disk: one SQLite file, on this machine only.
//!
//! Two programs may have it open at once, a session and a practice, or two sessions: each change is a transaction of its
//! own, and whoever finds the file locked waits. Times are milliseconds since the beginning of 1970.

pub mod command;
mod export;
mod keep;
mod schema;

pub use keep::Keeper;

use crate::session::event::Entry;
use crate::session::plan::Plan;
use anyhow::{Context, Result, bail};
use rs_fsrs::{Card, FSRS, Parameters, Rating, State};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The file's name.
const FILE: &str = "history.sqlite";
/// What the names of cards begin with that are questions about fresh scenarios, and not those of the content.
pub const FRESH: &str = "fresh/";
/// Whoever finds the file locked waits so long: no change takes more than milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sessions, answers and cards.
pub struct History {
    connection: Connection,
    file: PathBuf,
}

/// A session that has no end yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub began: i64,
    /// When somebody was there last.
    pub heard: i64,
}

/// A session as a row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub began: i64,
    /// What it asked.
    pub plan: Value,
    /// When it ended, if it has.
    pub finished: Option<i64>,
    /// What came of it, once it has ended.
    pub report: Option<Value>,
}

/// An answer to the question of a card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Review {
    /// How well it went.
    pub rating: Rating,
    /// From 0 to 1.
    pub right: f64,
    /// How long it took, in milliseconds.
    pub ms: i64,
}

/// A card whose question comes again.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The name of its question.
    pub name: String,
    /// When it comes again.
    pub due: i64,
    /// When it was answered first.
    pub added: i64,
    /// How often it was answered wrong after it was known.
    pub lapses: i32,
}

/// The folder of this user: `$CARGO_GRADE_HOME`, or the usual place for data.
///
/// # Errors
///
/// If nothing says where a home is.
pub fn folder() -> Result<PathBuf> {
    home(|name| std::env::var_os(name))
}

fn home(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let there = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let own = there("CARGO_GRADE_HOME");
    // The specification of base directories says that a relative path is no path here.
    let data = || there("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("cargo-grade"));
    let usual = || there("HOME").map(|path| path.join(".local/share/cargo-grade"));
    own.or_else(data).or_else(usual).context(
        "no place for the history of your practice: set CARGO_GRADE_HOME to a folder, since neither XDG_DATA_HOME nor HOME is set",
    )
}

impl History {
    /// Opens the history of a folder, which is made if it isn't there.
    ///
    /// # Errors
    ///
    /// If it can't be read or written, or was written by a newer version of this program.
    pub fn open(folder: &Path) -> Result<History> {
        std::fs::create_dir_all(folder).with_context(|| format!("can't make the folder {}", folder.display()))?;
        let file = folder.join(FILE);
        let connection = connect(&file)?;
        schema::migrate(&connection, schema::STEPS).with_context(|| file.display().to_string())?;
        Ok(History { connection, file })
    }

    /// Where it lies.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A new session; its number.
    ///
    /// # Errors
    ///
    /// If it can't be kept. So it is with all that follows.
    pub fn begin(&self, plan: &Plan, now: i64) -> Result<i64> {
        let plan = serde_json::to_string(plan)?;
        self.connection.execute("INSERT INTO sessions (began, plan, heard) VALUES (?1, ?2, ?1)", params![now, plan])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// What keeps the events of a session.
    ///
    /// # Errors
    ///
    /// If there is no such session.
    pub fn keeper(&self, id: i64) -> Result<Keeper> {
        Keeper::new(connect(&self.file)?, id)
    }

    /// The events of a session.
    ///
    /// # Errors
    ///
    /// If there is no such session, or what is kept is not what this version wrote.
    pub fn load(&self, id: i64) -> Result<Vec<Entry>> {
        if !keep::is_there(&self.connection, id)? {
            bail!("there is no session {id} in {}", self.file.display());
        }
        let mut events = self.connection.prepare("SELECT at, event FROM events WHERE session = ?1 ORDER BY number")?;
        let rows = events.query_map([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (at, event) = row?;
            let event = serde_json::from_str(&event).with_context(|| format!("an event of session {id}: {event}"))?;
            Ok(Entry { at, event })
        })
        .collect()
    }

    /// The newest session, if it has no end.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub fn unfinished(&self) -> Result<Option<Unfinished>> {
        let newest = "SELECT id, began, heard FROM sessions WHERE finished IS NULL ORDER BY id DESC LIMIT 1";
        let read = |row: &Row<'_>| Ok(Unfinished { id: row.get(0)?, began: row.get(1)?, heard: row.get(2)? });
        Ok(self.connection.query_row(newest, [], read).optional()?)
    }

    /// A session has ended, and this came of it. A report that is made anew replaces the one before.
    ///
    /// # Errors
    ///
    /// If there is no such session.
    pub fn finish(&self, id: i64, report: &Value, now: i64) -> Result<()> {
        let changed = self.connection.execute(
            "UPDATE sessions SET finished = coalesce(finished, ?2), report = ?3 WHERE id = ?1",
            params![id, now, report.to_string()],
        )?;
        if changed == 0 {
            bail!("there is no session {id} in {}", self.file.display());
        }
        Ok(())
    }

    /// All sessions, the oldest first.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn attempts(&self) -> Result<Vec<Attempt>> {
        let mut all =
            self.connection.prepare("SELECT id, began, plan, finished, report FROM sessions ORDER BY began, id")?;
        let rows = all.query_map([], |row| {
            let text: Option<String> = row.get(4)?;
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?, text))
        })?;
        rows.map(|row| {
            let (id, began, plan, finished, report) = row?;
            let read = |text: &str| serde_json::from_str(text).with_context(|| format!("session {id}: {text}"));
            let report = report.as_deref().map(read).transpose()?;
            Ok(Attempt { id, began, plan: read(&plan)?, finished, report })
        })
        .collect()
    }

    /// The cards whose time has come, the longest overdue first.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn due(&self, now: i64) -> Result<Vec<Waiting>> {
        let mut all = self.cards()?;
        all.retain(|card| card.due <= now);
        Ok(all)
    }

    /// All cards, the next one first.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn cards(&self) -> Result<Vec<Waiting>> {
        let mut all = self.connection.prepare("SELECT card, due, added, lapses FROM cards ORDER BY due, card")?;
        let rows = all.query_map([], |row| {
            Ok(Waiting { name: row.get(0)?, due: row.get(1)?, added: row.get(2)?, lapses: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A question was answered: its card comes again when it is about to be forgotten. Returns when that is.
    ///
    /// # Errors
    ///
    /// If it can't be kept.
    pub fn review(&mut self, name: &str, review: Review, now: i64) -> Result<i64> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let known = transaction
            .query_row("SELECT due, stability, difficulty, elapsed_days, scheduled_days, reps, lapses, state, last_review FROM cards WHERE card = ?1", [name], card)
            .optional()?;
        let new = || Card { due: time(now), last_review: time(now), ..Card::default() };
        // Days are what practice is counted in: nobody sits here ten minutes after a mistake, which is when the steps of the
        // short term would bring it again.
        let fsrs = FSRS::new(Parameters { enable_short_term: false, ..Parameters::default() });
        let Card { due, stability, difficulty, elapsed_days, scheduled_days, reps, lapses, state, last_review } =
            fsrs.next(known.unwrap_or_else(new), time(now), review.rating).card;
        let due = due.timestamp_millis();
        transaction.execute(
            "INSERT INTO cards (card, added, due, stability, difficulty, elapsed_days, scheduled_days, reps, lapses, state, last_review)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (card) DO UPDATE SET due = ?3, stability = ?4, difficulty = ?5, elapsed_days = ?6,
             scheduled_days = ?7, reps = ?8, lapses = ?9, state = ?10, last_review = ?11",
            params![
                name, now, due, stability, difficulty, elapsed_days, scheduled_days, reps, lapses, state as i64,
                last_review.timestamp_millis(),
            ],
        )?;
        note(&transaction, name, review, now)?;
        transaction.commit()?;
        Ok(due)
    }

    /// A question was answered that needs no card.
    ///
    /// # Errors
    ///
    /// If it can't be kept.
    pub fn answered(&self, name: &str, review: Review, now: i64) -> Result<()> {
        note(&self.connection, name, review, now)
    }

    /// Takes a card out, whose question is no longer there.
    ///
    /// # Errors
    ///
    /// If it can't be changed.
    pub fn forget(&self, name: &str) -> Result<()> {
        self.connection.execute("DELETE FROM cards WHERE card = ?1", [name])?;
        Ok(())
    }

    /// Takes everything out, and leaves nothing of it in the file.
    ///
    /// # Errors
    ///
    /// If it can't be changed.
    pub fn erase(&self) -> Result<()> {
        self.connection.execute_batch(
            "PRAGMA secure_delete = ON;
             BEGIN IMMEDIATE; DELETE FROM events; DELETE FROM sessions; DELETE FROM reviews; DELETE FROM cards; COMMIT;
             VACUUM; PRAGMA wal_checkpoint(TRUNCATE);",
        )?;
        Ok(())
    }
}

fn note(connection: &Connection, name: &str, review: Review, now: i64) -> Result<()> {
    let Review { rating, right, ms } = review;
    connection.execute(
        "INSERT INTO reviews (card, at, rating, right, ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name, now, rating as i64, right, ms],
    )?;
    Ok(())
}

fn card(row: &Row<'_>) -> rusqlite::Result<Card> {
    let state = match row.get(7)? {
        1_i64 => State::Learning,
        2 => State::Review,
        3 => State::Relearning,
        _ => State::New,
    };
    Ok(Card {
        due: time(row.get(0)?),
        stability: row.get(1)?,
        difficulty: row.get(2)?,
        elapsed_days: row.get(3)?,
        scheduled_days: row.get(4)?,
        reps: row.get(5)?,
        lapses: row.get(6)?,
        state,
        last_review: time(row.get(8)?),
    })
}

/// A time as the scheduler has it: a type of a crate that is named nowhere here.
fn time<T: From<std::time::SystemTime>>(millis: i64) -> T {
    T::from(UNIX_EPOCH + Duration::from_millis(millis.max(0).unsigned_abs()))
}

fn connect(file: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        // Readers and a writer don't wait for each other, and a crash of the machine loses no more than the last moment.
        // Of programs that turn to this mode at once some are refused, and don't wait by themselves.
        let until = Instant::now() + PATIENCE;
        while let Err(error) = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || Instant::now() > until {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    open().with_context(|| format!("can't open the history {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_has_one_place() {
        let cases = [
            (&[("CARGO_GRADE_HOME", "/a"), ("XDG_DATA_HOME", "/b"), ("HOME", "/c")][..], Some("/a")),
            (&[("XDG_DATA_HOME", "/b"), ("HOME", "/c")], Some("/b/cargo-grade")),
            (&[("CARGO_GRADE_HOME", ""), ("XDG_DATA_HOME", "b"), ("HOME", "/c")], Some("/c/.local/share/cargo-grade")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            let found = home(variable);
            assert_eq!(found.as_deref().ok(), expected.map(Path::new), "{variables:?}");
            if let Err(error) = found {
                assert!(error.to_string().contains("CARGO_GRADE_HOME"), "{error}");
            }
        }
    }
}
