//! `doctor`: checks everything that can be checked without a change, before the first create.

mod local;
mod permissions;
mod rights;
mod shown;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::permissions::Seen;
pub(super) use self::shown::Document;
use self::shown::{Check, as_text};
use super::plan::what_is_taken;
use super::policy::Found;
use crate::adapters::system_clock::SystemClock;
use crate::cli::config::{Config, StoreSettings};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::counted::Counted;
use crate::cli::output::document::{PlanDocument, to_bytes};
use crate::cli::output::entry_counts;
use crate::cli::output::terminal::{text_to_stdout, to_stdout};
use crate::cli::output::times::Times;
use crate::cli::runtime::block_on;
use crate::cli::wiring::aws::AwsAccounts;
use crate::cli::wiring::{self, not_connected};
use crate::discovery::SkipReason;
use crate::engine::accounts::SessionError;
use crate::engine::campaign::hold_back;
use crate::engine::observe::writable::Answers;
use crate::engine::session::Session;
use crate::engine::shutdown::Stop;
use crate::engine::survey::{Survey, survey};
use crate::journal::clock::Clock;
use crate::ports::identity::{Caller, Identity};
use crate::ports::secret_store::Writable;
use crate::types::name::{EntryName, StoreName};
use crate::types::time::Timestamp;

/// AWS refuses a signature that is older or younger than this
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>).
const SIGNATURE_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// A smaller difference of the clocks is not reported.
const NOTICEABLE: Duration = Duration::from_secs(60);

/// Runs `rotator doctor`.
///
/// # Errors
/// Exit code 2 if the configuration is not valid, since every check needs it; 1 if stdout cannot be written.
pub fn doctor(context: &Context) -> Result<Exit, CliError> {
    let config = context.config(&Default::default())?;
    let mut checks = vec![described(&config), Check::of("journal", local::journal(&config))];
    checks.extend(block_on(Box::pin(async { Ok(Box::pin(connections(context, &config)).await) }))?);
    let ok = checks.iter().all(|check| check.ok);
    if context.terminal.is_json() {
        to_stdout(&to_bytes(&Document::new(checks)))?;
    } else {
        text_to_stdout(&as_text(&checks, &context.terminal.look()))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn described(config: &Config) -> Check {
    let file: String =
        std::iter::once(config.origin()).chain(config.overridden.iter().map(|words| format!("\n{words}"))).collect();
    if config.deletes_at_once() {
        return Check::warning("config", format!("{file}\nno overlap and no quarantine: old keys are deleted at once"));
    }
    Check::of("config", Ok(file))
}

async fn connections(context: &Context, config: &Config) -> Vec<Check> {
    let aws = match Box::pin(AwsAccounts::of(config, &context.mfa)).await {
        Ok(aws) => aws,
        Err(error) => return vec![Check::of("credentials", Err(error))],
    };
    let mut checks = stores(context, config, &aws).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stop = Arc::new(Stop::default());
    let session =
        match Box::pin(wiring::connect(config, context, &clock, &stop, false, context.terminal.watcher())).await {
            Ok(session) => session,
            Err(error) => {
                checks.extend(without_session(context, &aws, &checks, error).await);
                return checks;
            }
        };
    checks.extend(session.sinks.identities.iter().map(|(sink, identity)| {
        Check::of(
            "sink",
            match identity {
                Ok(_) => Ok(sink.to_string()),
                Err(error) => {
                    Err(CliError::failed(format!("{sink}: {error}"), "docs/sinks.md says what each sink needs"))
                }
            },
        )
    }));
    for (label, error) in session.accounts.unreachable() {
        let hint = "fix its [[account]]: keys of this account are not rotated until then";
        checks.push(Check::of("credentials", Err(CliError::failed(format!("account {label}: {error}"), hint))));
    }
    for account in session.accounts.reachable() {
        checks.push(credentials(context, &account.caller, account.ports.identity.as_ref()));
    }
    let newest = session.accounts.reachable().iter().map(|account| account.caller.at).max();
    checks.extend(newest.map(|at| Check::of("clock", same_time(at, Timestamp::from_system(SystemTime::now())))));
    match Box::pin(look(context, config, &session)).await {
        Ok(seen) => {
            checks.extend(writes(&session, &seen.survey, seen.in_flight).await);
            checks.extend(Box::pin(permissions::of(config, &session, &aws, seen)).await);
        }
        Err(error) => checks.push(not_looked(&checks, error)),
    }
    checks
}

/// Whose credentials are in use, and where they are from.
fn credentials(context: &Context, caller: &Caller, identity: &dyn Identity) -> Check {
    let source = identity.credentials().map(|source| format!(", from {source}")).unwrap_or_default();
    let endpoint = context.host.variable("AWS_ENDPOINT_URL").map(|url| format!(", at {url} (AWS_ENDPOINT_URL)"));
    let end = identity.session_end().map(|end| until(end.at, context)).unwrap_or_default();
    let endpoint = endpoint.unwrap_or_default();
    Check::of("credentials", Ok(format!("account {}, {}{source}{end}{endpoint}", caller.account, caller.arn)))
}

/// Checks the credentials and the clock although a store cannot be opened. Without such a store, `error` is about AWS.
async fn without_session(context: &Context, aws: &AwsAccounts, checks: &[Check], error: CliError) -> Vec<Check> {
    if !has_failed(checks, &["store"]) {
        return vec![Check::of("credentials", Err(error))];
    }
    let mut more = Vec::new();
    let mut newest = None;
    for account in aws.ports() {
        more.push(match account.identity.caller().await {
            Ok(caller) => {
                newest = newest.max(Some(caller.at));
                credentials(context, &caller, account.identity.as_ref())
            }
            Err(error) => Check::of("credentials", Err(not_connected(&SessionError::Caller(error), &context.host))),
        });
    }
    more.extend(newest.map(|at| Check::of("clock", same_time(at, Timestamp::from_system(SystemTime::now())))));
    more.push(permissions_not_checked());
    more
}

fn has_failed(checks: &[Check], names: &[&str]) -> bool {
    checks.iter().any(|check| !check.ok && names.contains(&check.name))
}

/// The keys could not be looked for. The cause is reported once.
fn not_looked(checks: &[Check], error: CliError) -> Check {
    if has_failed(checks, &["store", "journal"]) { permissions_not_checked() } else { Check::of("entries", Err(error)) }
}

fn permissions_not_checked() -> Check {
    let message = "not checked: rotator asks IAM about the keys once it can read the journal and every store";
    Check::warning("permissions", message.to_owned())
}

/// When a session ends: in UTC for a program, else in local time.
fn until(end: Timestamp, context: &Context) -> String {
    if context.terminal.is_json() {
        return format!(", until {end}");
    }
    let times = Times::here();
    format!(", until {} ({})", times.local(end), times.until(end))
}

/// Reads every entry and asks IAM about every key, as `plan` does, which proves that both are allowed.
async fn look(context: &Context, config: &Config, session: &Session) -> Result<Seen, CliError> {
    let choice = config.choice();
    let (snapshot, taken) = what_is_taken(config)?;
    let hint = "docs/stores.md says what each store needs, and `rotator policy` the rights";
    let mut survey =
        survey(session, &choice, &taken).await.map_err(|error| CliError::failed(error.to_string(), hint))?;
    let found = Found::with_open(survey.confirmed.clone(), taken.users, &snapshot);
    let notes = snapshot.campaign.as_ref().map(|campaign| &campaign.notes);
    hold_back(&mut survey, config.limit, notes);
    let counts =
        Counted::of(&PlanDocument::new(&survey, Timestamp::from_system(SystemTime::now())), &survey).in_words();
    let variables = ["ROTATOR_OWNER_TEMPLATE", "ROTATOR_OWNER_TABLE"];
    let owner_variable = variables.into_iter().find(|name| context.host.variable(name).is_some());
    Ok(Seen { survey, found, in_flight: snapshot.open.len(), counts, owner_variable })
}

/// Reports how many entries each store has, and whether the entries with a key can be written, including keys that
/// are not due.
async fn writes(session: &Session, found: &Survey, in_flight: usize) -> Vec<Check> {
    let due = found.due.iter().chain(&found.held_back).flat_map(|due| &due.places);
    let mut with_keys: Vec<(StoreName, EntryName)> = Vec::new();
    for place in due {
        with_keys.extend(place.entries().into_iter().map(|entry| (place.store.clone(), entry.clone())));
    }
    let left_alone =
        found.left_alone.iter().filter(|note| note.key_id.is_some() && note.reason != SkipReason::Excluded);
    for place in left_alone.flat_map(|note| &note.places) {
        if let (Ok(store), Ok(entry)) = (StoreName::new(&place.store), EntryName::new(&place.entry)) {
            with_keys.push((store, entry));
        }
    }
    let answers = Answers::of(session, with_keys.iter().map(|(store, entry)| (store, entry))).await;
    let identities = session.stores.known_identities();
    let one = |(name, number): (&StoreName, &usize)| {
        let head = entry_counts::headed(name);
        let is_read_only = session.stores.get(name).is_some_and(|store| store.capabilities().read_only);
        let refused = answers.refusals().filter(|(store, ..)| *store == name && !is_read_only);
        if let Some(message) = unwritable(refused.map(|(_, entry, why)| (entry, why)).collect()) {
            let hint = "no key in such an entry is rotated until then";
            return Check::of("entries", Err(CliError::failed(format!("{head} {message}"), hint)));
        }
        let mut of_store = with_keys.iter().filter(|(store, _)| store == name);
        let writes = match (
            of_store.clone().count(),
            of_store.any(|(_, entry)| *answers.about(name, entry) == Writable::Unknown),
        ) {
            _ if is_read_only => "; it is only read",
            (0, _) => "",
            (_, true) => "; whether they can be written cannot be asked",
            (_, false) => "; those with a key can be written",
        };
        if *number == 0 {
            return Check::warning("entries", format!("{head} {}", entry_counts::empty(identities.get(name))));
        }
        let keys = match keys_of(found, name) {
            0 if in_flight > 0 => "no AWS access key but those in flight".to_owned(),
            0 => "no AWS access key".to_owned(),
            1 => "1 key".to_owned(),
            keys => format!("{keys} keys"),
        };
        Check::of("entries", Ok(format!("{head} {}, {keys}{writes}", entry_counts::count(*number))))
    };
    found.entries.iter().map(one).collect()
}

/// How many keys of the survey the store holds.
fn keys_of(found: &Survey, store: &StoreName) -> usize {
    let due =
        found.due.iter().chain(&found.held_back).filter(|due| due.places.iter().any(|place| place.store == *store));
    let due = due.map(|due| &due.key.id);
    let skipped = found.left_alone.iter().filter(|note| note.places.iter().any(|place| place.store == store.as_str()));
    due.chain(skipped.filter_map(|note| note.key_id.as_ref())).collect::<BTreeSet<_>>().len()
}

/// The maximum number of entries in one message.
const MOST_ENTRIES: usize = 3;

/// How many entries cannot be written, and why the first of them cannot.
fn unwritable(refused: Vec<(&EntryName, &str)>) -> Option<String> {
    if let [(entry, why)] = refused[..] {
        return Some(format!("{entry} cannot be written: {why}"));
    }
    let first = refused.iter().take(MOST_ENTRIES).map(|(entry, why)| format!("\n{entry}: {why}"));
    let more = refused.len().saturating_sub(MOST_ENTRIES);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    let first: String = first.collect();
    (!refused.is_empty()).then(|| format!("{} entries cannot be written:{first}{more}", refused.len()))
}

/// Checks that each store can be opened and has an identity.
async fn stores(context: &Context, config: &Config, aws: &AwsAccounts) -> Vec<Check> {
    let mut checks = Vec::new();
    for settings in &config.stores {
        let name = &settings.uri.name;
        let head = entry_counts::headed(name);
        let opened = wiring::open_store(config, &context.host, settings, aws).await;
        let unverified = opened.as_ref().ok().and_then(|store| store.unverified());
        let asked = match opened {
            Ok(store) => store.identity().await.map(|_| name.to_string()).map_err(|error| {
                CliError::failed(format!("{head} {}", error.message), "docs/stores.md says what each store needs")
            }),
            Err(error) => Err(error),
        };
        checks.push(match local::who_may_read(&settings.uri.kind).filter(|_| asked.is_ok()) {
            Some(warning) => Check::warning("store", format!("{head} {warning}")),
            None => Check::of("store", asked),
        });
        checks.extend(unverified.map(|why| is_meant(settings, &why)));
    }
    checks
}

/// An unverified server certificate is a failure, unless the configuration permits it with `allow_insecure_tls`.
fn is_meant(settings: &StoreSettings, why: &str) -> Check {
    let message = format!("{} {why}", entry_counts::headed(&settings.uri.name));
    if settings.table.allow_insecure_tls == Some(true) {
        return Check::warning("tls", format!("{message}; allow_insecure_tls says that this is meant"));
    }
    let hint = "put the cluster's certificate authority into the kubeconfig instead, or set allow_insecure_tls = true in \
                the [[store]] if this is meant";
    Check::of("tls", Err(CliError::failed(message, hint)))
}

fn same_time(aws: Timestamp, here: Timestamp) -> Result<String, CliError> {
    let apart = aws.since(here).max(here.since(aws));
    let words = format!("this machine's clock and AWS's are {} s apart", apart.as_secs());
    if apart >= SIGNATURE_TOLERANCE {
        return Err(CliError::failed(
            words,
            "AWS refuses what is signed so far off: set the clock, with NTP for example",
        ));
    }
    Ok(if apart >= NOTICEABLE { format!("{words}: better set it, with NTP for example") } else { words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_cannot_be_opened_is_reported_once() {
        let failed = || CliError::failed("store a: it does not exist", "open it");
        let after = not_looked(&[Check::of("store", Err(failed()))], failed());
        assert!(after.ok && after.warning && after.message.starts_with("not checked"), "{}", after.message);
        let alone = not_looked(&[Check::of("store", Ok("a".to_owned()))], failed());
        assert!(!alone.ok && alone.message.contains("does not exist"), "{}", alone.message);
    }

    #[test]
    fn the_entries_that_cannot_be_written_are_counted_and_the_first_are_named() {
        let names = ["a/b/c", "a/b/d", "a/b/e", "a/b/f", "a/b/g"].map(|name| EntryName::new(name).expect("a name"));
        let of = |count: usize| unwritable(names[..count].iter().map(|name| (name, "why")).collect());
        assert_eq!(of(0), None);
        assert_eq!(of(1).as_deref(), Some("a/b/c cannot be written: why"));
        assert_eq!(of(2).as_deref(), Some("2 entries cannot be written:\na/b/c: why\na/b/d: why"));
        assert!(of(5).is_some_and(|text| text.starts_with("5 entries") && text.ends_with("a/b/e: why\nand 2 more")));
    }

    #[test]
    fn a_clock_that_aws_would_refuse_fails() {
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        assert!(same_time(now, now.plus(Duration::from_secs(10))).is_ok());
        assert!(same_time(now, now.plus(Duration::from_secs(100))).is_ok_and(|words| words.contains("NTP")));
        assert!(same_time(now, now.plus(Duration::from_secs(300))).is_err());
        assert!(same_time(now.plus(Duration::from_secs(300)), now).is_err());
    }
}
