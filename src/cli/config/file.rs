//! What rotator.toml may contain. The JSON Schema that `rotator schema config` prints is made from these types, so
//! their doc comments are for the operators who write the file.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::forms::{
    Groups, LastDay, Number, OneOrMany, OwnerSource, PositiveTime, Rate, Template, Time, Unused, Users, VaultAuth,
    key_patterns, region, texts, variable_names,
};
use crate::rotation::policy::{SpareKey, StillInUse, Unclaimed};

/// The configuration of rotator. Every setting may be missing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "rotator.toml")]
pub(super) struct File {
    /// The stores: one URI, a list of URIs, or `[[store]]` tables. By default the embedded store in the data folder.
    pub(super) store: Option<Stores>,
    /// The file that records every step. By default it is in the state folder.
    pub(super) journal: Option<String>,
    /// The numbers of groups whose members may write rotator's private files.
    #[schemars(with = "Vec<u32>")]
    pub(super) trusted_groups: Groups,
    /// Which keys are due, and how each is replaced.
    pub(super) policy: PolicyTable,
    /// The IAM user of an entry.
    pub(super) owner: OwnerTable,
    /// Calls to AWS.
    pub(super) aws: AwsTable,
    /// Other settings for some keys. The first rule that matches a key decides.
    pub(super) rule: Vec<RuleTable>,
    /// The AWS accounts. By default only the account of the credentials in use.
    pub(super) account: Vec<AccountTable>,
    /// Targets that can be written and not read. They are updated after the stores.
    pub(super) sink: Vec<SinkTable>,
}

/// The stores, as URIs or as tables.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum Stores {
    Uris(#[schemars(with = "OneOrMany")] Vec<String>),
    Tables(Vec<StoreTable>),
}

/// One store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreTable {
    /// Which store: its kind and its location.
    pub uri: String,
    /// The name of the store in the journal and in messages. By default the URI.
    pub name: Option<String>,
    /// Every entry of the store belongs to this `<app>/<environment>`. By default the names of the entries say it; those
    /// of a `sqlite:` store always do.
    pub scope: Option<String>,
    /// Patterns of the entries that rotator sees. By default it sees every entry.
    #[serde(default, deserialize_with = "texts")]
    #[schemars(with = "OneOrMany")]
    pub include: Vec<String>,
    /// Patterns of the entries that rotator does not see.
    #[serde(default, deserialize_with = "texts")]
    #[schemars(with = "OneOrMany")]
    pub exclude: Vec<String>,
    /// Whether the store is searched, but never written.
    #[serde(default)]
    pub read_only: bool,
    /// The region of an AWS store. By default that of the SDK's own chain.
    #[serde(default, deserialize_with = "region")]
    #[schemars(extend("pattern" = "^[a-z0-9-]+$"))]
    pub region: Option<String>,
    /// The `[[account]]` of an AWS store, by name or number. By default the account of the credentials in use.
    pub account: Option<String>,
    /// The URL of the Vault server. By default `BAO_ADDR` or `VAULT_ADDR`.
    pub address: Option<String>,
    /// The namespace of Vault. By default `BAO_NAMESPACE` or `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// How rotator logs in to Vault. The token is `BAO_TOKEN`, `VAULT_TOKEN` or the content of `~/.vault-token`.
    #[schemars(extend("default" = "token"))]
    pub auth: Option<VaultAuth>,
    /// Where the login method is mounted in Vault. By default at its name.
    pub auth_mount: Option<String>,
    /// The role id of the AppRole of Vault, or its Kubernetes role. By default `BAO_ROLE_ID` or `VAULT_ROLE_ID`.
    pub role: Option<String>,
    /// The file with the token for the `auth = "kubernetes"` of Vault. By default that of the pod's service account.
    pub token_file: Option<PathBuf>,
    /// The file with the secret id of the AppRole of Vault. By default `BAO_SECRET_ID` or `VAULT_SECRET_ID`.
    pub secret_id_file: Option<PathBuf>,
    /// A file with the certificate authority of the Vault server. By default `BAO_CACERT` or `VAULT_CACERT`.
    pub ca_file: Option<PathBuf>,
    /// The kubeconfig of a `kubernetes:` store. By default the one that `kubectl` finds, or the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. By default its current context.
    pub context: Option<String>,
    /// A label selector of Kubernetes. By default every Secret is used.
    pub selector: Option<String>,
    /// Whether the `insecure-skip-tls-verify` of the kubeconfig is intended.
    #[schemars(extend("default" = false))]
    pub allow_insecure_tls: Option<bool>,
    /// Names of further variables for the program of an `exec:`, `sops:` or `kubernetes:` store.
    #[serde(default, deserialize_with = "variable_names")]
    #[schemars(with = "OneOrMany")]
    pub env: Vec<String>,
}

/// Which keys are due, and how each is replaced.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PolicyTable {
    /// Only keys that match one of these patterns are rotated. By default every key.
    #[serde(deserialize_with = "key_patterns")]
    #[schemars(with = "OneOrMany")]
    pub(super) only: Vec<String>,
    /// Keys that match one of these patterns are not rotated.
    #[serde(deserialize_with = "key_patterns")]
    #[schemars(with = "OneOrMany")]
    pub(super) exclude: Vec<String>,
    /// How many rotations one run opens, the oldest keys first. By default there is no limit.
    pub(super) limit: Option<Number<0, 1_000_000>>,
    /// A key is due at this age. With `0s` every key is, but for those that rotator made in the last 20 hours.
    #[schemars(extend("default" = "0s"))]
    pub(super) older_than: Option<Time>,
    /// A due key that no program has used for longer than this, at least `1d`, is left alone, with the command that
    /// retires it.
    #[schemars(extend("default" = "never"))]
    pub(super) unused_for: Option<Unused>,
    /// How long both keys stay active after the new one is stored. Set it if services cache what they read.
    #[schemars(extend("default" = "0s"))]
    pub(super) overlap: Option<Time>,
    /// How long the old key is inactive before it is deleted. With `0s` it is deleted without that step.
    #[schemars(extend("default" = "0s"))]
    pub(super) quarantine: Option<Time>,
    /// How long to wait before a key that is missing from the list of IAM counts as absent. IAM is eventually
    /// consistent.
    #[schemars(extend("default" = "60s"))]
    pub(super) settle: Option<Time>,
    /// How many times in a row a new pair must authenticate before it is stored.
    #[schemars(extend("default" = 3))]
    pub(super) confirmations: Option<Number<1, 100>>,
    /// The time over which these proofs are spread.
    #[schemars(extend("default" = "10s"))]
    pub(super) proof_span: Option<Time>,
    /// When a new pair that AWS rejects is given up. Five times as long if AWS does not answer.
    #[schemars(extend("default" = "2m"))]
    pub(super) proof_timeout: Option<PositiveTime>,
    /// If a user has two keys already: `block` leaves it to you, `delete-inactive` deletes the other key if it is
    /// inactive.
    #[schemars(with = "String", extend("enum" = ["block", "delete-inactive"], "default" = "block"))]
    pub(super) spare_key: Option<SpareKey>,
    /// A key that rotator most likely created, after a lost reply: `reclaim` discards it, `report` leaves it to you.
    #[schemars(with = "String", extend("enum" = ["reclaim", "report"], "default" = "reclaim"))]
    pub(super) unclaimed: Option<Unclaimed>,
    /// How long such a key is inactive before its last use is checked again and it is deleted.
    #[schemars(extend("default" = "15m"))]
    pub(super) unclaimed_after: Option<Time>,
    /// Whether an old key that is still used after the overlap is waited for. By default it is, with an overlap.
    #[schemars(with = "String", extend("enum" = ["ignore", "wait"]))]
    pub(super) still_in_use: Option<StillInUse>,
    /// How long an old key that is still used is waited for, before the rotation is blocked.
    #[schemars(extend("default" = "7d"))]
    pub(super) still_in_use_for: Option<Time>,
    /// Patterns of entries that may be unreadable, because they hold no key.
    #[serde(deserialize_with = "texts")]
    #[schemars(with = "OneOrMany")]
    pub(super) unread_ok: Vec<String>,
    /// With `--wait`: the shortest time between two reads of every entry.
    #[schemars(extend("default" = "60s"))]
    pub(super) scan_interval: Option<Time>,
    /// How many calls to AWS, and how many to the stores, may be in flight. IAM throttles far below the greatest value.
    #[schemars(extend("default" = 16))]
    pub(super) concurrency: Option<Number<1, 1024>>,
    /// How many calls of one kind a second at most. By default there is no limit.
    pub(super) rate: Option<Rate>,
}

/// Other settings for some keys. What a rule leaves out comes from `[policy]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    /// Patterns of the keys: users, key ids, entries or `<app>/<environment>`.
    #[serde(rename = "match", deserialize_with = "key_patterns")]
    #[schemars(with = "OneOrMany")]
    pub(super) keys: Vec<String>,
    /// A key is due at this age.
    pub(super) older_than: Option<Time>,
    /// A due key that no program has used for longer than this is left alone. `never` rotates such keys, too.
    pub(super) unused_for: Option<Unused>,
    /// How long both keys stay active after the new one is stored.
    pub(super) overlap: Option<Time>,
    /// How long the old key is inactive before it is deleted.
    pub(super) quarantine: Option<Time>,
    /// Whether the keys are not rotated.
    #[serde(default)]
    pub(super) exclude: bool,
    /// Why they are not rotated, for messages.
    pub(super) reason: Option<String>,
    /// The last day on which they are not rotated, in UTC. After it the rest of the rule counts, and `plan` and `run` say
    /// so. By default they are never rotated.
    pub(super) until: Option<LastDay>,
}

/// The IAM user of an entry.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OwnerTable {
    /// The user that has the keys of `<app>/<environment>`. IAM allows no `/` in the name of a user.
    #[schemars(extend("default" = "{app}/{environment}"))]
    pub(super) template: Option<Template>,
    /// Exceptions from the template: `"app/environment" = "user"`.
    pub(super) table: Option<Users>,
    /// `literal`: the template and the table name the user. `aws`: `iam:GetAccessKeyLastUsed` says it, without both.
    #[schemars(extend("default" = "literal"))]
    pub(super) from: Option<OwnerSource>,
}

/// Calls to AWS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AwsTable {
    /// How long one call to AWS, Vault or Kubernetes may take. A program gets 30 s at least.
    #[schemars(extend("default" = "10s"))]
    pub(super) call_timeout: Option<PositiveTime>,
}

/// One AWS account.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccountTable {
    /// The twelve digits of the account. By default those of `role`.
    #[schemars(extend("type" = ["string", "integer"]))]
    pub(super) id: Option<String>,
    /// The name of the account in messages. By default its number.
    pub(super) name: Option<String>,
    /// The AWS profile with the credentials. By default the credentials in use.
    pub(super) profile: Option<String>,
    /// The region of the endpoint, and with it the partition. By default that of the SDK's own chain.
    #[serde(default, deserialize_with = "region")]
    #[schemars(extend("pattern" = "^[a-z0-9-]+$"))]
    pub(super) region: Option<String>,
    /// The ARN of the role that is assumed. By default none is.
    pub(super) role: Option<String>,
    /// The external id for the trust policy of the role.
    pub(super) external_id: Option<String>,
    /// The name of the session in CloudTrail.
    #[schemars(extend("default" = "rotator"))]
    pub(super) session_name: Option<String>,
    /// The MFA device whose code the role asks for: its ARN, or the serial number of a hardware device. By default the role
    /// asks for none.
    pub(super) mfa_serial: Option<String>,
    /// How long the session of the role lasts, from `15m` to `12h`. The role must allow it.
    #[schemars(extend("default" = "1h"))]
    pub(super) session_duration: Option<PositiveTime>,
    /// Patterns of the `<app>/<environment>` whose keys the account may have. By default every one.
    #[serde(deserialize_with = "texts")]
    #[schemars(with = "OneOrMany")]
    pub(super) environments: Vec<String>,
    /// The stores that may hold keys of the account, by name or URI. By default every one.
    #[serde(deserialize_with = "texts")]
    #[schemars(with = "OneOrMany")]
    pub(super) stores: Vec<String>,
}

/// One target that can be written and not read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SinkTable {
    /// Which sink: `exec:COMMAND`.
    pub(super) uri: String,
    /// The name of the sink in the journal and in messages. By default the URI.
    pub(super) name: Option<String>,
    /// Patterns of the entries whose pairs the sink gets.
    #[serde(deserialize_with = "texts")]
    #[schemars(with = "OneOrMany")]
    pub(super) follows: Vec<String>,
    /// Only entries of this store, by name or URI. By default of any store.
    pub(super) store: Option<String>,
    /// Names of further variables for the program.
    #[serde(default, deserialize_with = "variable_names")]
    #[schemars(with = "OneOrMany")]
    pub(super) env: Vec<String>,
}

/// The supported forms of a store URI.
pub(super) const STORE_FORMS: &str = "sqlite:PATH, file:PATH, sops:PATH, aws-secretsmanager:[PREFIX], aws-ssm:[/PATH], vault:MOUNT[/PATH], \
     kubernetes:[NAMESPACE], exec:COMMAND";

/// The forms a sink's URI may have.
pub(super) const SINK_FORMS: &str = "exec:COMMAND";

/// The hint for a sink that follows nothing.
pub(super) const FOLLOWS: &str = "write follows = [\"<app>/<environment>/<secret-name>\"]: whose pairs it is to have";

/// The hint for a rule without patterns.
pub(super) const MATCH: &str =
    "write match = [\"shop/*\"]: the users, key ids, entries or <app>/<environment> of its keys";

/// What is wanted of `store`.
const STORES: &str = "[[store]] tables, or one list of URIs";

/// An item of `store`.
enum Item {
    Uri(String),
    Table(Box<StoreTable>),
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORES)
    }

    fn visit_str<E: de::Error>(self, uri: &str) -> Result<Item, E> {
        Ok(Item::Uri(uri.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Item, A::Error> {
        Ok(Item::Table(Box::new(StoreTable::deserialize(MapAccessDeserializer::new(table))?)))
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct StoresVisitor;

impl<'de> Visitor<'de> for StoresVisitor {
    type Value = Stores;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORES)
    }

    fn visit_str<E: de::Error>(self, uri: &str) -> Result<Stores, E> {
        Ok(Stores::Uris(vec![uri.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Stores, A::Error> {
        let (mut uris, mut tables) = (Vec::new(), Vec::new());
        while let Some(item) = items.next_element()? {
            match item {
                Item::Uri(uri) => uris.push(uri),
                Item::Table(table) => tables.push(*table),
            }
        }
        match (uris.is_empty(), tables.is_empty()) {
            (_, true) => Ok(Stores::Uris(uris)),
            (true, false) => Ok(Stores::Tables(tables)),
            (false, false) => Err(de::Error::custom(STORES)),
        }
    }
}

impl<'de> Deserialize<'de> for Stores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StoresVisitor)
    }
}
