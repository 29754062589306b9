//! Reads what `status` shows from columns that each line keeps up to date, and from JSON only where they do not suffice.

use std::str::FromStr;

use rusqlite::{Connection, Row};

use super::queries::{self, QueryError, all, number, read_summary};
use crate::journal::campaign::Campaign;
use crate::journal::line::Summary;
use crate::journal::overview::{CampaignCounts, ClosedCounts, InShort, OpenRotation, Overview};
use crate::journal::store::RotationFilter;
use crate::rotation::event::Ending;

/// The version of a file that has the columns.
const HAS_COLUMNS: i64 = 3;

/// The open rotations. The index contains all of these columns, so that no row of the table is read. The last column says
/// whether the others show the whole rotation. A summary that something else wrote after the columns has another size. It
/// is parsed, so that what only a newer rotator knows in it is noticed.
pub(super) const OPEN: &str = "
    SELECT id, account, user, old_key_id, new_key_id, state, in_doubt, waiting_until, last_error, number,
           shown_bytes IS length(CAST(summary AS BLOB))
    FROM rotation INDEXED BY rotation_open WHERE open = 1 ORDER BY number";

/// The row of one open rotation.
const WHOLE: &str = "SELECT seq, opened_at, updated_at, summary FROM rotation WHERE number = ?1";

/// The open rotations and the latest campaign, of one moment.
pub(super) fn overview(connection: &Connection) -> Result<Overview, QueryError> {
    // Each page is read once.
    connection.pragma_update(None, "cache_size", 16)?;
    // All statements see the same state.
    let _transaction = connection.unchecked_transaction()?;
    let campaign = queries::last_campaign(connection)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let open = match version {
        HAS_COLUMNS.. => all(connection, OPEN, [], |row| open_rotation(connection, row))?,
        _ => whole(queries::summaries(connection, RotationFilter::Open)?),
    };
    let counts = campaign.as_ref().map(|campaign| counts(connection, campaign)).transpose()?;
    Ok(Overview { campaign, open, counts: counts.unwrap_or_default() })
}

/// What is counted of a campaign. Its rotations are read only if a column does not suffice.
pub(super) fn counts(connection: &Connection, campaign: &Campaign) -> Result<CampaignCounts, QueryError> {
    let whole = || queries::summaries(connection, RotationFilter::Campaign(campaign.id));
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version < HAS_COLUMNS {
        return Ok(CampaignCounts::of(campaign, &whole()?));
    }
    let closed = closed(connection, campaign)?;
    // Only a campaign that was cut off, or has rotations that gave up, needs its rotations for this.
    let has_opened_all = campaign.closed || (campaign.notes.unopened.is_empty() && closed.aborted == 0);
    if has_opened_all {
        Ok(CampaignCounts { closed, ..CampaignCounts::default() })
    } else {
        Ok(CampaignCounts::of(campaign, &whole()?))
    }
}

fn whole(summaries: Vec<Summary>) -> Vec<OpenRotation> {
    summaries.into_iter().map(|summary| OpenRotation::Whole(Box::new(summary))).collect()
}

/// Reads the columns by number: a search for each name would take as long as everything else.
fn open_rotation(connection: &Connection, row: &Row<'_>) -> Result<OpenRotation, QueryError> {
    let (number, is_shown): (i64, bool) = (row.get(9)?, row.get(10)?);
    if !is_shown {
        let mut statement = connection.prepare_cached(WHOLE)?;
        let whole = statement.query_and_then([number], read_summary)?.next();
        return whole
            .ok_or(rusqlite::Error::QueryReturnedNoRows)?
            .map(|summary| OpenRotation::Whole(Box::new(summary)));
    }
    Ok(OpenRotation::InShort(Box::new(InShort {
        id: text(row, 0, "id")?,
        account: text(row, 1, "account")?,
        user: text(row, 2, "user")?,
        old_key: text(row, 3, "old_key_id")?,
        new_key: optional(row, 4, "new_key_id")?.map(|key| parsed(key, "new_key_id")).transpose()?,
        state: text(row, 5, "state")?,
        in_doubt: optional(row, 6, "in_doubt")?.map(str::to_owned),
        waiting_until: optional(row, 7, "waiting_until")?.map(|time| parsed(time, "waiting_until")).transpose()?,
        last_error: optional(row, 8, "last_error")?.map(str::to_owned),
    })))
}

fn optional<'r>(row: &'r Row<'_>, number: usize, column: &'static str) -> Result<Option<&'r str>, QueryError> {
    let value = row.get_ref(number)?;
    value.as_str_or_null().map_err(|source| QueryError::Nonsense { column, source: source.into() })
}

fn text<T>(row: &Row<'_>, number: usize, column: &'static str) -> Result<T, QueryError>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parsed(optional(row, number, column)?.unwrap_or_default(), column)
}

fn parsed<T>(text: &str, column: &'static str) -> Result<T, QueryError>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|source: T::Err| QueryError::Nonsense { column, source: source.into() })
}

fn closed(connection: &Connection, campaign: &Campaign) -> Result<ClosedCounts, QueryError> {
    let sql = "SELECT ending, rotations FROM closed_counter WHERE campaign = ?1";
    let found = all(connection, sql, [campaign.id.to_string()], |row| {
        Ok((row.get::<_, String>("ending")?, usize::try_from(number(row, "rotations")?).unwrap_or(usize::MAX)))
    })?;
    let of = |ending: Ending| found.iter().find(|(name, _)| name == ending.name()).map_or(0, |(_, number)| *number);
    Ok(ClosedCounts { done: of(Ending::DeletedOld), aborted: of(Ending::Aborted), gone: of(Ending::Gone) })
}
