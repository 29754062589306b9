//! `policy`: prints the least rights that a configuration needs: an IAM policy for IAM and the AWS stores, a Vault
//! policy, or the roles of a Kubernetes cluster. With `--read-only` it contains what `plan`, `doctor` and `status` need,
//! and nothing that writes. stdout gets the document, stderr the purpose of each part.

mod document;
mod found;
mod narrow;
mod needed;
mod others;
mod statements;

use serde_json::json;

use self::document::Document;
pub(super) use self::found::Found;
pub(super) use self::needed::{Needed, Principal, needed};
use self::statements::{Statement, Where, in_account, stores_in};
use crate::cli::args::PolicyArgs;
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::to_bytes;
use crate::cli::output::terminal::to_stdout;
use crate::types::name::AccountId;

/// Runs `rotator policy`.
///
/// # Errors
/// [`CliError::usage`] if the configuration is not valid; with `--found` also the errors of `plan`.
pub fn policy(context: &Context, args: &PolicyArgs) -> Result<Exit, CliError> {
    let config = context.config(&Default::default())?;
    let found = if args.found { Some(found::ask(context, &config)?) } else { None };
    let Document { document, remarks } = match (args.vault, args.kubernetes) {
        (true, _) => others::of_vault(&config, args.read_only, found.as_ref())?,
        (_, true) => others::of_kubernetes(&config, args.read_only, found.as_ref())?,
        (false, false) => document_of(of_aws(&config, args, found.as_ref())?),
    };
    to_stdout(&to_bytes(&document))?;
    for remark in remarks {
        context.terminal.say(&remark);
    }
    // An audit lacks the rights to write on purpose, and needs no test of them.
    if !args.vault && !args.kubernetes && !args.read_only {
        context.terminal.say(OPTIONAL);
    }
    Ok(Exit::Done)
}

/// A right that no rotation needs, so the policy does not have it.
const OPTIONAL: &str = "not in the policy, and optional: iam:SimulatePrincipalPolicy on rotator's own user or role, and \
                        iam:GetRole on that role. With them `rotator doctor` tests the rights above in advance";

fn document_of(statements: Vec<Statement>) -> Document {
    let (mut parts, mut remarks) = (Vec::new(), Vec::new());
    for Statement { sid, actions, resources, remark, .. } in statements {
        remarks.push(format!("{sid}: {remark}"));
        parts.push(json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources }));
    }
    Document { document: json!({ "Version": "2012-10-17", "Statement": parts }), remarks }
}

/// The statements that the named account needs. With several accounts and none named, what the credentials in use need
/// to reach each of them.
fn of_aws(config: &Config, args: &PolicyArgs, found: Option<&Found>) -> Result<Vec<Statement>, CliError> {
    let read_only = args.read_only;
    let Some(named) = args.account.as_deref() else {
        if config.accounts.is_empty() {
            // Without a table there is one account, which is that of the confirmed users.
            let account = found.and_then(Found::only_account).unwrap_or("*");
            return Ok(in_account(config, &Where::without_table(account, read_only), found));
        }
        return own(config, read_only, found);
    };
    if let Some(configured) = config.accounts.iter().find(|known| known.is_called(named)) {
        return Ok(in_account(config, &Where::of(configured, read_only), found));
    }
    if AccountId::new(named).is_err() || !config.accounts.is_empty() {
        return Err(CliError::usage(
            format!("there is no account {named}"),
            "write the twelve digits of one, or the name or the id of an [[account]]",
        ));
    }
    Ok(in_account(config, &Where::without_table(named, read_only), found))
}

/// The statements that the credentials in use need if accounts are configured: assuming each role, everything for an
/// account without a role or a profile, and the stores outside of these accounts.
fn own(config: &Config, read_only: bool, found: Option<&Found>) -> Result<Vec<Statement>, CliError> {
    let roles = config.accounts.iter().filter(|account| account.access.profile.is_none());
    let roles: Vec<&str> =
        roles.filter_map(|account| account.access.role.as_ref()).map(|role| role.arn.as_str()).collect();
    let mut statements = Vec::new();
    if !roles.is_empty() {
        let remark = if read_only {
            "get into each account that is configured with a role; the role decides what is allowed there: name roles that have \
             the policy of `rotator policy --read-only --account NAME`"
        } else {
            "get into each account that is configured with a role"
        };
        statements.push(Statement::new("AssumeRoles", &["sts:AssumeRole"], json!(roles), remark));
    }
    for account in config.accounts.iter().filter(|account| account.uses_own_credentials()) {
        statements.extend(in_account(config, &Where::of(account, read_only), found));
    }
    statements.extend(stores_in(config, &Where::without_table("*", read_only), found));
    if statements.is_empty() {
        return Err(CliError::usage(
            "the credentials in use need no policy: each account has a profile of its own",
            "`rotator policy --account NAME` prints what those of an account need",
        ));
    }
    Ok(statements)
}
