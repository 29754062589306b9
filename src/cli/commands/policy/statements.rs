//! The statements of an IAM policy, each with its purpose.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::found::Found;
use super::narrow;
use crate::cli::config::{AccountSettings, Config, StoreKind, StoreSettings};
use crate::engine::survey::owner_rule::Owner;
use crate::rotation::policy::Unclaimed;
use crate::types::name::AccountId;

/// A statement and its purpose. An IAM policy cannot contain comments, so the purpose is printed separately.
pub(super) struct Statement {
    pub(super) sid: String,
    pub(super) actions: Vec<&'static str>,
    pub(super) resources: Value,
    pub(super) remark: String,
    /// An action on the same resources that a search of the stores calls.
    pub(super) proven: Option<&'static str>,
}

impl Statement {
    pub(super) fn new(
        sid: impl Into<String>,
        actions: &[&'static str],
        resources: Value,
        remark: impl Into<String>,
    ) -> Self {
        Self { sid: sid.into(), actions: actions.to_vec(), resources, remark: remark.into(), proven: None }
    }

    /// With the action on the same resources that has been called by the time that `doctor` asks about the others.
    pub(super) fn proven_by(self, action: &'static str) -> Self {
        Self { proven: Some(action), ..self }
    }
}

/// The scope of a policy.
pub(super) struct Where<'a> {
    pub(super) partition: &'a str,
    /// The number of the account, or `*`.
    pub(super) account: &'a str,
    /// The region of the stores that name none, or `*`.
    pub(super) region: &'a str,
    /// The `[[account]]` table, if one is configured.
    pub(super) configured: Option<&'a AccountSettings>,
    /// Nothing is written: the policy is that of an audit.
    pub(super) read_only: bool,
}

impl<'a> Where<'a> {
    pub(super) fn of(configured: &'a AccountSettings, read_only: bool) -> Self {
        let account = configured.label.id.as_ref().map_or("*", AccountId::as_str);
        Where { partition: configured.partition(), account, region: "*", configured: Some(configured), read_only }
    }

    /// An account without an `[[account]]` table.
    pub(super) fn without_table(account: &'a str, read_only: bool) -> Self {
        Where { partition: "aws", account, region: "*", configured: None, read_only }
    }
}

/// The statements for the AWS stores in this account.
pub(super) fn stores_in<'a>(
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
pub(super) fn in_account(config: &Config, place: &Where<'_>, found: Option<&Found>) -> Vec<Statement> {
    let users = users(&config.owner, place, found);
    let mut statements = vec![
        on_users(config, place.read_only, &users),
        // The call names a key and no user, so its permission cannot be narrowed to users by name.
        Statement::new(
            "WhoseAndLastUsed",
            &[LAST_USE],
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
        return Statement::new("ListKeys", &[LISTED], json!(users), remark).proven_by(LISTED);
    }
    let mut actions = vec!["iam:CreateAccessKey", "iam:DeleteAccessKey", LISTED];
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
    Statement::new("RotateKeys", &actions, json!(users), remark).proven_by(LISTED)
}

/// The calls with which the keys of a user, a secret and parameters are read.
const LISTED: &str = "iam:ListAccessKeys";
const SECRET_READ: &str = "secretsmanager:GetSecretValue";
const PARAMETERS_READ: &str = "ssm:GetParameters";

/// The last use of a key, which not every configuration needs.
pub(super) const LAST_USE: &str = "iam:GetAccessKeyLastUsed";

/// The right to read many secrets with one call. It gives access to no value.
pub(super) const READ_TOGETHER: &str = "secretsmanager:BatchGetSecretValue";

/// The rights for one AWS store.
struct OfStore {
    /// The rights that name no entry.
    list: &'static [&'static str],
    read: Statement,
    write: &'static [&'static str],
    written: BTreeSet<String>,
    /// The right to read what is written.
    proven: &'static str,
}

/// The names of what a store has.
struct Names<'a> {
    number: usize,
    store: &'a StoreSettings,
    /// The beginning of an ARN up to the service, and what follows the service.
    begin: String,
    behind: String,
    /// The names of the entries with pairs, if they were searched for.
    written: Option<BTreeSet<String>>,
    read_only: bool,
}

impl Names<'_> {
    fn read(&self, actions: &[&'static str], resources: Value, what: &str) -> Statement {
        let remark = format!("{}: read {what}: {}", self.store.uri.name, why_all_is_read(self.read_only));
        Statement::new(format!("Store{}Read", self.number), actions, resources, remark)
    }

    /// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html>).
    fn secrets(&self, prefix: &str) -> OfStore {
        let arn = |pattern: &str| format!("{}:secretsmanager:{}:secret:{prefix}{pattern}", self.begin, self.behind);
        // AWS appends a hyphen and six characters to the name.
        let exact = |name: &String| arn(&format!("{name}-??????"));
        let included: BTreeSet<String> = narrow::included(self.store)
            .iter()
            .map(|pattern| if pattern.ends_with('*') { arn(pattern) } else { exact(pattern) })
            .collect();
        let written = self.written.as_ref();
        let read = self.read(&[SECRET_READ], json!(included), "every secret that the store holds");
        OfStore {
            // Neither of these two has a resource to name.
            list: &[READ_TOGETHER, "secretsmanager:ListSecrets"],
            read: read.proven_by(SECRET_READ),
            write: &["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"],
            written: written.map_or(included, |names| names.iter().map(exact).collect()),
            proven: SECRET_READ,
        }
    }

    /// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html>).
    fn parameters(&self, path: &str, is_only_read: bool) -> OfStore {
        const LISTED: &str = "ssm:GetParametersByPath";
        let path = path.trim_matches('/');
        let arn = |below: &str| format!("{}:ssm:{}:parameter/{below}", self.begin, self.behind);
        let below = |name: &str| match (path, name.trim_start_matches('/')) {
            ("", name) => arn(name),
            (path, name) => arn(&format!("{path}/{name}")),
        };
        // The permission to list is granted on the path itself.
        let whole: BTreeSet<String> = if path.is_empty() { [arn("*")].into() } else { [arn(path), below("*")].into() };
        let included: BTreeSet<String> = narrow::included(self.store).iter().map(|pattern| below(pattern)).collect();
        let written = self.written.as_ref();
        let read = self.read(&[PARAMETERS_READ, LISTED], json!(whole), "every parameter below the path");
        OfStore {
            // The parameters are listed by their path. A write has to name the type, which it does not inherit.
            list: if is_only_read { &[] } else { &["ssm:DescribeParameters"] },
            read: read.proven_by(LISTED),
            write: &["ssm:PutParameter"],
            written: written.map_or(included, |names| names.iter().map(|name| below(name)).collect()),
            proven: PARAMETERS_READ,
        }
    }
}

/// The statements for one AWS store. For values that are sealed with a customer-managed KMS key, that key also has to allow
/// `kms:Decrypt` and `kms:GenerateDataKey`.
pub(super) fn of_store(
    number: usize,
    store: &StoreSettings,
    place: &Where<'_>,
    found: Option<&Found>,
) -> Vec<Statement> {
    let Where { partition, account, region, read_only, .. } = place;
    let is_only_read = *read_only || store.table.read_only;
    let region = store.table.region.as_deref().unwrap_or(region);
    let name = store.uri.name.as_str();
    let (begin, behind) = (format!("arn:{partition}"), format!("{region}:{account}"));
    let written = found.map(|found| found.natives(store));
    let names = Names { number, store, begin, behind, written, read_only: *read_only };
    let OfStore { list, read, write, written, proven } = match &store.uri.kind {
        StoreKind::SecretsManager(prefix) => names.secrets(prefix),
        StoreKind::ParameterStore(path) => names.parameters(path, is_only_read),
        StoreKind::Sqlite(_)
        | StoreKind::File(_)
        | StoreKind::Sops(_)
        | StoreKind::Vault(_)
        | StoreKind::Kubernetes(_)
        | StoreKind::Exec(_) => return Vec::new(),
    };
    let mut statements = Vec::new();
    if !list.is_empty() {
        let remark = format!("{name}: {}", why_listed(number, list));
        statements.push(Statement::new(format!("Store{number}List"), list, json!("*"), remark));
    }
    statements.push(read);
    if !is_only_read && !written.is_empty() {
        let means = if found.is_some() {
            "the entries that hold pairs; what else gets a pair cannot be written"
        } else {
            "what `include` leaves of the store; `rotator policy --found` names the entries that hold pairs"
        };
        let remark = format!("{name}: put new pairs into {means}");
        let write = Statement::new(format!("Store{number}Write"), write, json!(written), remark);
        statements.push(write.proven_by(proven));
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
pub(super) const fn why_all_is_read(read_only: bool) -> &'static str {
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

    const ANYWHERE: Where<'static> =
        Where { partition: "aws", account: "*", region: "*", configured: None, read_only: false };
    const ACCOUNT: Where<'static> =
        Where { partition: "aws", account: "123456789012", region: "*", configured: None, read_only: false };

    fn store(uri: &str) -> StoreSettings {
        StoreSettings::whole(StoreUri::parse(uri, std::path::Path::new("/"), &HostEnv::default()).expect("valid"))
    }

    #[test]
    fn a_store_of_awss_needs_its_own_entries_and_the_list() {
        let told = |store: &StoreSettings| {
            let statements = of_store(1, store, &ACCOUNT, None).into_iter();
            let shown = |one: Statement| json!({ "Action": one.actions, "Resource": one.resources }).to_string();
            statements.map(shown).collect::<String>()
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
