//! `policy`: the least IAM policy that a configuration needs.

use serde_json::{Value, json};

use super::Context;
use super::args::PolicyArgs;
use super::conclude::to_stdout;
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::output::document::to_bytes;
use crate::drive::owner::Owner;
use crate::rotation::name::AccountId;
use crate::rotation::policy::Unclaimed;

/// `rotator policy`.
///
/// # Errors
/// [`CliError::usage`] for the configuration.
pub fn policy(context: &Context, args: &PolicyArgs) -> Result<Exit, CliError> {
    let config = context.config(&Default::default())?;
    to_stdout(&to_bytes(&least(&config, args.account.as_ref())))?;
    Ok(Exit::Done)
}

/// The actions and what they are allowed on
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>).
/// `sts:GetCallerIdentity` needs no permission.
fn least(config: &Config, account: Option<&AccountId>) -> Value {
    let mut on_users = vec!["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys"];
    if !config.policy.quarantine.is_zero() || config.policy.unclaimed == Unclaimed::Reclaim {
        on_users.push("iam:UpdateAccessKey");
    }
    let users = users(&config.owner, account.map_or("*", AccountId::as_str));
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Sid": "RotateKeys", "Effect": "Allow", "Action": on_users, "Resource": users },
            // The call names a key and no user, so it cannot be narrowed to users by name.
            { "Sid": "WhoseAndLastUsed", "Effect": "Allow", "Action": ["iam:GetAccessKeyLastUsed"], "Resource": "*" },
        ],
    })
}

/// The users' ARNs; a user may stand below a path, which no entry tells.
fn users(owner: &Owner, account: &str) -> Vec<String> {
    let mut names: Vec<String> = match owner {
        Owner::Aws => vec!["*".to_owned()],
        Owner::Template(template) => vec![wildcard(template)],
        Owner::Table(table, template) => table.values().cloned().chain([wildcard(template)]).collect(),
    };
    names.sort();
    names.dedup();
    if names.iter().any(|name| name == "*") {
        names = vec!["*".to_owned()];
    }
    let mut arns = Vec::new();
    for name in names {
        arns.push(format!("arn:aws:iam::{account}:user/{name}"));
        if name != "*" {
            arns.push(format!("arn:aws:iam::{account}:user/*/{name}"));
        }
    }
    arns
}

/// The literal default, `{app}/{environment}`, could be a path and a name: any user.
fn wildcard(template: &str) -> String {
    let name = template.replace("{app}", "*").replace("{environment}", "*");
    if name.contains('/') { "*".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn users_are_as_narrow_as_the_owner_allows() {
        assert_eq!(users(&Owner::Aws, "*"), ["arn:aws:iam::*:user/*"]);
        assert_eq!(users(&Owner::default(), "123456789012"), ["arn:aws:iam::123456789012:user/*"]);
        assert_eq!(
            users(&Owner::Template("svc-{app}-{environment}".to_owned()), "*"),
            ["arn:aws:iam::*:user/svc-*-*", "arn:aws:iam::*:user/*/svc-*-*"]
        );
        let table = BTreeMap::from([("a/b".to_owned(), "till".to_owned())]);
        assert_eq!(
            users(&Owner::Table(table, "x-{app}".to_owned()), "*"),
            [
                "arn:aws:iam::*:user/till",
                "arn:aws:iam::*:user/*/till",
                "arn:aws:iam::*:user/x-*",
                "arn:aws:iam::*:user/*/x-*"
            ]
        );
    }
}
