//! The Vault policy, and the roles of a Kubernetes cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::document::Document;
use super::found::Found;
use super::narrow;
use super::statements::why_all_is_read;
use crate::cli::config::{Config, StoreKind};
use crate::cli::error::CliError;

/// The Vault policy for the `vault:` stores
/// (<https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2/upgrade#acl-rules>).
pub(super) fn of_vault(config: &Config, read_only: bool, found: Option<&Found>) -> Result<Document, CliError> {
    let mut paths = serde_json::Map::new();
    for store in &config.stores {
        let StoreKind::Vault(rest) = &store.uri.kind else { continue };
        let rest = rest.trim_matches('/');
        let (mount, below) =
            rest.split_once('/').map_or((rest, String::new()), |(mount, path)| (mount, format!("{path}/")));
        let is_only_read = read_only || store.table.read_only;
        let written = found.map(|found| found.natives(store));
        let everywhere: &[&str] = if is_only_read || written.is_some() { &["read"] } else { &["read", "update"] };
        // Vault supports an asterisk at the end only.
        for pattern in narrow::included(store) {
            let begin = pattern.split('*').next().unwrap_or_default();
            let end = if begin.len() == pattern.len() { "" } else { "*" };
            paths.insert(format!("{mount}/data/{below}{begin}{end}"), json!({ "capabilities": everywhere }));
        }
        for name in written.filter(|_| !is_only_read).unwrap_or_default() {
            paths.insert(format!("{mount}/data/{below}{name}"), json!({ "capabilities": ["read", "update"] }));
        }
        paths.insert(format!("{mount}/metadata/{below}*"), json!({ "capabilities": ["list"] }));
    }
    if paths.is_empty() {
        return Err(CliError::usage(
            "no store of Vault's is configured",
            "name it with --store vault:MOUNT, or leave --vault out for IAM's policy",
        ));
    }
    let means = if found.is_some() {
        "update: put new pairs into the secrets that hold pairs; what else gets a pair cannot be written"
    } else {
        "update: put new pairs into any secret that `include` leaves of the store; `rotator policy --vault --found` names \
         the secrets that hold pairs"
    };
    let mut remarks = vec![
        "metadata: see which secrets there are; a list cannot be narrowed".to_owned(),
        format!("read: read every secret that the store holds: {}", why_all_is_read(read_only)),
    ];
    remarks.extend((!read_only).then(|| means.to_owned()));
    Ok(Document { document: json!({ "path": paths }), remarks })
}

/// The Kubernetes roles (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>): one for each namespace,
/// and a cluster role if a store covers all namespaces. Reading is not restricted to named Secrets, since a list
/// cannot be narrowed to them and every Secret is read before a key is removed.
pub(super) fn of_kubernetes(config: &Config, read_only: bool, found: Option<&Found>) -> Result<Document, CliError> {
    let mut writes: BTreeMap<&str, Writes> = BTreeMap::new();
    for store in &config.stores {
        let StoreKind::Kubernetes(namespace) = &store.uri.kind else { continue };
        let of_it = writes.entry(namespace).or_default();
        let is_only_read = read_only || store.table.read_only;
        match found.filter(|_| !is_only_read) {
            Some(found) => of_it.secrets.extend(found.natives(store).iter().filter_map(|name| secret_of(name))),
            None => of_it.any |= !is_only_read,
        }
    }
    if writes.is_empty() {
        return Err(CliError::usage(
            "no store of Kubernetes's is configured",
            "name it with --store kubernetes:NAMESPACE, or leave --kubernetes out for IAM's policy",
        ));
    }
    // Another name, so that `kubectl apply` does not replace the role of the rotator that writes.
    let name = if read_only { "rotator-audit" } else { "rotator" };
    let roles: Vec<Value> = writes.into_iter().map(|(namespace, writes)| role(name, namespace, &writes)).collect();
    let means = if found.is_some() {
        "patch: put new pairs into the Secrets that hold pairs; what else gets a pair cannot be written"
    } else {
        "patch: put new pairs into any Secret of the namespace; `rotator policy --kubernetes --found` names the Secrets that \
         hold pairs"
    };
    let why = why_all_is_read(read_only);
    let mut remarks = vec![
        format!("list, get: read every Secret of the namespace: {why}; a list cannot be narrowed"),
        "namespaces, get: tell by its uid which namespace or cluster this is".to_owned(),
    ];
    if !read_only {
        remarks.insert(1, means.to_owned());
    }
    let document = json!({ "apiVersion": "v1", "kind": "List", "items": roles });
    Ok(Document { document, remarks })
}

/// The Secrets of a namespace that rotator writes.
#[derive(Default)]
struct Writes {
    any: bool,
    secrets: BTreeSet<String>,
}

/// The name of the Secret in `namespace/secret/key`.
fn secret_of(native: &str) -> Option<String> {
    native.split('/').nth(1).map(str::to_owned)
}

fn role(name: &str, namespace: &str, writes: &Writes) -> Value {
    let verbs: &[&str] = if writes.any { &["list", "get", "patch"] } else { &["list", "get"] };
    let (kind, metadata, says_which) = if namespace.is_empty() {
        ("ClusterRole", json!({ "name": name }), "kube-system")
    } else {
        ("Role", json!({ "name": name, "namespace": namespace }), namespace)
    };
    let mut rules = vec![
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": verbs }),
        // The uid of this namespace is the identity of the store.
        json!({ "apiGroups": [""], "resources": ["namespaces"], "resourceNames": [says_which], "verbs": ["get"] }),
    ];
    if !writes.any && !writes.secrets.is_empty() {
        let secrets = &writes.secrets;
        rules
            .push(json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": ["patch"] }));
    }
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules })
}
