//! What the tables look like, and how a file of an older version comes to look so.

use anyhow::{Result, bail};
use rusqlite::Connection;

/// What each version adds to the one before; the first makes a file that is empty.
pub const STEPS: &[&str] = &[
    "CREATE TABLE sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        began INTEGER NOT NULL,
        plan TEXT NOT NULL,
        heard INTEGER NOT NULL,
        finished INTEGER,
        report TEXT
    ) STRICT;
    CREATE TABLE events (
        session INTEGER NOT NULL REFERENCES sessions (id),
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (session, number)
    ) STRICT, WITHOUT ROWID;",
    "CREATE TABLE cards (
        card TEXT PRIMARY KEY,
        added INTEGER NOT NULL,
        due INTEGER NOT NULL,
        stability REAL NOT NULL,
        difficulty REAL NOT NULL,
        elapsed_days INTEGER NOT NULL,
        scheduled_days INTEGER NOT NULL,
        reps INTEGER NOT NULL,
        lapses INTEGER NOT NULL,
        state INTEGER NOT NULL,
        last_review INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reviews (
        card TEXT NOT NULL,
        at INTEGER NOT NULL,
        rating INTEGER NOT NULL,
        right REAL NOT NULL,
        ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX reviews_by_card ON reviews (card, at);",
];

/// Brings a file to the newest version, one step after the other, each in a transaction.
pub fn migrate(connection: &Connection, steps: &[&str]) -> Result<()> {
    let newest = steps.len();
    let version = || -> Result<usize> {
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match usize::try_from(version) {
            Ok(version) if version <= newest => Ok(version),
            _ => bail!(
                "this history was written by a newer version of the kit (its format is {version}, and this program knows formats up to {newest}): \
                 update the kit, or set CARGO_GRADE_HOME to another folder"
            ),
        }
    };
    while version()? < newest {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        // Another program may have taken the step while this one waited.
        let taken = version().and_then(|at| match steps.get(at) {
            None => Ok(()),
            Some(step) => {
                connection.execute_batch(step)?;
                Ok(connection.pragma_update(None, "user_version", at as i64 + 1)?)
            }
        });
        connection.execute_batch(if taken.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        taken?;
    }
    Ok(())
}
