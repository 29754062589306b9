//! `[[account]]`: the AWS accounts whose keys are rotated, how each is reached, and which entries have its keys.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::file::AccountTable;
use super::layers::Origin;
use super::stores::StoreSettings;
use super::values::globs;
use crate::adapters::aws::{Access, Role};
use crate::adapters::shown_url;
use crate::cli::error::CliError;
use crate::engine::account_label::Label;
use crate::engine::accounts::Covers;
use crate::types::name::AccountId;
use crate::types::time::words;

/// The settings of one account.
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// The number and the name of the account.
    pub label: Label,
    pub access: Access,
    /// The entries whose keys belong to the account.
    pub covers: Covers,
}

impl AccountSettings {
    /// Whether `text` is the name or the number of the account.
    #[must_use]
    pub fn is_called(&self, text: &str) -> bool {
        self.label.name.as_deref() == Some(text) || self.label.id.as_ref().is_some_and(|id| id.as_str() == text)
    }

    /// Whether the account is reached with the credentials in use, without a role or a profile.
    #[must_use]
    pub const fn uses_own_credentials(&self) -> bool {
        self.access.role.is_none() && self.access.profile.is_none()
    }

    /// The AWS partition, derived from the role or the region.
    #[must_use]
    pub fn partition(&self) -> &str {
        match (&self.access.role, self.access.region.as_deref().unwrap_or_default()) {
            (Some(role), _) => role.arn.split(':').nth(1).unwrap_or("aws"),
            (None, region) if region.starts_with("cn-") => "aws-cn",
            (None, region) if region.starts_with("us-gov-") => "aws-us-gov",
            (None, _) => "aws",
        }
    }
}

/// Reads every `[[account]]` table, and checks the account settings of the stores against them.
pub(super) fn read(
    tables: &[AccountTable],
    origin: Option<&Origin>,
    stores: &[StoreSettings],
) -> Result<Vec<AccountSettings>, CliError> {
    let file = origin.map_or_else(String::new, ToString::to_string);
    let mut accounts: Vec<AccountSettings> = Vec::new();
    for table in tables {
        let account = one(table, &file, stores)?;
        let called = [account.label.name.as_deref(), account.label.id.as_ref().map(AccountId::as_str)];
        let twice = called.into_iter().flatten().find(|text| accounts.iter().any(|other| other.is_called(text)));
        if let Some(text) = twice {
            return Err(CliError::usage(
                format!("two [[account]] tables in {file} are called {text}"),
                "configure an account once; it may have several environments and stores",
            ));
        }
        accounts.push(account);
    }
    for store in stores {
        let Some(account) = &store.table.account else { continue };
        if !accounts.iter().any(|known| known.is_called(account)) {
            return Err(CliError::usage(
                format!(
                    "the store {} is said to be in account {account}, and there is no such [[account]]",
                    store.uri.name
                ),
                "write the id or the name of one that is configured",
            ));
        }
    }
    Ok(accounts)
}

fn one(table: &AccountTable, file: &str, stores: &[StoreSettings]) -> Result<AccountSettings, CliError> {
    let bad = |key: &str, text: &str, hint: &str| {
        CliError::usage(format!("{key} of [[account]] in {file} cannot be \"{}\"", shown_url(text)), hint)
    };
    let number = |id: &String| AccountId::new(id.as_str()).map_err(|_| bad("id", id, "write its twelve digits"));
    let given = table.id.as_ref().map(number);
    let given = given.transpose()?;
    let role = match table.role.as_deref() {
        None => None,
        Some(arn) => {
            Some((arn, account_of(arn).ok_or_else(|| bad("role", arn, "write arn:aws:iam::DIGITS:role/NAME"))?))
        }
    };
    let id = match (given, &role) {
        (Some(id), Some((arn, of_role))) if id != *of_role => {
            return Err(bad("role", arn, &format!("its id is {id}: a role of that account is needed")));
        }
        (Some(id), _) => id,
        (None, Some((_, id))) => id.clone(),
        (None, None) => {
            return Err(CliError::usage(
                format!("an [[account]] in {file} has neither an id nor a role"),
                "write id = \"…\" with its twelve digits: rotator works only in accounts that are configured",
            ));
        }
    };
    let duration = table.session_duration.map(|duration| duration.0);
    let length = duration.map(words);
    let of_role = [
        ("external_id", &table.external_id),
        ("session_name", &table.session_name),
        ("mfa_serial", &table.mfa_serial),
        ("session_duration", &length),
    ];
    for (key, value) in of_role {
        if let (Some(text), None) = (value, &role) {
            return Err(bad(key, text, "only a role has a use for it"));
        }
    }
    if let Some(device) = table.mfa_serial.as_deref().filter(|device| !is_device(device)) {
        let hint = "write arn:aws:iam::DIGITS:mfa/NAME, or the serial number of a hardware device; a passkey or security key \
                    gives no code";
        return Err(bad("mfa_serial", device, hint));
    }
    if let Some(length) = length.filter(|_| duration.is_some_and(|duration| !SESSION_DURATIONS.contains(&duration))) {
        return Err(bad("session_duration", &length, "write a time from 15m to 12h that the role allows"));
    }
    let mut covered = BTreeSet::new();
    for name in &table.stores {
        let store = stores.iter().find(|store| store.uri.name.as_str() == name);
        let store = store.ok_or_else(|| bad("stores", name, "write the names of configured stores, or their URIs"))?;
        covered.insert(store.uri.name.clone());
    }
    let patterns = |patterns: &[String]| globs(patterns, &format!("environments of [[account]] in {file}"));
    let environments = &table.environments;
    let label = Label { name: table.name.clone(), id: Some(id) };
    Ok(AccountSettings {
        access: Access {
            label: label.to_string(),
            profile: table.profile.clone(),
            region: table.region.clone(),
            role: role.map(|(arn, _)| Role {
                arn: arn.to_owned(),
                external_id: table.external_id.clone(),
                session_name: table.session_name.clone(),
                mfa_serial: table.mfa_serial.clone(),
                session_duration: duration,
            }),
        },
        label,
        covers: Covers {
            environments: if environments.is_empty() { None } else { Some(patterns(environments)?) },
            stores: (!covered.is_empty()).then_some(covered),
        },
    })
}

/// How long a session of a role may last (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
const SESSION_DURATIONS: RangeInclusive<Duration> = Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 3600);

/// Whether this names an MFA device that gives codes, in the form of the same page.
fn is_device(text: &str) -> bool {
    let has_form = |c: char| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c);
    let gives_codes = !text.starts_with("arn:") || text.contains(":mfa/");
    (9..=256).contains(&text.len()) && text.chars().all(has_form) && gives_codes
}

/// The account in the ARN of a role: `arn:<partition>:iam::<account>:role/<path><name>`.
fn account_of(arn: &str) -> Option<AccountId> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws" | "aws-cn" | "aws-us-gov", "iam", "", account, role] = parts[..] else { return None };
    let name = role.strip_prefix("role/").filter(|name| !name.is_empty())?;
    (!name.contains(char::is_whitespace)).then(|| AccountId::new(account).ok())?
}
