//! The same rights with the names of what a search has found, for `doctor` to ask IAM about.

use serde_json::Value;

use super::found::Found;
use super::statements::{LAST_USE, READ_TOGETHER, Statement, Where, in_account, stores_in};
use crate::cli::config::{AccountSettings, Config};
use crate::ports::identity::Caller;

/// Whose rights are asked about.
pub(in crate::cli::commands) enum Principal<'a> {
    /// The credentials of an account, with its `[[account]]` table if it has one.
    Account(Option<&'a AccountSettings>),
    /// The credentials in use beside the configured accounts, which are for stores only.
    OnlyStores,
}

/// Actions that are needed on each of these resources.
pub(in crate::cli::commands) struct Needed {
    pub(in crate::cli::commands) actions: Vec<&'static str>,
    pub(in crate::cli::commands) resources: Vec<String>,
    /// One of the actions, if it has just been called on the resources: a simulation that denies it lacks something.
    pub(in crate::cli::commands) proven: Option<&'static str>,
    /// Whether a resource may have another policy that allows the actions, or another full name.
    pub(in crate::cli::commands) has_own_policy: bool,
}

/// What is needed of the statements that `rotator policy` prints, without what a search of the stores has proven.
pub(in crate::cli::commands) fn needed(
    config: &Config,
    of: &Principal<'_>,
    caller: &Caller,
    region: &str,
    found: Option<&Found>,
    needs_last_use: bool,
) -> Vec<Needed> {
    let configured = if let Principal::Account(configured) = of { *configured } else { None };
    let (partition, account) = (caller.partition(), caller.account.as_str());
    let place = Where { partition, account, region, configured, read_only: false };
    let statements = match of {
        Principal::Account(_) => in_account(config, &place, found),
        Principal::OnlyStores => stores_in(config, &place, found).collect(),
    };
    let mut without_resource = Needed::on(vec!["*".to_owned()]);
    let mut all = Vec::new();
    for statement in statements {
        let one = Needed::of(statement, needs_last_use);
        if one.resources == ["*"] {
            without_resource.actions.extend(one.actions);
        } else {
            all.push(one);
        }
    }
    all.push(without_resource);
    all.retain(|needed| !needed.actions.is_empty() && !needed.resources.is_empty());
    all
}

impl Needed {
    const fn on(resources: Vec<String>) -> Self {
        Self { actions: Vec::new(), resources, proven: None, has_own_policy: false }
    }

    fn of(statement: Statement, needs_last_use: bool) -> Self {
        let Statement { mut actions, resources, proven, .. } = statement;
        actions.retain(|action| *action != READ_TOGETHER && (*action != LAST_USE || needs_last_use));
        // A statement that only reads has been proven by reading.
        if proven.is_some_and(|proven| actions.contains(&proven)) && !actions.iter().any(|action| is_change(action)) {
            actions.clear();
        } else if let Some(proven) = proven.filter(|proven| !actions.contains(proven)) {
            actions.push(proven);
        }
        let texts = match resources {
            Value::String(one) => vec![one],
            Value::Array(all) => all.into_iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
        };
        // The path of a user is not known, so a user without a path stands for it.
        let resources: Vec<String> = texts.into_iter().filter(|arn| !arn.contains(":user/*/")).collect();
        let has_own_policy = resources.iter().any(|arn| arn.contains(":secretsmanager:"));
        Self { actions, resources, proven, has_own_policy }
    }
}

fn is_change(action: &str) -> bool {
    let name = action.split(':').nth(1).unwrap_or_default();
    !["Get", "List", "Describe", "BatchGet"].iter().any(|reads| name.starts_with(reads))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::statements::of_store;
    use super::*;
    use crate::cli::config::{StoreSettings, StoreUri};
    use crate::cli::host_env::HostEnv;

    fn of_uri(uri: &str) -> Vec<Needed> {
        let uri = StoreUri::parse(uri, Path::new("/"), &HostEnv::default()).expect("valid");
        let place = Where {
            partition: "aws",
            account: "123456789012",
            region: "eu-west-1",
            configured: None,
            read_only: false,
        };
        let all = of_store(0, &StoreSettings::whole(uri), &place, None).into_iter();
        all.map(|statement| Needed::of(statement, true)).filter(|needed| !needed.actions.is_empty()).collect()
    }

    #[test]
    fn what_is_proven_by_reading_is_asked_about_only_beside_a_write() {
        let secrets = of_uri("aws-secretsmanager:team/");
        let [list, write] = &secrets[..] else { panic!("{} are needed", secrets.len()) };
        assert_eq!(
            (&list.actions[..], &list.resources[..]),
            (&["secretsmanager:ListSecrets"][..], &["*".to_owned()][..])
        );
        let actions = ["PutSecretValue", "UpdateSecretVersionStage", "GetSecretValue"];
        assert_eq!(write.actions, actions.map(|action| format!("secretsmanager:{action}")));
        assert_eq!(write.resources, ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/*"]);
        assert!(write.has_own_policy && write.proven == Some("secretsmanager:GetSecretValue"));
        let parameters = of_uri("aws-ssm:/team");
        let [list, write] = &parameters[..] else { panic!("{} are needed", parameters.len()) };
        assert_eq!(list.actions, ["ssm:DescribeParameters"]);
        assert_eq!(write.actions, ["ssm:PutParameter", "ssm:GetParameters"]);
        assert!(!write.has_own_policy);
    }

    #[test]
    fn a_right_that_this_configuration_can_do_without_is_not_asked_about() {
        let last_use = || Statement::new("WhoseAndLastUsed", &[LAST_USE], "*".into(), "");
        assert_eq!(Needed::of(last_use(), true).actions, [LAST_USE]);
        assert!(Needed::of(last_use(), false).actions.is_empty());
        let users = ["arn:aws:iam::1:user/a", "arn:aws:iam::1:user/*/a"];
        let of_users = Statement::new("RotateKeys", &["iam:CreateAccessKey"], users.as_slice().into(), "");
        assert_eq!(Needed::of(of_users, true).resources, users[..1]);
    }
}
