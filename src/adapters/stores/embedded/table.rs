//! The tables of the store. Values stay sealed here.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::types::name::{EntryName, StoreIdentity};

/// The versions of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// The version of the present value.
    pub(super) version: i64,
    /// The version of the value before the open rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<i64>,
}

/// Why a write did not happen, or may not have happened.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The entry has another version, or is missing. Nothing was written.
    Stale(EntryName),
    NotWritten(StoreError),
    /// The commit failed, so the outcome is unknown.
    Uncertain(StoreError),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::NotWritten(error)
    }
}

/// Why a transaction failed.
pub(super) enum TransactionError {
    /// Nothing was written.
    NotCommitted(StoreError),
    /// The commit failed, so the outcome is unknown.
    Commit(rusqlite::Error),
}

impl From<StoreError> for TransactionError {
    fn from(error: StoreError) -> Self {
        Self::NotCommitted(error)
    }
}

/// The row of an entry.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) sealed: Vec<u8>,
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { name: row.get(0)?, version: row.get(1)?, sealed: row.get(2)? })
}

/// Inserts the only row of `meta`.
pub(super) fn begin(connection: &Connection, identity: &StoreIdentity, key_check: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (one, identity, key_check, last_version) VALUES (1, ?1, ?2, 0)";
    connection.execute(sql, (identity.as_str(), key_check)).map(|_| ())
}

/// The identity and the key check.
pub(super) fn meta(connection: &Connection) -> rusqlite::Result<(String, Vec<u8>)> {
    connection
        .prepare_cached("SELECT identity, key_check FROM meta")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn set_key_check(connection: &Connection, key_check: &[u8]) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE meta SET key_check = ?1")?.execute([key_check]).map(|_| ())
}

pub(super) fn last_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT last_version FROM meta")?.query_row([], |row| row.get(0))
}

pub(super) fn set_last_version(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE meta SET last_version = ?1")?.execute([version]).map(|_| ())
}

/// The sealed head of the versions, and its own version; `None` in a store of an earlier rotator.
pub(super) fn versions(connection: &Connection) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    connection
        .prepare_cached("SELECT versions_version, versions FROM meta")?
        .query_row([], |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<Vec<u8>>>(1)?)))
}

pub(super) fn set_versions(connection: &Connection, version: i64, sealed: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET versions_version = ?1, versions = ?2")?
        .execute((version, sealed))
        .map(|_| ())
}

pub(super) fn bucket(connection: &Connection, number: u8) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT sealed FROM bucket WHERE number = ?1")?;
    statement.query_row([number], |row| row.get(0)).optional()
}

pub(super) fn set_bucket(connection: &Connection, number: u8, sealed: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO bucket (number, sealed) VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET sealed = ?2";
    connection.prepare_cached(sql)?.execute((number, sealed)).map(|_| ())
}

pub(super) fn forget_buckets(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM bucket")?.execute([]).map(|_| ())
}

/// The version of each row.
pub(super) fn all_versions(connection: &Connection) -> rusqlite::Result<Vec<(String, Written)>> {
    let mut statement = connection.prepare_cached("SELECT name, version, previous_version FROM entry")?;
    let written = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Written { version: row.get(1)?, previous: row.get(2)? }));
    statement.query_map([], written)?.collect()
}

/// Replaces the sealed content of a row by the same content under another key.
pub(super) fn reseal(connection: &Connection, row: &Row, previous: Option<&Row>) -> rusqlite::Result<()> {
    let sql = "UPDATE entry SET sealed = ?2, previous = ?3 WHERE name = ?1";
    connection.execute(sql, (&row.name, &row.sealed, previous.map(|row| &row.sealed))).map(|_| ())
}

/// Gives every row to `take`, in the order of names, until it breaks off.
pub(super) fn each<B>(
    connection: &Connection,
    mut take: impl FnMut(Row) -> ControlFlow<B>,
) -> rusqlite::Result<ControlFlow<B>> {
    let mut statement = connection.prepare_cached("SELECT name, version, sealed FROM entry ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let broken @ ControlFlow::Break(_) = take(read_row(row)?) {
            return Ok(broken);
        }
    }
    Ok(ControlFlow::Continue(()))
}

pub(super) fn one(connection: &Connection, name: &EntryName) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached("SELECT name, version, sealed FROM entry WHERE name = ?1")?;
    statement.query_row([name.as_str()], read_row).optional()
}

/// The value before the open rotation.
pub(super) fn previous(connection: &Connection, name: &EntryName) -> rusqlite::Result<Option<Row>> {
    let sql = "SELECT name, previous_version, previous FROM entry WHERE name = ?1 AND previous IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([name.as_str()], read_row).optional()
}

/// The name, the version and the time of each entry.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<(String, i64, String)>> {
    let mut statement = connection.prepare_cached("SELECT name, version, updated_at FROM entry ORDER BY name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// Writes a value of a rotation. Only the value before the first of several writes is kept.
pub(super) fn replace(connection: &Connection, row: &Row, at: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE entry SET previous = coalesce(previous, sealed),
                                previous_version = coalesce(previous_version, version),
                                version = ?2, sealed = ?3, updated_at = ?4
               WHERE name = ?1";
    connection.prepare_cached(sql)?.execute((&row.name, row.version, &row.sealed, at)).map(|_| ())
}

/// Writes a value of an operator. The replaced value is not kept, except one that an open rotation keeps.
pub(super) fn set(connection: &Connection, row: &Row, at: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO entry (name, version, sealed, updated_at) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (name) DO UPDATE SET version = ?2, sealed = ?3, updated_at = ?4";
    connection.prepare_cached(sql)?.execute((&row.name, row.version, &row.sealed, at)).map(|_| ())
}

/// Removes an entry, and returns whether it existed.
pub(super) fn remove(connection: &Connection, name: &EntryName) -> rusqlite::Result<bool> {
    connection.prepare_cached("DELETE FROM entry WHERE name = ?1")?.execute([name.as_str()]).map(|rows| rows > 0)
}

pub(super) fn forget_previous(connection: &Connection, name: &EntryName) -> rusqlite::Result<()> {
    let sql = "UPDATE entry SET previous = NULL, previous_version = NULL WHERE name = ?1";
    connection.prepare_cached(sql)?.execute([name.as_str()]).map(|_| ())
}
