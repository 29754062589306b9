//! What the settings mean together: defaults, patterns, and which values exclude each other.

use std::path::Path;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::file::{OwnerTable, PolicyTable};
use super::forms::{OwnerSource, Time};
use super::layers::{Layers, Origin};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::engine::survey::choice::Patterns;
use crate::engine::survey::owner_rule::{LITERAL, Owner};
use crate::rotation::policy::{Policy, StillInUse};
use crate::types::time::words;

pub(super) const DEFAULT_CONCURRENCY: usize = 16;
pub(super) const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The policy of new rotations.
pub(super) fn policy(table: &PolicyTable) -> Result<Policy, CliError> {
    let default = Policy::default();
    policy_with(table, time(table.overlap, default.overlap), time(table.quarantine, default.quarantine))
}

/// The policy of new rotations with this overlap and this quarantine.
pub(super) fn policy_with(table: &PolicyTable, overlap: Duration, quarantine: Duration) -> Result<Policy, CliError> {
    let default = Policy::default();
    let quiet = if overlap.is_zero() { StillInUse::Ignore } else { StillInUse::Wait };
    let policy = Policy {
        overlap,
        quarantine,
        settle: time(table.settle, default.settle),
        unclaimed_after: time(table.unclaimed_after, default.unclaimed_after),
        confirmations: table.confirmations.map_or(default.confirmations, |number| number.0),
        proof_span: time(table.proof_span, default.proof_span),
        proof_timeout: table.proof_timeout.map_or(default.proof_timeout, |time| time.0),
        spare_key: table.spare_key.unwrap_or(default.spare_key),
        unclaimed: table.unclaimed.unwrap_or(default.unclaimed),
        still_in_use: table.still_in_use.unwrap_or(quiet),
        still_in_use_for: time(table.still_in_use_for, default.still_in_use_for),
    };
    if policy.proof_span >= policy.proof_timeout {
        return Err(CliError::usage(
            format!(
                "[policy] proof_span ({}) leaves no time before proof_timeout ({}): no new pair could ever prove itself",
                words(policy.proof_span),
                words(policy.proof_timeout)
            ),
            "set proof_timeout well above proof_span",
        ));
    }
    Ok(policy)
}

/// How the IAM user of an entry is found.
pub(super) fn owner(table: OwnerTable, layers: &Layers) -> Result<Owner, CliError> {
    let from_aws = match table.from {
        Some(OwnerSource::Aws) => true,
        Some(OwnerSource::Literal) | None => false,
    };
    let other = layers.origin("owner", "template").or(layers.origin("owner", "table"));
    if let (true, Some(origin)) = (from_aws, other) {
        return Err(CliError::usage(
            format!("[owner] from = \"aws\" cannot be combined with a template or a table (from {origin})"),
            "keep one of them",
        ));
    }
    if from_aws {
        return Ok(Owner::Aws);
    }
    let template = table.template.map_or_else(|| LITERAL.to_owned(), |template| template.0);
    Ok(match table.table {
        Some(users) => Owner::Table(users.0, template),
        None => Owner::Template(template),
    })
}

/// The time of a setting, or its default.
pub(super) fn time(given: Option<Time>, default: Duration) -> Duration {
    given.map_or(default, |time| time.0)
}

/// The patterns of the entries that may be unreadable.
pub(super) fn unread_ok(table: &PolicyTable, layers: &Layers) -> Result<GlobSet, CliError> {
    let origin = layers.origin("policy", "unread_ok").map_or_else(String::new, |origin| format!(" from {origin}"));
    globs(&table.unread_ok, &format!("[policy] unread_ok{origin}"))
}

/// Compiles a set of patterns.
pub(super) fn globs(patterns: &[String], origin: &str) -> Result<GlobSet, CliError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| not_a_pattern(Some(pattern), error.kind(), origin))?);
    }
    set.build().map_err(|error| not_a_pattern(None, error.kind(), origin))
}

/// Compiles the patterns of a setting that chooses keys.
pub(super) fn patterns(texts: &[String], key: &str, layers: &Layers) -> Result<Patterns, CliError> {
    let setting = format!("[policy] {key}");
    let (called, origin) = match layers.origin("policy", key) {
        Some(Origin::Flag(flag)) => ((*flag).to_owned(), (*flag).to_owned()),
        Some(origin @ (Origin::File(_) | Origin::Environment(_))) => {
            let from = format!("{setting} from {origin}");
            (setting, from)
        }
        None => (setting.clone(), setting),
    };
    compiled(texts, &called, &origin)
}

/// Compiles the patterns of the setting that is `called` so in messages about keys.
pub(super) fn compiled(texts: &[String], called: &str, origin: &str) -> Result<Patterns, CliError> {
    Patterns::new(texts, called).map_err(|(pattern, why)| not_a_pattern(pattern.as_deref(), &why, origin))
}

fn not_a_pattern(pattern: Option<&str>, why: &globset::ErrorKind, origin: &str) -> CliError {
    match pattern {
        Some(pattern) => CliError::usage(
            format!("{origin}: `{pattern}` is not a valid pattern: {why}"),
            "write for example 'app1/*'",
        ),
        None => {
            CliError::usage(format!("{origin}: there are too many patterns, or they are too large: {why}"), "use fewer")
        }
    }
}

/// The text of a setting that names files.
pub(super) fn not_empty<'a>(key: &str, text: &'a str, origin: Option<&Origin>) -> Result<&'a str, CliError> {
    match (text, origin) {
        ("", Some(origin)) => Err(CliError::usage(format!("{key} from {origin} cannot be \"\""), "name a file")),
        _ => Ok(text),
    }
}

/// The folder that relative paths of this setting start from: that of the file, otherwise the working directory.
pub(super) fn base<'a>(origin: Option<&'a Origin>, host: &'a HostEnv) -> &'a Path {
    match origin {
        Some(Origin::File(path)) => path.parent().unwrap_or(&host.folder),
        Some(Origin::Environment(_) | Origin::Flag(_)) | None => &host.folder,
    }
}
