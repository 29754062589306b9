//! The checks of this machine: the journal's file, what the journal needs, and who may read the files of a store.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::config::{Config, StoreKind};
use crate::cli::error::CliError;
use crate::cli::wiring::journal::{self, storage_failed};
use crate::journal::line::Summary;
use crate::journal::store::RotationFilter;
use crate::rotation::state::State;

/// Checks that the journal can be read and written, that its file system is one that SQLite can lock, and that the
/// configuration has every store and sink that the rotations in flight need.
pub(super) fn journal(config: &Config) -> Result<String, CliError> {
    let path = config.journal.display();
    not_over_a_network(&config.journal)?;
    let Some(reader) = journal::read(&config.journal)? else {
        return writable_from(&config.journal).map(|()| format!("{path}: none yet, `rotator run` makes it"));
    };
    rustix::fs::access(&config.journal, rustix::fs::Access::WRITE_OK).map_err(|error| {
        CliError::failed(
            format!("the journal {path} cannot be written: {error}"),
            "run rotator as the user that owns it",
        )
    })?;
    writable_from(&config.journal)?;
    let open = reader.summaries(RotationFilter::Open).map_err(|error| storage_failed(&error))?;
    let lacking = lacking(config, &open);
    if let Some(first) = lacking.first() {
        let more = if lacking.len() > 1 { format!(", and {} more", lacking.len() - 1) } else { String::new() };
        return Err(CliError::failed(
            format!("{path}: {} in flight; {first}{more}", open.len()),
            "name it as it was when the rotation began; until then that rotation cannot go on",
        ));
    }
    let blocked = open.iter().filter(|open| matches!(open.rotation.state, State::Blocked { .. })).count();
    let blocked = if blocked > 0 { format!(", {blocked} of them blocked (`rotator status`)") } else { String::new() };
    Ok(format!("{path}: {} in flight{blocked}", open.len()))
}

/// What the rotations in flight need and the configuration does not name.
fn lacking(config: &Config, open: &[Summary]) -> Vec<String> {
    let stores: BTreeSet<_> = config.stores.iter().map(|store| &store.uri.name).collect();
    let sinks: BTreeSet<_> = config.sinks.iter().map(|sink| &sink.name).collect();
    let mut lacking = Vec::new();
    for summary in open {
        let opened = &summary.rotation.opened;
        let user = &opened.user;
        let places = opened.places.iter().map(|place| &place.store).collect::<BTreeSet<_>>();
        let stores = places.into_iter().filter(|store| !stores.contains(store));
        lacking.extend(
            stores.map(|store| format!("the rotation of {user} needs the store {store}, which is not configured")),
        );
        let sinks = opened.sinks.iter().map(|follower| &follower.sink).filter(|sink| !sinks.contains(sink));
        lacking
            .extend(sinks.map(|sink| format!("the rotation of {user} needs the sink {sink}, which is not configured")));
    }
    lacking
}

/// Checks that a file can be made at the path, in the nearest of its folders that exists.
fn writable_from(path: &Path) -> Result<(), CliError> {
    let folder = existing_folder(path);
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).map_err(|error| {
        CliError::failed(
            format!("no journal can be made at {}: {}: {error}", path.display(), folder.display()),
            "name another with --journal",
        )
    })
}

fn existing_folder(path: &Path) -> &Path {
    path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

/// The file systems of a network, by their numbers in `statfs(2)` (<https://man7.org/linux/man-pages/man2/statfs.2.html>).
#[cfg(target_os = "linux")]
const NETWORKS: [(u64, &str); 8] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x0bd0_0bd0, "Lustre"),
];

/// The write-ahead log of SQLite needs shared memory between processes, which a network does not give
/// (<https://www.sqlite.org/wal.html>).
#[cfg(target_os = "linux")]
fn not_over_a_network(path: &Path) -> Result<(), CliError> {
    let folder = existing_folder(path);
    let Ok(found) = rustix::fs::statfs(folder) else { return Ok(()) };
    // The type of the number depends on the architecture; all of these have 32 bits.
    let number = u64::try_from(found.f_type).unwrap_or_default() & 0xffff_ffff;
    match NETWORKS.iter().find(|(known, _)| *known == number) {
        None => Ok(()),
        Some((_, name)) => Err(CliError::failed(
            format!(
                "the journal {} is on a file system of a network ({name}), where SQLite cannot lock it",
                path.display()
            ),
            "keep it on a local disk: --journal, or `journal` in rotator.toml",
        )),
    }
}

#[cfg(not(target_os = "linux"))]
fn not_over_a_network(_: &Path) -> Result<(), CliError> {
    Ok(())
}

/// A warning if other users of this machine may read the file of a store.
pub(super) fn who_may_read(kind: &StoreKind) -> Option<String> {
    let path = match kind {
        StoreKind::File(path) | StoreKind::Sqlite(path) => path,
        StoreKind::Sops(_)
        | StoreKind::SecretsManager(_)
        | StoreKind::ParameterStore(_)
        | StoreKind::Vault(_)
        | StoreKind::Kubernetes(_)
        | StoreKind::Exec(_) => return None,
    };
    let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mode = found.permissions().mode() & 0o777;
    let who = match (mode & 0o004 != 0, mode & 0o040 != 0) {
        (true, _) => "every user of this machine may read it",
        (false, true) => "its group may read it",
        (false, false) => return None,
    };
    Some(format!("{who} (mode {mode:03o}); chmod 600 takes that right away"))
}
