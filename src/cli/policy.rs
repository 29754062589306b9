//! `policy`: the least that a configuration needs: an IAM policy for IAM and AWS's stores, a policy of Vault's, or the roles
//! of a Kubernetes cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Context;
use super::args::PolicyArgs;
use super::conclude::to_stdout;
use super::config::{AccountSettings, Config, StoreKind, StoreSettings};
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
    let policy = match (args.vault, args.kubernetes) {
        (true, _) => of_vault(&config)?,
        (_, true) => of_kubernetes(&config)?,
        (false, false) => of_aws(&config, args.account.as_deref())?,
    };
    to_stdout(&to_bytes(&policy))?;
    Ok(Exit::Done)
}

/// Where a policy is to hold.
struct Where<'a> {
    /// AWS's partition.
    partition: &'a str,
    /// The account's number, or `*`.
    account: &'a str,
    /// Its table, where there are any.
    configured: Option<&'a AccountSettings>,
}

impl<'a> Where<'a> {
    fn of(configured: &'a AccountSettings) -> Self {
        let account = configured.label.id.as_ref().map_or("*", AccountId::as_str);
        Where { partition: configured.partition(), account, configured: Some(configured) }
    }
}

/// What `account` needs; with several and none named, what the credentials in use need to get into each.
fn of_aws(config: &Config, account: Option<&str>) -> Result<Value, CliError> {
    let Some(named) = account else {
        if config.accounts.is_empty() {
            return Ok(policy_of(in_account(config, &Where { partition: "aws", account: "*", configured: None })));
        }
        return own(config);
    };
    if let Some(configured) = config.accounts.iter().find(|known| known.is_called(named)) {
        return Ok(policy_of(in_account(config, &Where::of(configured))));
    }
    if AccountId::new(named).is_err() || !config.accounts.is_empty() {
        return Err(CliError::usage(
            format!("there is no account {named}"),
            "write the twelve digits of one, or the name or the id of an [[account]]",
        ));
    }
    Ok(policy_of(in_account(config, &Where { partition: "aws", account: named, configured: None })))
}

/// What the credentials in use need where accounts are named: the way into each, all of an account that has neither a role
/// nor a profile, and the stores that are in none of them.
fn own(config: &Config) -> Result<Value, CliError> {
    let roles = config.accounts.iter().filter(|account| account.access.profile.is_none());
    let roles: Vec<&str> =
        roles.filter_map(|account| account.access.role.as_ref()).map(|role| role.arn.as_str()).collect();
    let mut statements = Vec::new();
    if !roles.is_empty() {
        statements.push(allow("AssumeRoles", &["sts:AssumeRole"], &json!(roles)));
    }
    for account in config.accounts.iter().filter(|account| account.uses_own_credentials()) {
        statements.extend(in_account(config, &Where::of(account)));
    }
    let own = Where { partition: "aws", account: "*", configured: None };
    statements.extend(stores_in(config, &own));
    if statements.is_empty() {
        return Err(CliError::usage(
            "the credentials in use need no policy: each account has a profile of its own",
            "`rotator policy --account NAME` prints what those of an account need",
        ));
    }
    Ok(policy_of(statements))
}

/// The statements for AWS's stores of this account.
fn stores_in<'a>(config: &'a Config, place: &'a Where<'a>) -> impl Iterator<Item = Value> + 'a {
    let is_there = |store: &StoreSettings| match (&store.account, place.configured) {
        (Some(account), Some(configured)) => configured.is_called(account),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let stores = config.stores.iter().enumerate().filter(move |(_, store)| is_there(store));
    stores.flat_map(|(number, store)| of_store(number, store, place))
}

fn policy_of(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The actions and what they are allowed on
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>).
/// `sts:GetCallerIdentity` needs no permission.
fn in_account(config: &Config, place: &Where<'_>) -> Vec<Value> {
    let mut on_users = vec!["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys"];
    if !config.policy.quarantine.is_zero() || config.policy.unclaimed == Unclaimed::Reclaim {
        on_users.push("iam:UpdateAccessKey");
    }
    let mut statements = vec![
        allow("RotateKeys", &on_users, &json!(users(&config.owner, place))),
        // The call names a key and no user, so it cannot be narrowed to users by name.
        allow("WhoseAndLastUsed", &["iam:GetAccessKeyLastUsed"], &json!("*")),
    ];
    if config.accounts.len() > 1 {
        // It names a key of any account, and so cannot be narrowed.
        statements.push(allow("WhichAccount", &["sts:GetAccessKeyInfo"], &json!("*")));
    }
    statements.extend(stores_in(config, place));
    statements
}

fn allow(sid: &str, actions: &[&str], resource: &Value) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource })
}

/// What a store of AWS's needs
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html>,
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html>). Where values are
/// sealed with a KMS key of the account's own, that key has to allow `kms:Decrypt` and `kms:GenerateDataKey`, too.
fn of_store(number: usize, store: &StoreSettings, place: &Where<'_>) -> Vec<Value> {
    let Where { partition, account, .. } = place;
    let region = store.region.as_deref().unwrap_or("*");
    let (list, read, write, resources): (_, Vec<&str>, Vec<&str>, Vec<String>) = match &store.uri.kind {
        StoreKind::SecretsManager(prefix) => (
            "secretsmanager:ListSecrets",
            vec!["secretsmanager:GetSecretValue"],
            vec!["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"],
            vec![format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{prefix}*")],
        ),
        StoreKind::ParameterStore(path) => {
            let path = path.trim_matches('/');
            // Listing is allowed on the path itself, reading on what is below it.
            let below: Vec<String> =
                if path.is_empty() { vec!["*".to_owned()] } else { vec![path.to_owned(), format!("{path}/*")] };
            (
                "ssm:DescribeParameters",
                vec!["ssm:GetParameters", "ssm:GetParametersByPath"],
                vec!["ssm:PutParameter"],
                below.iter().map(|below| format!("arn:{partition}:ssm:{region}:{account}:parameter/{below}")).collect(),
            )
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
    let on_entries = if store.read_only { read } else { [read, write].concat() };
    vec![
        allow(&format!("Store{number}List"), &[list], &json!("*")),
        allow(&format!("Store{number}"), &on_entries, &json!(resources)),
    ]
}

/// Vault's policy for the stores that are its
/// (<https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2/upgrade#acl-rules>).
fn of_vault(config: &Config) -> Result<Value, CliError> {
    let mut paths = serde_json::Map::new();
    for store in &config.stores {
        let StoreKind::Vault(rest) = &store.uri.kind else { continue };
        let rest = rest.trim_matches('/');
        let (mount, below) =
            rest.split_once('/').map_or((rest, String::new()), |(mount, path)| (mount, format!("{path}/")));
        let data: &[&str] = if store.read_only { &["read"] } else { &["read", "update"] };
        paths.insert(format!("{mount}/data/{below}*"), json!({ "capabilities": data }));
        paths.insert(format!("{mount}/metadata/{below}*"), json!({ "capabilities": ["list"] }));
    }
    if paths.is_empty() {
        return Err(CliError::usage(
            "no store of Vault's is configured",
            "name it with --store vault:MOUNT, or leave --vault out for IAM's policy",
        ));
    }
    Ok(json!({ "path": paths }))
}

/// Kubernetes's roles (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>), one for each namespace, and one of
/// the cluster's where all namespaces are a store. They name no Secrets: a list cannot be narrowed so, and every Secret is
/// read before a key goes.
fn of_kubernetes(config: &Config) -> Result<Value, CliError> {
    let mut writes: BTreeMap<&str, bool> = BTreeMap::new();
    for store in &config.stores {
        let StoreKind::Kubernetes(namespace) = &store.uri.kind else { continue };
        *writes.entry(namespace).or_default() |= !store.read_only;
    }
    if writes.is_empty() {
        return Err(CliError::usage(
            "no store of Kubernetes's is configured",
            "name it with --store kubernetes:NAMESPACE, or leave --kubernetes out for IAM's policy",
        ));
    }
    let roles: Vec<Value> = writes.into_iter().map(|(namespace, writes)| role(namespace, writes)).collect();
    Ok(json!({ "apiVersion": "v1", "kind": "List", "items": roles }))
}

fn role(namespace: &str, writes: bool) -> Value {
    let verbs: &[&str] = if writes { &["list", "get", "patch"] } else { &["list", "get"] };
    let (kind, metadata, says_which) = if namespace.is_empty() {
        ("ClusterRole", json!({ "name": "rotator" }), "kube-system")
    } else {
        ("Role", json!({ "name": "rotator", "namespace": namespace }), namespace)
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": [
            { "apiGroups": [""], "resources": ["secrets"], "verbs": verbs },
            // Its uid tells which store this is.
            { "apiGroups": [""], "resources": ["namespaces"], "resourceNames": [says_which], "verbs": ["get"] },
        ],
    })
}

/// The users' ARNs; a user may stand below a path, which no entry tells.
fn users(owner: &Owner, place: &Where<'_>) -> Vec<String> {
    let Where { partition, account, .. } = place;
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
        arns.push(format!("arn:{partition}:iam::{account}:user/{name}"));
        if name != "*" {
            arns.push(format!("arn:{partition}:iam::{account}:user/*/{name}"));
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
    use crate::cli::config::StoreUri;

    const ANYWHERE: Where<'static> = Where { partition: "aws", account: "*", configured: None };
    const ACCOUNT: Where<'static> = Where { partition: "aws", account: "123456789012", configured: None };

    fn store(uri: &str) -> StoreSettings {
        StoreSettings::whole(StoreUri::parse(uri, std::path::Path::new("/")).expect("valid"))
    }

    #[test]
    fn a_store_of_awss_needs_its_own_entries_and_the_list() {
        let told = |store: &StoreSettings| serde_json::to_string(&of_store(1, store, &ACCOUNT)).expect("JSON");
        let mut secrets = store("aws-secretsmanager:team/");
        secrets.region = Some("eu-west-1".to_owned());
        let all = told(&secrets);
        assert!(all.contains(r#""Resource":["arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/*"]"#), "{all}");
        assert!(all.contains("UpdateSecretVersionStage") && all.contains("ListSecrets"), "{all}");
        secrets.read_only = true;
        assert!(!told(&secrets).contains("Put"));
        let parameters = told(&store("aws-ssm:/team"));
        assert!(
            parameters.contains(
                r#""arn:aws:ssm:*:123456789012:parameter/team","arn:aws:ssm:*:123456789012:parameter/team/*""#
            ),
            "{parameters}"
        );
        assert!(told(&store("aws-ssm:")).contains(r#"parameter/*""#));
        assert!(of_store(1, &store("file:/x"), &ANYWHERE).is_empty());
    }

    #[test]
    fn users_are_as_narrow_as_the_owner_allows() {
        assert_eq!(users(&Owner::Aws, &ANYWHERE), ["arn:aws:iam::*:user/*"]);
        assert_eq!(users(&Owner::default(), &ACCOUNT), ["arn:aws:iam::123456789012:user/*"]);
        assert_eq!(
            users(&Owner::Template("svc-{app}-{environment}".to_owned()), &ANYWHERE),
            ["arn:aws:iam::*:user/svc-*-*", "arn:aws:iam::*:user/*/svc-*-*"]
        );
        let table = BTreeMap::from([("a/b".to_owned(), "till".to_owned())]);
        assert_eq!(
            users(&Owner::Table(table, "x-{app}".to_owned()), &ANYWHERE),
            [
                "arn:aws:iam::*:user/till",
                "arn:aws:iam::*:user/*/till",
                "arn:aws:iam::*:user/x-*",
                "arn:aws:iam::*:user/*/x-*"
            ]
        );
    }
}
