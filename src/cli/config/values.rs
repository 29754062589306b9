//! Parses the values of settings: durations, numbers, patterns and enumerations, and checks which values fit
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::layers::{Layers, Origin, RawSetting, Table};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::engine::survey::choice::Patterns;
use crate::engine::survey::owner_rule::{LITERAL, Owner};
use crate::rotation::policy::{Policy, SpareKey, StillInUse, Unclaimed};
use crate::types::name::UserName;
use crate::types::time::words;

pub(super) const DEFAULT_CONCURRENCY: usize = 16;
/// Each call in flight needs a connection, and IAM throttles far below this number.
pub(super) const MOST_CONCURRENCY: usize = 1024;
pub(super) const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The trusted groups by number: a directory server may decide what the name of a group means.
pub(super) fn trusted_groups(layers: &Layers) -> Result<BTreeSet<u32>, CliError> {
    let Some(given) = layers.get("", "trusted_groups") else { return Ok(BTreeSet::new()) };
    let number = |text: &String| {
        let hint = "write the numbers of groups, such as 2000; `getent group NAME` shows that of a group";
        text.trim().parse().map_err(|_| bad("trusted_groups", given, text, hint))
    };
    given.texts.iter().map(number).collect()
}

pub(super) fn policy(layers: &Layers) -> Result<Policy, CliError> {
    let default = Policy::default();
    let overlap = duration(layers, "policy", "overlap", default.overlap)?;
    let quiet = if overlap.is_zero() { StillInUse::Ignore } else { StillInUse::Wait };
    let policy = Policy {
        overlap,
        quarantine: duration(layers, "policy", "quarantine", default.quarantine)?,
        settle: duration(layers, "policy", "settle", default.settle)?,
        unclaimed_after: duration(layers, "policy", "unclaimed_after", default.unclaimed_after)?,
        confirmations: number(layers, "confirmations", default.confirmations, |n| (1..=100).contains(n))?,
        proof_span: duration(layers, "policy", "proof_span", default.proof_span)?,
        proof_timeout: positive_duration(layers, "policy", "proof_timeout", default.proof_timeout)?,
        spare_key: word(
            layers,
            "spare_key",
            default.spare_key,
            &[("block", SpareKey::Block), ("delete-inactive", SpareKey::DeleteInactive)],
        )?,
        unclaimed: word(
            layers,
            "unclaimed",
            default.unclaimed,
            &[("reclaim", Unclaimed::Reclaim), ("report", Unclaimed::Report)],
        )?,
        still_in_use: word(
            layers,
            "still_in_use",
            quiet,
            &[("ignore", StillInUse::Ignore), ("wait", StillInUse::Wait)],
        )?,
        still_in_use_for: duration(layers, "policy", "still_in_use_for", default.still_in_use_for)?,
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

pub(super) fn owner(layers: &Layers) -> Result<Owner, CliError> {
    let (template, table, from) =
        (layers.get("owner", "template"), layers.get("owner", "table"), layers.get("owner", "from"));
    let aws = match from {
        None => false,
        Some(given) => match one(given) {
            "aws" => true,
            "literal" => false,
            other => return Err(bad("[owner] from", given, other, "write \"aws\" or \"literal\"")),
        },
    };
    if let (true, Some(other)) = (aws, template.or(table)) {
        return Err(CliError::usage(
            format!("[owner] from = \"aws\" cannot be combined with a template or a table (from {})", other.origin),
            "keep one of them",
        ));
    }
    if aws {
        return Ok(Owner::Aws);
    }
    let by_template = match template {
        Some(given) => checked_template(given)?,
        None => LITERAL.to_owned(),
    };
    let Some(given) = table else { return Ok(Owner::Template(by_template)) };
    let mut users = BTreeMap::new();
    for line in &given.texts {
        let entry =
            line.split_once('=').filter(|(scope, user)| scope.split('/').count() == 2 && UserName::new(*user).is_ok());
        let Some((scope, user)) = entry else {
            return Err(bad("[owner.table]", given, line, "write lines \"app/environment\" = \"user\""));
        };
        users.insert(scope.to_owned(), user.to_owned());
    }
    Ok(Owner::Table(users, by_template))
}

fn checked_template(given: &RawSetting) -> Result<String, CliError> {
    let template = one(given);
    let rest = template.replace("{app}", "").replace("{environment}", "");
    if template.is_empty() || rest.contains(['{', '}']) {
        return Err(bad("[owner] template", given, template, "it may hold {app} and {environment}, and other text"));
    }
    Ok(template.to_owned())
}

/// Compiles a set of patterns.
pub(super) fn globs(patterns: &[String], origin: &str) -> Result<GlobSet, CliError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| not_a_pattern(Some(pattern), error.kind(), origin))?);
    }
    set.build().map_err(|error| not_a_pattern(None, error.kind(), origin))
}

/// Compiles the patterns of a flag.
pub(super) fn patterns(texts: &[String], origin: &str) -> Result<Patterns, CliError> {
    Patterns::new(texts).map_err(|(pattern, why)| not_a_pattern(pattern.as_deref(), &why, origin))
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

pub(super) fn duration(
    layers: &Layers,
    section: &'static str,
    key: &'static str,
    default: Duration,
) -> Result<Duration, CliError> {
    let Some(given) = layers.get(section, key) else { return Ok(default) };
    humantime::parse_duration(one(given))
        .map_err(|_| bad(key, given, one(given), "write a time such as 0s, 90s, 1h or 80d"))
}

pub(super) fn positive_duration(
    layers: &Layers,
    section: &'static str,
    key: &'static str,
    default: Duration,
) -> Result<Duration, CliError> {
    let found = duration(layers, section, key, default)?;
    match layers.get(section, key) {
        Some(given) if found.is_zero() => Err(bad(key, given, one(given), "write a time above 0, such as 10s")),
        Some(_) | None => Ok(found),
    }
}

pub(super) fn number<N: std::str::FromStr>(
    layers: &Layers,
    key: &'static str,
    default: N,
    fits: impl Fn(&N) -> bool,
) -> Result<N, CliError> {
    let Some(given) = layers.get("policy", key) else { return Ok(default) };
    let number = one(given).parse().ok().filter(fits);
    number.ok_or_else(|| bad(key, given, one(given), "write a whole number above 0, and not a huge one"))
}

pub(super) fn rate(layers: &Layers) -> Result<Option<f64>, CliError> {
    let Some(given) = layers.get("policy", "rate") else { return Ok(None) };
    let rate = one(given).parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.01);
    rate.map(Some).ok_or_else(|| bad("rate", given, one(given), "write calls a second, such as 10"))
}

fn word<T: Copy>(layers: &Layers, key: &'static str, default: T, words: &[(&str, T)]) -> Result<T, CliError> {
    let Some(given) = layers.get("policy", key) else { return Ok(default) };
    match words.iter().find(|(word, _)| *word == one(given)) {
        Some((_, value)) => Ok(*value),
        None => {
            let words = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
            Err(bad(key, given, one(given), &format!("write {words}")))
        }
    }
}

fn one(given: &RawSetting) -> &str {
    given.texts.first().map_or("", |text| text.trim())
}

pub(super) fn not_empty<'a>(key: &str, given: &'a RawSetting) -> Result<&'a str, CliError> {
    match one(given) {
        "" => Err(bad(key, given, "", "name a file")),
        text => Ok(text),
    }
}

fn bad(key: &str, given: &RawSetting, text: &str, hint: &str) -> CliError {
    CliError::usage(format!("{key} from {} cannot be \"{text}\"", given.origin), hint)
}

/// The folder that relative paths of this setting start from: that of the file, otherwise the working directory.
pub(super) fn base<'a>(given: &'a RawSetting, host: &'a HostEnv) -> &'a Path {
    match &given.origin {
        Origin::File(path) => path.parent().unwrap_or(&host.folder),
        Origin::Environment(_) | Origin::Flag(_) => &host.folder,
    }
}

/// The hint for a region that is not valid.
pub(super) const A_REGION: &str = "write the name of a region, such as eu-central-1";

/// Whether a text may be a region: the region becomes a part of a host name.
pub(super) fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The hint for a name that is not valid for a variable.
pub(super) const A_VARIABLE: &str = "write the names of environment variables, such as [\"GH_TOKEN\"]";

/// The variables that a table names for its program.
///
/// # Errors
/// The first name that is not valid.
pub(super) fn variables(table: &Table) -> Result<Vec<String>, String> {
    let is_name = |name: &str| {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        word && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    match table.texts("env").iter().find(|name| !is_name(name)) {
        Some(name) => Err(name.clone()),
        None => Ok(table.texts("env").to_vec()),
    }
}
