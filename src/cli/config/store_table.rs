//! `store` in rotator.toml: one URI, a list of URIs, or `[[store]]` tables. The doc comments of the fields are a part of
//! the JSON Schema.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::forms::{OneOrMany, VaultAuth, region, texts, variable_names};

/// One store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreTable {
    /// Which store: its kind and its location.
    pub uri: String,
    /// The name of the store in the journal and in messages. By default the URI.
    pub name: Option<String>,
    /// Every entry of the store belongs to this `<app>/<environment>`. By default the names of the entries say it.
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
    /// How rotator logs in to Vault.
    #[schemars(extend("default" = "token"))]
    pub auth: Option<VaultAuth>,
    /// Where the login method is mounted in Vault. By default at its name.
    pub auth_mount: Option<String>,
    /// The role id of the AppRole, or the Kubernetes role.
    pub role: Option<String>,
    /// The file with the token for `auth = "kubernetes"`. By default that of the pod's service account.
    pub token_file: Option<PathBuf>,
    /// The file with the secret id of the AppRole. By default `BAO_SECRET_ID` or `VAULT_SECRET_ID`.
    pub secret_id_file: Option<PathBuf>,
    /// A file with the certificate authority of the Vault server. By default `BAO_CACERT` or `VAULT_CACERT`.
    pub ca_file: Option<PathBuf>,
    /// The kubeconfig. By default the one that `kubectl` finds, or the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. By default its current context.
    pub context: Option<String>,
    /// A label selector of Kubernetes. By default every Secret is used.
    pub selector: Option<String>,
    /// Whether the `insecure-skip-tls-verify` of the kubeconfig is intended.
    #[schemars(extend("default" = false))]
    pub allow_insecure_tls: Option<bool>,
    /// Names of further variables for the program of the store.
    #[serde(default, deserialize_with = "variable_names")]
    #[schemars(with = "OneOrMany")]
    pub env: Vec<String>,
}

/// The stores, as URIs or as tables.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum Stores {
    Uris(#[schemars(with = "OneOrMany")] Vec<String>),
    Tables(Vec<StoreTable>),
}

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
