//! Hints where a copy of an old secret may exist after rotator has replaced it. rotator itself keeps no copy.

use std::collections::BTreeSet;

use crate::cli::config::{Config, StoreKind};
use crate::rotation::record::Rotation;
use crate::types::name::{EntryName, StoreName};

/// Where the old pair of this rotation may still exist, for each of its stores.
#[must_use]
pub fn of_the_old_pair(config: &Config, rotation: &Rotation) -> String {
    let stores: BTreeSet<&StoreName> = rotation.opened.places.iter().map(|place| &place.store).collect();
    let hints: Vec<String> = stores.into_iter().map(|store| in_store(config, rotation, store)).collect();
    hints.join("; ")
}

fn in_store(config: &Config, rotation: &Rotation, name: &StoreName) -> String {
    let places = rotation.opened.places.iter().filter(|place| place.store == *name);
    let entries: BTreeSet<&EntryName> = places.flat_map(|place| place.entries()).collect();
    let entries = entries.into_iter().map(EntryName::as_str).collect::<Vec<_>>().join(" and ");
    let Some(settings) = config.stores.iter().find(|settings| settings.uri.name == *name) else {
        return format!("the former value of {entries} in {name}, or a backup of that store");
    };
    match &settings.uri.kind {
        StoreKind::SecretsManager(_) => {
            format!(
                "the version AWSPREVIOUS of the secret behind {entries} (aws secretsmanager get-secret-value --version-stage AWSPREVIOUS)"
            )
        }
        StoreKind::ParameterStore(_) => {
            format!("the previous version of the parameter behind {entries} (aws ssm get-parameter-history)")
        }
        StoreKind::Vault(_) => format!("the previous version of the secret behind {entries} (vault kv get -version=N)"),
        StoreKind::Sqlite(_) => {
            format!("the previous value of {entries} in the embedded store (rotator store get --previous NAME)")
        }
        // What the tools of AWS keep in a home folder is hardly ever in version control.
        StoreKind::File(path) if path.iter().any(|folder| folder == ".aws") => {
            format!("a backup of {}", path.display())
        }
        StoreKind::File(path) => {
            format!("the history of {} in version control, or a backup of it", path.display())
        }
        StoreKind::Sops(path) => {
            format!("the history of {} in version control, decrypted with sops, or a backup of it", path.display())
        }
        StoreKind::Kubernetes(_) => {
            format!("the source that the Secret behind {entries} was applied from, or a backup of the cluster")
        }
        StoreKind::Exec(_) => {
            format!("the former value of {entries} in what the program of {name} writes, or a backup")
        }
    }
}
