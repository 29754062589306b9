//! Whether another system manages a Secret. A controller that rewrites it periodically would restore the old pair
//! after its key is deleted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

/// Types of Secrets that another system manages, and the reason.
const TYPES: [(&str, &str); 3] = [
    ("kubernetes.io/service-account-token", "Kubernetes itself keeps the tokens of service accounts"),
    ("bootstrap.kubernetes.io/token", "it is a token for nodes that join the cluster"),
    ("helm.sh/release.v1", "it is Helm's record of a release"),
];

/// Owners that rewrite a Secret without being its controller.
const OWNERS: [&str; 2] = ["ExternalSecret", "SealedSecret"];

/// Labels of systems that rewrite a Secret: the label, its value (none for any), and the system.
const LABELS: [(&str, Option<&str>, &str); 5] = [
    ("reconcile.external-secrets.io/managed", Some("true"), "External Secrets"),
    ("app.kubernetes.io/managed-by", Some("external-secrets"), "External Secrets"),
    ("secrets-store.csi.k8s.io/managed", Some("true"), "the Secrets Store CSI driver"),
    ("kustomize.toolkit.fluxcd.io/name", None, "Flux"),
    ("argocd.argoproj.io/instance", None, "Argo CD"),
];

/// The annotation that Argo CD uses instead of its label.
const ARGO: &str = "argocd.argoproj.io/tracking-id";

/// With this annotation or label Flux does not change an object.
const FLUX_LEAVES: (&str, &str) = ("kustomize.toolkit.fluxcd.io/reconcile", "disabled");

/// Why another system manages the Secret, for operators; none if none does.
pub(super) fn managed_elsewhere(secret: &Secret) -> Option<String> {
    if secret.immutable == Some(true) {
        return Some("it is immutable: it can be replaced by a new Secret only".to_owned());
    }
    if secret.metadata.deletion_timestamp.is_some() {
        return Some("it is being deleted".to_owned());
    }
    let kept = TYPES.iter().find(|(kind, _)| secret.type_.as_deref() == Some(kind));
    if let Some((_, why)) = kept {
        return Some((*why).to_owned());
    }
    rewritten_by(secret).map(|who| format!("{who} writes it anew: change the secret where it takes it from"))
}

/// The system that rewrites the Secret.
fn rewritten_by(secret: &Secret) -> Option<String> {
    let owners = secret.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true) || OWNERS.contains(&owner.kind.as_str()));
    if let Some(owner) = owner {
        return Some(format!("its owner, the {} {},", owner.kind, owner.name));
    }
    let says = |texts: &Option<BTreeMap<String, String>>, key: &str, value: Option<&str>| {
        let found = texts.as_ref().and_then(|texts| texts.get(key));
        found.is_some_and(|found| value.is_none_or(|value| found == value))
    };
    let (labels, annotations) = (&secret.metadata.labels, &secret.metadata.annotations);
    let (key, value) = FLUX_LEAVES;
    let flux_leaves = says(labels, key, Some(value)) || says(annotations, key, Some(value));
    let by_label =
        LABELS.iter().find(|(label, value, who)| says(labels, label, *value) && !(*who == "Flux" && flux_leaves));
    match by_label {
        Some((_, _, who)) => Some((*who).to_owned()),
        None => says(annotations, ARGO, None).then(|| "Argo CD".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn why(change: Value) -> Option<String> {
        let mut secret = json!({ "metadata": { "name": "aws" }, "type": "Opaque", "data": {} });
        for (key, value) in change.as_object().expect("an object") {
            secret[key] = value.clone();
        }
        managed_elsewhere(&serde_json::from_value(secret).expect("a Secret"))
    }

    #[test]
    fn a_value_that_a_controller_writes_is_managed_elsewhere() {
        let owner = |kind: &str, controller: Value| {
            let owner =
                json!({ "apiVersion": "x/v1", "kind": kind, "name": "n", "uid": "u", "controller": controller });
            json!({ "metadata": { "ownerReferences": [owner] } })
        };
        let label = |key: &str, value: &str| json!({ "metadata": { "labels": { key: value } } });
        let tracked = json!({ "metadata": { "annotations": { ARGO: "shop:/Secret:live/aws" } } });
        for (change, word) in [
            (json!({ "immutable": true }), "immutable"),
            (json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }), "deleted"),
            (json!({ "type": "kubernetes.io/service-account-token" }), "service accounts"),
            (json!({ "type": "helm.sh/release.v1" }), "Helm"),
            (owner("ExternalSecret", Value::Null), "ExternalSecret n"),
            (owner("SealedSecret", json!(true)), "SealedSecret n"),
            (owner("VaultStaticSecret", json!(true)), "VaultStaticSecret n"),
            (label("reconcile.external-secrets.io/managed", "true"), "External Secrets"),
            (label("app.kubernetes.io/managed-by", "external-secrets"), "External Secrets"),
            (label("secrets-store.csi.k8s.io/managed", "true"), "CSI"),
            (label("kustomize.toolkit.fluxcd.io/name", "apps"), "Flux"),
            (label("argocd.argoproj.io/instance", "shop"), "Argo CD"),
            (tracked, "Argo CD"),
        ] {
            let told = why(change.clone());
            assert!(told.as_ref().is_some_and(|why| why.contains(word)), "{change}: {told:?}");
        }
    }

    #[test]
    fn a_value_that_no_controller_rewrites_is_rotated() {
        let owned = json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "Deployment", "name": "n", "uid": "u" }
        ] } });
        let left = json!({ "metadata": {
            "labels": { "kustomize.toolkit.fluxcd.io/name": "apps" },
            "annotations": { "kustomize.toolkit.fluxcd.io/reconcile": "disabled" }
        } });
        let helm = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "Helm" } } });
        for change in [json!({}), json!({ "immutable": false }), owned, left, helm] {
            assert_eq!(why(change.clone()), None, "{change}");
        }
    }
}
