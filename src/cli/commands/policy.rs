//! `policy`: prints the least rights that a configuration needs: an IAM policy for IAM and the AWS stores, a Vault
//! policy, or the roles of a Kubernetes cluster. With `--read-only` it contains what `plan`, `doctor` and `status` need,
//! and nothing that writes. stdout gets the document, stderr the purpose of each part.

mod document;
mod found;
mod narrow;
mod others;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::document::Document;
use self::found::Found;
use crate::cli::args::PolicyArgs;
use crate::cli::config::{AccountSettings, Config, StoreKind, StoreSettings};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::to_bytes;
use crate::cli::output::terminal::to_stdout;
use crate::engine::survey::owner_rule::Owner;
use crate::rotation::policy::Unclaimed;
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
    Ok(Exit::Done)
}

/// A statement and its purpose. An IAM policy cannot contain comments, so the purpose is printed separately.
struct Statement {
    sid: String,
    actions: Vec<&'static str>,
    resources: Value,
    remark: String,
}

impl Statement {
    fn new(sid: impl Into<String>, actions: &[&'static str], resources: Value, remark: impl Into<String>) -> Self {
        Self { sid: sid.into(), actions: actions.to_vec(), resources, remark: remark.into() }
    }
}

fn document_of(statements: Vec<Statement>) -> Document {
    let (mut parts, mut remarks) = (Vec::new(), Vec::new());
    for Statement { sid, actions, resources, remark } in statements {
        remarks.push(format!("{sid}: {remark}"));
        parts.push(json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources }));
    }
    Document { document: json!({ "Version": "2012-10-17", "Statement": parts }), remarks }
}

/// The scope of a policy.
struct Where<'a> {
    partition: &'a str,
    /// The number of the account, or `*`.
    account: &'a str,
    /// The `[[account]]` table, if one is configured.
    configured: Option<&'a AccountSettings>,
    /// Nothing is written: the policy is that of an audit.
    read_only: bool,
}

impl<'a> Where<'a> {
    fn of(configured: &'a AccountSettings, read_only: bool) -> Self {
        let account = configured.label.id.as_ref().map_or("*", AccountId::as_str);
        Where { partition: configured.partition(), account, configured: Some(configured), read_only }
    }

    /// An account without an `[[account]]` table.
    fn without_table(account: &'a str, read_only: bool) -> Self {
        Where { partition: "aws", account, configured: None, read_only }
    }
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

/// The statements for the AWS stores in this account.
fn stores_in<'a>(
    config: &'a Config,
    place: &'a Where<'a>,
    found: Option<&'a Found>,
) -> impl Iterator<Item = Statement> + 'a {
    let is_there = |store: &StoreSettings| match (&store.table.account, place.configured) {
        (Some(account), Some(configured)) => configured.is_called(account),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let stores = config.stores.iter().enumerate().filter(move |(_, store)| is_there(store));
    stores.flat_map(move |(number, store)| of_store(number, store, place, found))
}

/// The actions and their resources
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>).
/// `sts:GetCallerIdentity` needs no permission.
fn in_account(config: &Config, place: &Where<'_>, found: Option<&Found>) -> Vec<Statement> {
    let users = users(&config.owner, place, found);
    let mut statements = vec![
        on_users(config, place.read_only, &users),
        // The call names a key and no user, so its permission cannot be narrowed to users by name.
        Statement::new(
            "WhoseAndLastUsed",
            &["iam:GetAccessKeyLastUsed"],
            json!("*"),
            "see whose a key is and when it was used last; the call names no user, and cannot be narrowed",
        ),
    ];
    if config.accounts.len() > 1 {
        statements.push(Statement::new(
            "WhichAccount",
            &["sts:GetAccessKeyInfo"],
            json!("*"),
            "see of which account a key is; it may be of any, so this cannot be narrowed",
        ));
    }
    statements.extend(stores_in(config, place, found));
    statements
}

/// The statement for the calls that name a user.
fn on_users(config: &Config, read_only: bool, users: &[String]) -> Statement {
    let is_every = matches!(users, [every] if every.ends_with(":user/*"));
    if read_only {
        let means = if is_every { "" } else { "; the keys of any other user are shown as `iam-failed`" };
        let remark = format!("list the keys of users{means}");
        return Statement::new("ListKeys", &["iam:ListAccessKeys"], json!(users), remark);
    }
    let mut actions = vec!["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys"];
    let deactivates = config.all_terms().iter().any(|terms| !terms.policy.quarantine.is_zero());
    if deactivates || config.policy.unclaimed == Unclaimed::Reclaim {
        actions.push("iam:UpdateAccessKey");
    }
    let means = if is_every {
        "; `user/*` is every user of the account: who has rotator's credentials can make a key of any of them, also of an \
         administrator. `rotator policy --found` names the users that `plan` finds, and so do [owner.table] and \
         [owner] template"
    } else {
        "; a user that is not among them cannot be rotated: print the policy again when there are others"
    };
    let remark = format!("make, list, switch off and delete the keys of users{means}");
    Statement::new("RotateKeys", &actions, json!(users), remark)
}

/// The right to read many secrets with one call. It gives access to no value.
const READ_TOGETHER: &str = "secretsmanager:BatchGetSecretValue";

/// The statements for one AWS store
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html>,
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html>). For values that
/// are sealed with a customer-managed KMS key, that key also has to allow `kms:Decrypt` and `kms:GenerateDataKey`.
fn of_store(number: usize, store: &StoreSettings, place: &Where<'_>, found: Option<&Found>) -> Vec<Statement> {
    let Where { partition, account, .. } = place;
    let is_only_read = place.read_only || store.table.read_only;
    let region = store.table.region.as_deref().unwrap_or("*");
    let name = store.uri.name.as_str();
    let (begin, behind) = (format!("arn:{partition}"), format!("{region}:{account}"));
    let written = found.map(|found| found.natives(store));
    let mut statements = Vec::new();
    let (list, write, in_parts): (&[&'static str], &[&'static str], _) = match &store.uri.kind {
        StoreKind::SecretsManager(prefix) => {
            let arn = |pattern: &str| format!("{begin}:secretsmanager:{behind}:secret:{prefix}{pattern}");
            // AWS appends a hyphen and six characters to the name.
            let exact = |name: &String| arn(&format!("{name}-??????"));
            let included: BTreeSet<String> = narrow::included(store)
                .iter()
                .map(|pattern| if pattern.ends_with('*') { arn(pattern) } else { exact(pattern) })
                .collect();
            let to_write = written.map_or_else(|| included.clone(), |names| names.iter().map(exact).collect());
            let remark = format!("read every secret that the store holds: {}", why_all_is_read(place.read_only));
            statements.push(Statement::new(
                format!("Store{number}Read"),
                &["secretsmanager:GetSecretValue"],
                json!(included),
                format!("{name}: {remark}"),
            ));
            let write = &["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"];
            // Neither of these two has a resource to name.
            (&[READ_TOGETHER, "secretsmanager:ListSecrets"], write, to_write)
        }
        StoreKind::ParameterStore(path) => {
            let path = path.trim_matches('/');
            let arn = |below: &str| format!("{begin}:ssm:{behind}:parameter/{below}");
            let below = |name: &str| match (path, name.trim_start_matches('/')) {
                ("", name) => arn(name),
                (path, name) => arn(&format!("{path}/{name}")),
            };
            // The permission to list is granted on the path itself.
            let whole: BTreeSet<String> =
                if path.is_empty() { [arn("*")].into() } else { [arn(path), below("*")].into() };
            let included: BTreeSet<String> = narrow::included(store).iter().map(|pattern| below(pattern)).collect();
            let to_write =
                written.map_or_else(|| included.clone(), |names| names.iter().map(|name| below(name)).collect());
            let remark = format!("read every parameter below the path: {}", why_all_is_read(place.read_only));
            statements.push(Statement::new(
                format!("Store{number}Read"),
                &["ssm:GetParameters", "ssm:GetParametersByPath"],
                json!(whole),
                format!("{name}: {remark}"),
            ));
            // The parameters are listed by their path. A write has to name the type, which it does not inherit.
            let describe: &[&str] = if is_only_read { &[] } else { &["ssm:DescribeParameters"] };
            (describe, &["ssm:PutParameter"], to_write)
        }
        StoreKind::Sqlite(_)
        | StoreKind::File(_)
        | StoreKind::Sops(_)
        | StoreKind::Vault(_)
        | StoreKind::Kubernetes(_)
        | StoreKind::Exec(_) => {
            return Vec::new();
        }
    };
    if !list.is_empty() {
        let remark = format!("{name}: {}", why_listed(number, list));
        statements.insert(0, Statement::new(format!("Store{number}List"), list, json!("*"), remark));
    }
    if !is_only_read && !in_parts.is_empty() {
        let means = if found.is_some() {
            "the entries that hold pairs; what else gets a pair cannot be written"
        } else {
            "what `include` leaves of the store; `rotator policy --found` names the entries that hold pairs"
        };
        let remark = format!("{name}: put new pairs into {means}");
        statements.push(Statement::new(format!("Store{number}Write"), write, json!(in_parts), remark));
    }
    statements
}

/// What the rights are for that name no entry.
fn why_listed(number: usize, list: &[&str]) -> String {
    if !list.contains(&READ_TOGETHER) {
        return "see which entries there are; a list cannot be narrowed".to_owned();
    }
    format!(
        "see which secrets there are, and read 20 of them with one call; neither can be narrowed, and such a call returns only \
         what Store{number}Read allows, too. Without {READ_TOGETHER} each secret is read with a call of its own"
    )
}

/// Why the whole of a store is read.
const fn why_all_is_read(read_only: bool) -> &'static str {
    if read_only { "a key may be in any" } else { "a key is removed only once none names it" }
}

/// The ARNs of the users. A user may have a path, which no entry contains.
fn users(owner: &Owner, place: &Where<'_>, found: Option<&Found>) -> Vec<String> {
    let Where { partition, account, .. } = place;
    let mut names: Vec<String> = match (found, owner) {
        (Some(found), _) => found.users_of(account),
        (None, Owner::Aws) => vec!["*".to_owned()],
        (None, Owner::Template(template)) => vec![wildcard(template)],
        (None, Owner::Table(table, template)) => table.values().cloned().chain([wildcard(template)]).collect(),
    };
    names.sort();
    names.dedup();
    if names.iter().any(|name| name == "*") {
        names = vec!["*".to_owned()];
    }
    let mut arns = Vec::new();
    for name in names {
        arns.push(format!("arn:{partition}:iam::{account}:user/{name}"));
        if name != "*" {
            arns.push(format!("arn:{partition}:iam::{account}:user/*/{name}"));
        }
    }
    arns
}

/// The default template, `{app}/{environment}`, can be a path and a name, so it matches any user.
fn wildcard(template: &str) -> String {
    let name = template.replace("{app}", "*").replace("{environment}", "*");
    if name.contains('/') { "*".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::config::StoreUri;
    use crate::cli::host_env::HostEnv;

    const ANYWHERE: Where<'static> = Where { partition: "aws", account: "*", configured: None, read_only: false };
    const ACCOUNT: Where<'static> =
        Where { partition: "aws", account: "123456789012", configured: None, read_only: false };

    fn store(uri: &str) -> StoreSettings {
        StoreSettings::whole(StoreUri::parse(uri, std::path::Path::new("/"), &HostEnv::default()).expect("valid"))
    }

    #[test]
    fn a_store_of_awss_needs_its_own_entries_and_the_list() {
        let told = |store: &StoreSettings| {
            serde_json::to_string(&document_of(of_store(1, store, &ACCOUNT, None)).document).expect("JSON")
        };
        let mut secrets = store("aws-secretsmanager:team/");
        secrets.table.region = Some("eu-west-1".to_owned());
        let all = told(&secrets);
        assert!(all.contains(r#""Resource":["arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/*"]"#), "{all}");
        assert!(all.contains("UpdateSecretVersionStage") && all.contains("ListSecrets"), "{all}");
        secrets.table.read_only = true;
        let read_only = told(&secrets);
        assert!(!read_only.contains("Put"));
        let list = r#""Action":["secretsmanager:BatchGetSecretValue","secretsmanager:ListSecrets"],"Resource":"*""#;
        assert!(all.contains(list) && read_only.contains(list), "{all} {read_only}");
        let parameters = told(&store("aws-ssm:/team"));
        assert!(
            parameters.contains(
                r#""arn:aws:ssm:*:123456789012:parameter/team","arn:aws:ssm:*:123456789012:parameter/team/*""#
            ),
            "{parameters}"
        );
        assert!(told(&store("aws-ssm:")).contains(r#"parameter/*""#));
        assert!(of_store(1, &store("file:/x"), &ANYWHERE, None).is_empty());
    }

    #[test]
    fn users_are_as_narrow_as_the_owner_allows() {
        assert_eq!(users(&Owner::Aws, &ANYWHERE, None), ["arn:aws:iam::*:user/*"]);
        assert_eq!(users(&Owner::default(), &ACCOUNT, None), ["arn:aws:iam::123456789012:user/*"]);
        assert_eq!(
            users(&Owner::Template("svc-{app}-{environment}".to_owned()), &ANYWHERE, None),
            ["arn:aws:iam::*:user/svc-*-*", "arn:aws:iam::*:user/*/svc-*-*"]
        );
        let table = BTreeMap::from([("a/b".to_owned(), "till".to_owned())]);
        assert_eq!(
            users(&Owner::Table(table, "x-{app}".to_owned()), &ANYWHERE, None),
            [
                "arn:aws:iam::*:user/till",
                "arn:aws:iam::*:user/*/till",
                "arn:aws:iam::*:user/x-*",
                "arn:aws:iam::*:user/*/x-*"
            ]
        );
    }
}
