//! The changes of the journal (lines, campaigns) as SQL within a transaction of [`super::writer`].

use rusqlite::{Connection, named_params};

use super::queries::{self, QueryError, to_json};
use crate::journal::campaign::CampaignNotes;
use crate::journal::line::Line;
use crate::journal::store::StorageError;
use crate::rotation::event::Event;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;
use crate::types::name::{CampaignId, RotationId};
use crate::types::time::Timestamp;

/// A line and the rotation that follows from it, in the form of the tables.
pub(super) struct Append {
    id: RotationId,
    seq: u64,
    at: String,
    event: String,
    campaign: String,
    account: String,
    user: String,
    /// Whether the line may have changed the user.
    renames: bool,
    old_key: String,
    new_key: Option<String>,
    state: &'static str,
    open: bool,
    blocked: bool,
    in_doubt: Option<&'static str>,
    watched_until: Option<i64>,
    waiting_until: Option<String>,
    why: Option<String>,
    shown_bytes: Option<i64>,
    summary: String,
}

impl Append {
    /// # Errors
    /// [`StorageError::Failed`] if the line does not belong to the rotation.
    pub(super) fn new(line: &Line, after: &Rotation) -> Result<Self, StorageError> {
        if line.rotation != after.id {
            let (line, after) = (line.rotation, after.id);
            let message = format!("a line of rotation {line} has the state of rotation {after}, a defect of rotator");
            return Err(StorageError::failed(message));
        }
        let summary = to_json(after)?;
        let blocked = matches!(after.state, State::Blocked { .. });
        // The columns show neither the reason of a block, nor sinks, nor the request of an operator.
        let in_short = !blocked && after.opened.sinks.is_empty() && !after.has_request();
        Ok(Self {
            id: after.id,
            seq: line.seq,
            at: line.at.to_string(),
            event: to_json(&line.event)?,
            campaign: after.opened.campaign.to_string(),
            account: after.opened.account.to_string(),
            user: after.opened.user.to_string(),
            renames: matches!(line.event, Event::Renamed { .. }),
            old_key: after.opened.old_key.to_string(),
            new_key: after.new_key.as_ref().map(ToString::to_string),
            state: after.state.name(),
            open: !after.is_closed(),
            blocked,
            in_doubt: after.state.intent().map(crate::rotation::intent::Intent::name),
            watched_until: after.watched_until().map(Timestamp::as_unix_seconds),
            waiting_until: after.waiting_until.as_ref().map(ToString::to_string),
            why: after.last_error.clone(),
            shown_bytes: if in_short { i64::try_from(summary.len()).ok() } else { None },
            summary,
        })
    }

    fn perform(&self, connection: &Connection) -> Result<(), Stopped> {
        let id = self.id.to_string();
        let conflict = || Stopped::No(StorageError::Conflict { rotation: self.id, seq: self.seq });
        if self.seq != queries::last_seq(connection, &id)? + 1 {
            return Err(conflict());
        }
        let seq = i64::try_from(self.seq).map_err(|_| conflict())?;
        if self.seq == 1 {
            self.insert(connection, &id)?
        } else {
            self.update(connection, &id, seq)?
        }
        connection
            .prepare_cached("INSERT INTO entry (rotation, seq, at, event) VALUES (?1, ?2, ?3, ?4)")?
            .execute((&id, seq, &self.at, &self.event))?;
        Ok(())
    }

    fn insert(&self, connection: &Connection, id: &str) -> Result<(), Stopped> {
        connection
            .prepare_cached(
                "INSERT INTO rotation (id, campaign, account, user, old_key_id, new_key_id, state, open, blocked, in_doubt,
                                       watched_until, waiting_until, last_error, shown_bytes, opened_at, updated_at, seq,
                                       summary)
                 VALUES (:id, :campaign, :account, :user, :old_key, :new_key, :state, :open, :blocked, :in_doubt,
                         :watched_until, :waiting_until, :last_error, :shown_bytes, :at, :at, 1, :summary)",
            )?
            .execute(named_params! {
                ":id": id, ":campaign": self.campaign, ":account": self.account, ":user": self.user,
                ":old_key": self.old_key, ":new_key": self.new_key, ":state": self.state, ":open": self.open,
                ":blocked": self.blocked, ":in_doubt": self.in_doubt, ":watched_until": self.watched_until,
                ":waiting_until": self.waiting_until, ":last_error": self.why, ":shown_bytes": self.shown_bytes,
                ":at": self.at, ":summary": self.summary,
            })?;
        Ok(())
    }

    /// Only the columns that change are named: SQLite writes a page of each index that has a named column.
    fn update(&self, connection: &Connection, id: &str, seq: i64) -> Result<(), Stopped> {
        connection
            .prepare_cached(
                "UPDATE rotation SET new_key_id = :new_key, state = :state, open = :open, blocked = :blocked,
                        in_doubt = :in_doubt, watched_until = :watched_until, waiting_until = :waiting_until,
                        last_error = :last_error, shown_bytes = :shown_bytes, updated_at = :at, seq = :seq,
                        summary = :summary
                 WHERE id = :id",
            )?
            .execute(named_params! {
                ":id": id, ":new_key": self.new_key, ":state": self.state, ":open": self.open,
                ":blocked": self.blocked, ":in_doubt": self.in_doubt, ":watched_until": self.watched_until,
                ":waiting_until": self.waiting_until, ":last_error": self.why, ":shown_bytes": self.shown_bytes,
                ":at": self.at, ":seq": seq, ":summary": self.summary,
            })?;
        if self.renames {
            connection.prepare_cached("UPDATE rotation SET user = ?2 WHERE id = ?1")?.execute((id, &self.user))?;
        }
        Ok(())
    }
}

/// One change.
pub(super) enum Change {
    Append(Box<Append>),
    BeginCampaign { id: CampaignId, at: Timestamp },
    NoteCampaign { id: CampaignId, notes: String },
    CloseCampaign { id: CampaignId },
}

/// Why a change is not in the transaction.
pub(super) enum Stopped {
    /// Only this change is refused. It is refused before anything of it is written.
    No(StorageError),
    /// The medium failed, so the state of the other changes is unknown.
    Broken(QueryError),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<QueryError> for Stopped {
    fn from(error: QueryError) -> Self {
        Self::Broken(error)
    }
}

impl Change {
    /// # Errors
    /// [`Stopped`] tells whether only this change is refused.
    pub(super) fn perform(&self, connection: &Connection) -> Result<(), Stopped> {
        match self {
            Self::Append(append) => append.perform(connection),
            Self::BeginCampaign { id, at } => begin_campaign(connection, *id, *at),
            Self::NoteCampaign { id, notes } => {
                let sql = "UPDATE campaign SET notes = ?2 WHERE id = ?1";
                changed_one(*id, connection.execute(sql, (id.to_string(), notes))?)
            }
            Self::CloseCampaign { id } => {
                let sql = "UPDATE campaign SET closed = 1 WHERE id = ?1";
                changed_one(*id, connection.execute(sql, [id.to_string()])?)
            }
        }
    }
}

fn begin_campaign(connection: &Connection, id: CampaignId, at: Timestamp) -> Result<(), Stopped> {
    let notes = to_json(&CampaignNotes::default()).map_err(Stopped::No)?;
    let sql = "INSERT INTO campaign (id, began_at, notes) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
    match connection.execute(sql, (id.to_string(), at.to_string(), notes))? {
        0 => Err(Stopped::No(StorageError::failed(format!("campaign {id} has begun already")))),
        _ => Ok(()),
    }
}

fn changed_one(id: CampaignId, rows: usize) -> Result<(), Stopped> {
    match rows {
        0 => Err(Stopped::No(StorageError::failed(format!("the journal has no campaign {id}")))),
        _ => Ok(()),
    }
}
