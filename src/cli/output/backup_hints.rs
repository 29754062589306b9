//! Hints where a copy of an old secret may exist after rotator has replaced it. rotator itself keeps no copy.

use std::collections::BTreeSet;

use crate::cli::config::{Config, StoreKind, StoreSettings};
use crate::rotation::record::Rotation;
use crate::types::name::{EntryName, StoreName};
use crate::types::shell::quoted;

/// Where the old pair of this rotation may still exist, for each of its stores.
#[must_use]
pub fn of_the_old_pair(config: &Config, rotation: &Rotation) -> String {
    let stores: BTreeSet<&StoreName> = rotation.opened.places.iter().map(|place| &place.store).collect();
    let hints: Vec<String> = stores.into_iter().map(|store| in_store(config, rotation, store)).collect();
    hints.join("; ")
}

fn in_store(config: &Config, rotation: &Rotation, name: &StoreName) -> String {
    let places = rotation.opened.places.iter().filter(|place| place.store == *name);
    let secrets: BTreeSet<&EntryName> = places.clone().map(|place| &place.secret.entry).collect();
    let entries: BTreeSet<&EntryName> = places.flat_map(|place| place.entries()).collect();
    let entries = entries.into_iter().map(EntryName::as_str).collect::<Vec<_>>().join(" and ");
    let Some(settings) = config.stores.iter().find(|settings| settings.uri.name == *name) else {
        return format!("the former value of {entries} in {name}, or a backup of that store");
    };
    match &settings.uri.kind {
        StoreKind::SecretsManager(_) => {
            format!("the version AWSPREVIOUS of the secret behind {entries}{}", commands(settings, &secrets))
        }
        StoreKind::ParameterStore(_) => {
            format!("the previous version of the parameter behind {entries}{}", commands(settings, &secrets))
        }
        StoreKind::Vault(_) => {
            format!("the previous version of the secret behind {entries}{}", commands(settings, &secrets))
        }
        StoreKind::Sqlite(_) => {
            format!("the previous value of {entries} in the embedded store{}", commands(settings, &secrets))
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

/// The commands that print what these entries held before, in parentheses; nothing for stores without such a command.
fn commands(settings: &StoreSettings, entries: &BTreeSet<&EntryName>) -> String {
    let commands: Vec<String> = entries.iter().filter_map(|entry| command(settings, entry)).collect();
    if commands.is_empty() { String::new() } else { format!(" (`{}`)", commands.join("`, `")) }
}

fn command(settings: &StoreSettings, entry: &EntryName) -> Option<String> {
    let native = settings.naming.native(entry)?;
    let region =
        settings.table.region.as_ref().map(|region| format!(" --region {}", quoted(region))).unwrap_or_default();
    Some(match &settings.uri.kind {
        StoreKind::SecretsManager(prefix) => format!(
            "aws secretsmanager get-secret-value{region} --secret-id {} --version-stage AWSPREVIOUS",
            quoted(format!("{prefix}{native}"))
        ),
        StoreKind::ParameterStore(path) => {
            // A name that begins with a slash is that of a parameter outside every path.
            let name = match (path.trim_matches('/'), native.strip_prefix('/')) {
                ("", Some(bare)) => bare.to_owned(),
                ("", None) => format!("/{native}"),
                (path, _) => format!("/{path}/{native}"),
            };
            format!("aws ssm get-parameter-history{region} --name {} --with-decryption", quoted(name))
        }
        StoreKind::Vault(location) => {
            let (mount, root) = location.split_once('/').unwrap_or((location, ""));
            let path = format!("{}/{native}", root.trim_matches('/'));
            let path = path.trim_start_matches('/');
            format!("vault kv get -mount={} -version=N {}", quoted(mount), quoted(path))
        }
        StoreKind::Sqlite(_) => format!("rotator store get --previous {}", quoted(entry.as_str())),
        StoreKind::File(_) | StoreKind::Sops(_) | StoreKind::Kubernetes(_) | StoreKind::Exec(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::StoreUri;

    #[test]
    fn the_command_for_a_former_value_names_what_it_reads() {
        let entry = EntryName::new("-/billing/aws key").expect("valid");
        let told = |kind| {
            let uri = StoreUri { name: StoreName::new("store").expect("valid"), kind };
            command(&StoreSettings::whole(uri), &entry).expect("there is one")
        };
        let rows = [
            (
                StoreKind::SecretsManager("prod/".to_owned()),
                "aws secretsmanager get-secret-value --secret-id 'prod/billing/aws key' --version-stage AWSPREVIOUS",
            ),
            (
                StoreKind::ParameterStore("/prod".to_owned()),
                "aws ssm get-parameter-history --name '/prod/billing/aws key' --with-decryption",
            ),
            (
                StoreKind::ParameterStore("/".to_owned()),
                "aws ssm get-parameter-history --name '/billing/aws key' --with-decryption",
            ),
            (StoreKind::Vault("kv/teams".to_owned()), "vault kv get -mount=kv -version=N 'teams/billing/aws key'"),
            (StoreKind::Vault("kv".to_owned()), "vault kv get -mount=kv -version=N 'billing/aws key'"),
            (StoreKind::Sqlite("s.db".into()), "rotator store get --previous '-/billing/aws key'"),
        ];
        for (kind, expected) in rows {
            assert_eq!(told(kind), expected);
        }
    }
}
