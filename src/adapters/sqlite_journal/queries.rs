//! The properties of a journal file and the queries of its tables. Nothing here writes.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::str::FromStr;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rusqlite::{Connection, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapters::sqlite::{DatabaseError, Kind};
use crate::journal::campaign::Campaign;
use crate::journal::line::{self, FormError};
use crate::journal::line::{Line, Summary};
use crate::journal::store::{RotationFilter, StorageError};
use crate::rotation::event::Event;
use crate::rotation::record::Rotation;
use crate::types::name::{AccessKeyId, CampaignId, RotationId, UserName};

/// The properties of a journal file.
pub(super) const KIND: Kind = Kind {
    what: "journal",
    remedy: "restore it from a backup; without one, move it and the files beside it away, and look at what \
             `rotator plan` says of the keys that were in flight",
    how_made: "check the path; `rotator run` makes one",
    // "rotJ"
    application_id: 0x726f_744a,
    migrations: &[
        include_str!("../../../migrations/0001_journal.sql"),
        include_str!("../../../migrations/0002_format.sql"),
        include_str!("../../../migrations/0003_overview.sql"),
        include_str!("../../../migrations/0004_open.sql"),
    ],
    // The second migration changes no table, and [`super::overview`] reads files without the later ones.
    read_from: 1,
    inspect: refuse_newer,
    more_settings: &[],
};

/// The error of a failed operation on the journal at `path`.
pub(super) fn storage_error(path: &Path, operation: &'static str, source: rusqlite::Error) -> StorageError {
    DatabaseError::sqlite(path, &KIND, operation, source).into()
}

/// Why a query failed; [`Self::at`] adds the file.
#[derive(Debug)]
pub(super) enum QueryError {
    Sqlite(rusqlite::Error),
    /// A newer rotator wrote a row with unknown names.
    Newer(FormError),
    /// A row has content that rotator did not write.
    Nonsense {
        column: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl QueryError {
    pub(super) fn at(self, path: &Path) -> StorageError {
        match self {
            Self::Sqlite(source) => storage_error(path, "read", source),
            Self::Newer(how) => newer(path, &how).into(),
            Self::Nonsense { column, source } => StorageError::Failed {
                message: format!(
                    "failed to read the journal {}: `{column}` has content that rotator did not write; {}",
                    path.display(),
                    KIND.remedy
                ),
                source: Some(source),
            },
        }
    }
}

fn newer(path: &Path, how: &FormError) -> DatabaseError {
    DatabaseError::NewerContent { what: KIND.what, path: path.to_owned(), how: how.to_string() }
}

/// Serialises the value of a JSON column.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StorageError> {
    line::write(value).map_err(|source| StorageError::Failed {
        message: "failed to write a line of the journal as JSON, a defect of rotator; please report it".to_owned(),
        source: Some(source.into()),
    })
}

fn from_json<T: Serialize + DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T, QueryError> {
    let text: String = row.get(column)?;
    line::read(&text).map_err(|error| match error {
        FormError::NewerFormat { .. } | FormError::Unknown { .. } => QueryError::Newer(error),
        FormError::Nonsense(source) => QueryError::Nonsense { column, source: source.into() },
    })
}

/// Refuses a journal with unknown lines of a newer rotator about an open rotation or the last campaign: this version
/// would ignore them. Damage is reported when the line is needed, and affects its own rotation only.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    let look = || {
        let lines = "SELECT entry.event FROM rotation INDEXED BY rotation_open
                     JOIN entry ON entry.rotation = rotation.id WHERE rotation.open = 1";
        let summaries = "SELECT summary FROM rotation INDEXED BY rotation_open WHERE open = 1";
        let unknown = match first_unknown::<Event>(connection, lines)? {
            None => first_unknown::<Rotation>(connection, summaries)?,
            unknown => unknown,
        };
        match unknown {
            Some(how) => Err(QueryError::Newer(how)),
            None => last_campaign(connection).map(drop),
        }
    };
    match look() {
        Ok(()) | Err(QueryError::Nonsense { .. }) => Ok(()),
        Err(QueryError::Newer(how)) => Err(newer(path, &how)),
        Err(QueryError::Sqlite(source)) => Err(DatabaseError::sqlite(path, &KIND, "read", source)),
    }
}

/// How many texts are in memory at once while they are checked.
const CHECKED_AT_ONCE: usize = 10_000;

/// Returns what one of these texts has that only a newer rotator knows. Thousands of open rotations are a large part of
/// the start of a command, so that all cores check them. Most lines of different rotations are equal, and are parsed
/// once.
fn first_unknown<T: Serialize + DeserializeOwned>(
    connection: &Connection,
    sql: &str,
) -> Result<Option<FormError>, QueryError> {
    let mut statement = connection.prepare(sql)?;
    let mut texts = statement.query_map([], |row| row.get::<_, String>(0))?;
    loop {
        let some: HashSet<String> = texts.by_ref().take(CHECKED_AT_ONCE).collect::<Result<_, _>>()?;
        if some.is_empty() {
            return Ok(None);
        }
        let unknown = some.par_iter().find_map_any(|text| match line::read::<T>(text) {
            Err(error @ (FormError::NewerFormat { .. } | FormError::Unknown { .. })) => Some(error),
            Err(FormError::Nonsense(_)) | Ok(_) => None,
        });
        if unknown.is_some() {
            return Ok(unknown);
        }
    }
}

fn parse<T>(row: &Row<'_>, column: &'static str) -> Result<T, QueryError>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|source: T::Err| QueryError::Nonsense { column, source: source.into() })
}

pub(super) fn number(row: &Row<'_>, column: &'static str) -> Result<u64, QueryError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|source| QueryError::Nonsense { column, source: source.into() })
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, QueryError>,
) -> Result<Vec<T>, QueryError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn lines(connection: &Connection, rotation: RotationId) -> Result<Vec<Line>, QueryError> {
    let sql = "SELECT seq, at, event FROM entry WHERE rotation = ?1 ORDER BY seq";
    all(connection, sql, [rotation.to_string()], |row| {
        Ok(Line { rotation, seq: number(row, "seq")?, at: parse(row, "at")?, event: from_json(row, "event")? })
    })
}

pub(super) fn read_summary(row: &Row<'_>) -> Result<Summary, QueryError> {
    Ok(Summary {
        rotation: from_json(row, "summary")?,
        seq: number(row, "seq")?,
        opened_at: parse(row, "opened_at")?,
        updated_at: parse(row, "updated_at")?,
    })
}

/// The SQL of [`summaries`]. The indexes are named, since SQLite has no statistics here and would scan all rows.
pub(super) const fn summaries_sql(which: RotationFilter) -> &'static str {
    match which {
        RotationFilter::Open => {
            "SELECT seq, opened_at, updated_at, summary FROM rotation INDEXED BY rotation_open
             WHERE open = 1 ORDER BY number"
        }
        RotationFilter::Campaign(_) => {
            "SELECT seq, opened_at, updated_at, summary FROM rotation INDEXED BY rotation_campaign
             WHERE campaign = ?1 ORDER BY number"
        }
        RotationFilter::AbortedOf(_) => {
            "SELECT seq, opened_at, updated_at, summary FROM rotation INDEXED BY rotation_campaign
             WHERE campaign = ?1 AND state = 'aborted' ORDER BY number"
        }
        RotationFilter::WatchedAfter(_) => {
            "SELECT seq, opened_at, updated_at, summary FROM rotation INDEXED BY rotation_watched
             WHERE open = 0 AND watched_until >= ?1 ORDER BY number"
        }
        RotationFilter::All => "SELECT seq, opened_at, updated_at, summary FROM rotation ORDER BY number",
    }
}

pub(super) fn summaries(connection: &Connection, which: RotationFilter) -> Result<Vec<Summary>, QueryError> {
    let sql = summaries_sql(which);
    match which {
        RotationFilter::Open | RotationFilter::All => all(connection, sql, [], read_summary),
        RotationFilter::Campaign(id) | RotationFilter::AbortedOf(id) => {
            all(connection, sql, [id.to_string()], read_summary)
        }
        RotationFilter::WatchedAfter(moment) => {
            // The column has whole seconds; the summary is exact.
            let mut found = all(connection, sql, [moment.as_unix_seconds()], read_summary)?;
            found.retain(|summary| summary.rotation.watched_until().is_some_and(|until| until > moment));
            Ok(found)
        }
    }
}

pub(super) fn open_ids(connection: &Connection) -> Result<Vec<RotationId>, QueryError> {
    let sql = "SELECT id FROM rotation INDEXED BY rotation_open WHERE open = 1 ORDER BY number";
    all(connection, sql, [], |row| parse(row, "id"))
}

pub(super) fn summary(connection: &Connection, rotation: RotationId) -> Result<Option<Summary>, QueryError> {
    let sql = "SELECT seq, opened_at, updated_at, summary FROM rotation WHERE id = ?1";
    Ok(all(connection, sql, [rotation.to_string()], read_summary)?.into_iter().next())
}

/// The summaries of these rotations, as far as they exist, in this order.
pub(super) fn summaries_of(connection: &Connection, ids: &[RotationId]) -> Result<Vec<Summary>, QueryError> {
    let found = ids.iter().map(|id| summary(connection, *id));
    found.filter_map(Result::transpose).collect()
}

pub(super) fn last_campaign(connection: &Connection) -> Result<Option<Campaign>, QueryError> {
    let sql = "SELECT id, began_at, closed, notes FROM campaign ORDER BY number DESC LIMIT 1";
    let found = all(connection, sql, [], |row| {
        Ok(Campaign {
            id: parse(row, "id")?,
            began_at: parse(row, "began_at")?,
            closed: row.get("closed")?,
            notes: from_json(row, "notes")?,
        })
    })?;
    Ok(found.into_iter().next())
}

pub(super) fn keys_made_by(connection: &Connection, id: CampaignId) -> Result<Vec<AccessKeyId>, QueryError> {
    let sql = "SELECT new_key_id FROM rotation WHERE campaign = ?1 AND new_key_id IS NOT NULL ORDER BY number";
    all(connection, sql, [id.to_string()], |row| parse(row, "new_key_id"))
}

pub(super) fn keys_made_for(connection: &Connection, user: &UserName) -> Result<Vec<AccessKeyId>, QueryError> {
    let sql = "SELECT new_key_id FROM rotation WHERE user = ?1 AND new_key_id IS NOT NULL ORDER BY number";
    all(connection, sql, [user.as_str()], |row| parse(row, "new_key_id"))
}

pub(super) fn closed_rotations_of(
    connection: &Connection,
    user: &UserName,
    key: &AccessKeyId,
) -> Result<Vec<Summary>, QueryError> {
    let sql = "SELECT seq, opened_at, updated_at, summary FROM rotation INDEXED BY rotation_user
               WHERE user = ?1 AND open = 0 AND (old_key_id = ?2 OR new_key_id = ?2) ORDER BY number";
    all(connection, sql, [user.as_str(), key.as_str()], read_summary)
}

pub(super) fn may_turn_inactive(connection: &Connection) -> Result<BTreeSet<AccessKeyId>, QueryError> {
    // The field is absent from the JSON where it is empty, so that few summaries are read.
    let sql =
        "SELECT seq, opened_at, updated_at, summary FROM rotation WHERE instr(summary, '\"may_turn_inactive\":') > 0";
    let found = all(connection, sql, [], read_summary)?;
    Ok(found.into_iter().flat_map(|summary| summary.rotation.may_turn_inactive).collect())
}

/// The number of a rotation's last line; 0 if there is no such rotation.
pub(super) fn last_seq(connection: &Connection, rotation: &str) -> Result<u64, QueryError> {
    let found = all(connection, "SELECT seq FROM rotation WHERE id = ?1", [rotation], |row| number(row, "seq"))?;
    Ok(found.into_iter().next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines are checked, also those that come after the first batch.
    #[test]
    fn a_newer_line_behind_thousands_of_known_ones_is_found() {
        let connection = Connection::open_in_memory().expect("opens");
        let all = |last: &str| {
            format!(
                "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {CHECKED_AT_ONCE})
                 SELECT '{{\"format\":1,\"number\":' || n || '}}' FROM number UNION ALL SELECT '{last}'"
            )
        };
        let found = |last: &str| first_unknown::<Event>(&connection, &all(last)).expect("read");
        assert!(found("damage").is_none());
        assert!(matches!(found(r#"{"format":1000000}"#), Some(FormError::NewerFormat { .. })));
    }
}
