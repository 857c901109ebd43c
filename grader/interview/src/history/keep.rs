//! What keeps the events of one session while it runs.

use crate::desk::Keep;
use crate::session::event::Entry;
use anyhow::{Context, Result, bail};
use rusqlite::{Connection, TransactionBehavior, params};

/// How often it is noted that somebody was there: a session takes that much of an absence for presence.
const OFTEN: i64 = 2_000;

/// Keeps the events of one session.
pub struct Keeper {
    connection: Connection,
    session: i64,
    /// The number of the next event.
    next: i64,
    noted: i64,
}

pub(super) fn is_there(connection: &Connection, session: i64) -> Result<bool> {
    let count: i64 =
        connection.query_row("SELECT count(*) FROM sessions WHERE id = ?1", [session], |row| row.get(0))?;
    Ok(count > 0)
}

impl Keeper {
    pub(super) fn new(connection: Connection, session: i64) -> Result<Keeper> {
        if !is_there(&connection, session)? {
            bail!("there is no session {session}");
        }
        let next = connection.query_row(
            "SELECT coalesce(max(number) + 1, 0) FROM events WHERE session = ?1",
            [session],
            |row| row.get(0),
        )?;
        Ok(Keeper { connection, session, next, noted: i64::MIN })
    }
}

impl Keep for Keeper {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut number = self.next;
        for Entry { at, event } in entries {
            let event = serde_json::to_string(event)?;
            let done = transaction.execute(
                "INSERT INTO events (session, number, at, event) VALUES (?1, ?2, ?3, ?4)",
                params![self.session, number, at, event],
            );
            // The key of the table says that somebody else wrote it.
            done.with_context(|| format!("session {} goes on in another window", self.session))?;
            number += 1;
        }
        if let Some(last) = entries.last() {
            transaction
                .execute("UPDATE sessions SET heard = max(heard, ?2) WHERE id = ?1", params![self.session, last.at])?;
        }
        transaction.commit()?;
        self.next = number;
        Ok(())
    }

    fn heard(&mut self, now: i64) -> Result<()> {
        if now.saturating_sub(self.noted) >= OFTEN {
            self.connection
                .execute("UPDATE sessions SET heard = max(heard, ?2) WHERE id = ?1", params![self.session, now])?;
            self.noted = now;
        }
        Ok(())
    }
}
