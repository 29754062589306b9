//! What IAM lets rotator read, which was just done, and what it would let rotator change.

use super::rights::{self, Rights};
use super::shown::Check;
use crate::cli::commands::policy::Found;
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::output::places::places;
use crate::cli::output::second_keys;
use crate::cli::output::times::Times;
use crate::cli::wiring::aws::AwsAccounts;
use crate::discovery::SkipReason;
use crate::engine::rate_limit::Operation;
use crate::engine::session::Session;
use crate::engine::survey::choice::Terms;
use crate::engine::survey::owner_rule::Owner;
use crate::engine::survey::{Due, Survey};
use crate::journal::campaign::{LeftAloneNote, NoteDetail};
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::LastUsed;
use crate::rotation::policy::{StillInUse, Unclaimed};

/// An error with the place where the needed rights are.
pub(super) fn compare(message: String) -> CliError {
    CliError::failed(message, "compare what is allowed with `rotator policy`")
}

/// Reports whether IAM answered for every key, whether a rotation may change what it has to, and what an operator has to
/// resolve.
pub(super) async fn of(config: &Config, session: &Session, aws: &AwsAccounts, seen: Seen) -> Vec<Check> {
    let Seen { survey, found, .. } = &seen;
    let mut checks = vec![match reading(config, session, &seen).await {
        Ok(read) => {
            let rights = rights::ask(config, session, aws, found.as_ref(), needs_last_use(config)).await;
            with_rights(read, rights)
        }
        Err(error) => Check::of("permissions", Err(error)),
    }];
    for note in survey.left_alone.iter().filter(|note| note.reason == SkipReason::OwnKey) {
        checks.push(Check::of("keys", Ok(own_key(note))));
    }
    let times = Times::here();
    for note in survey.left_alone.iter().filter(|note| note.reason == SkipReason::SecondActiveKey) {
        let message = match (&note.detail, &note.whose) {
            (Some(NoteDetail::OtherKey(other)), Some((_, user))) => {
                second_keys::own(user.as_str(), user, other, Some("in no store"), &times).join("\n  ")
            }
            _ => note.message.clone(),
        };
        let hint = "`rotator plan` shows every key, and what else can be done";
        checks.push(Check::of("keys", Err(CliError::failed(message, hint))));
    }
    checks
}

/// What a search has seen.
pub(super) struct Seen {
    pub(super) survey: Survey,
    /// The users and entries that rotations are about, if there are any.
    pub(super) found: Option<Found>,
    pub(super) in_flight: usize,
    /// How many keys there are, as `plan` counts them.
    pub(super) counts: String,
    /// The variable that names owners, if one is set. It overrides the file.
    pub(super) owner_variable: Option<&'static str>,
}

/// The owner of a key is not known: which setting leads to it, and not what the policy allows.
fn owner_unknown(message: String, variable: Option<&str>) -> CliError {
    let more = "docs/operations.md, Skipped: owner-unknown, says more; `rotator plan` shows every key";
    let hint = match variable {
        Some(name) => format!("{name} is set and overrides rotator.toml: correct it, or unset it first; {more}"),
        None => more.to_owned(),
    };
    CliError::failed(message, hint)
}

/// The key that rotator itself uses, and where it is.
fn own_key(note: &LeftAloneNote) -> String {
    let key = note.key_id.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{key} in {}: {}, so it is never rotated", places(&note.places, true), note.message)
}

/// What could be read, and what must be looked at although it could.
struct Read {
    counts: String,
    except: String,
    stale: String,
}

/// One check for all accounts: the worst answer decides.
fn with_rights(read: Read, rights: Vec<(String, Rights)>) -> Check {
    let Read { counts, except, stale } = read;
    let (mut is_denied, mut is_unsure, mut is_untested) = (false, false, false);
    let mut lines = String::new();
    let mut left_out = String::new();
    for (account, rights) in rights {
        match rights {
            Rights::Allowed(rest) => left_out.push_str(&rest),
            Rights::Untested(why) => {
                is_untested = true;
                lines.push_str(&format!(
                    "\n{account}whether creating and deleting are cannot be tested in advance: compare with \
                     `rotator policy` ({why})"
                ));
            }
            Rights::Unsure(why) => {
                is_unsure = true;
                lines.push_str(&format!("\n{account}IAM simulates that a rotation lacks rights:{why}"));
            }
            Rights::Denied(why) => {
                is_denied = true;
                lines.push_str(&format!("\n{account}IAM denies what a rotation needs:{why}"));
            }
        }
    }
    let simulated = if is_denied || is_unsure || is_untested {
        String::new()
    } else {
        format!(", and so is what a rotation changes, as IAM simulates it{left_out}")
    };
    // A right that is denied may be one of reading that this search did not need.
    let read = if is_denied { "what was read is allowed" } else { "reading is allowed" };
    let message = format!("{counts}; {read}{except}{simulated}{lines}{stale}");
    match (is_denied, is_unsure) {
        (true, _) => Check::of("permissions", Err(compare(message))),
        (false, true) => Check::warning("permissions", format!("{message}\ncompare with `rotator policy`")),
        (false, false) => Check::of("permissions", Ok(message)),
    }
}

async fn reading(config: &Config, session: &Session, seen: &Seen) -> Result<Read, CliError> {
    let Survey { due, left_alone, .. } = &seen.survey;
    let of_iam = [SkipReason::IamFailed, SkipReason::OwnerUnknown, SkipReason::AccountUnknown];
    if let Some(note) = left_alone.iter().find(|note| of_iam.iter().any(|reason| note.reason == *reason)) {
        let same = |other: &&LeftAloneNote| other.reason == note.reason && other.detail == note.detail;
        let message = match left_alone.iter().filter(same).count() {
            keys @ 2.. if note.detail.is_some() => format!("{}; the same for {} more keys", note.message, keys - 1),
            _ => note.message.clone(),
        };
        let is_failure = matches!(note.detail, Some(NoteDetail::FailedCall { denied: false, .. }));
        return Err(match note.reason == SkipReason::OwnerUnknown {
            true => owner_unknown(message, seen.owner_variable),
            false if is_failure => CliError::failed(message, "this is no matter of permissions: try again later"),
            false => compare(message),
        });
    }
    let stale = left_alone.iter().filter(|note| note.reason == SkipReason::NotConfirmed);
    let stale: String = stale.map(|note| format!("\n{}", note.message)).collect();
    let last_used = match last_use(session, due, left_alone).await {
        Some(Err(error)) if error.kind == CallErrorKind::Denied && needs_last_use(config) => {
            return Err(compare(format!(
                "{}: without it rotator cannot tell whether a key is in use, nor what became of a create whose reply was \
                 lost{stale}",
                error.message
            )));
        }
        Some(Err(error)) => format!(" except for this: {}", error.message),
        Some(Ok(_)) | None => String::new(),
    };
    Ok(Read { counts: seen.counts.clone(), except: last_used, stale })
}

/// Whether this configuration asks questions that only the last use of a key answers.
fn needs_last_use(config: &Config) -> bool {
    let asks = |terms: &Terms| terms.unused_for.is_some() || terms.policy.still_in_use == StillInUse::Wait;
    config.all_terms().iter().any(asks) || config.policy.unclaimed == Unclaimed::Reclaim || config.owner == Owner::Aws
}

/// Asks for the last use of a key that IAM has confirmed, if there is one.
async fn last_use(
    session: &Session,
    due: &[Box<Due>],
    left_alone: &[LeftAloneNote],
) -> Option<Result<Option<LastUsed>, CallError>> {
    let (account, key) = match (due.first(), session.accounts.reachable()) {
        (Some(due), _) => (session.accounts.of(&due.account)?, &due.key.id),
        (None, [only]) => {
            let is_confirmed =
                |note: &&LeftAloneNote| note.reason == SkipReason::NotDue || note.reason == SkipReason::RecentlyRotated;
            (only, left_alone.iter().find(is_confirmed)?.key_id.as_ref()?)
        }
        (None, _) => return None,
    };
    Some(account.limiter.read(Operation::GetAccessKeyLastUsed, || account.ports.iam.last_used(key)).await)
}
