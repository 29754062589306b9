//! Checks who owns a file or a folder and who may write it, like OpenSSH's StrictModes. Groups without other members
//! and read-only mounts are accepted.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError, RwLock};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// In a folder with this bit, only the owner of a file or of the folder may rename or remove the file.
const STICKY: u32 = 0o1000;

/// Why another user may change a file, or replace it. The message follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trust {}: it {fault}", path.display())]
pub struct OwnershipError {
    pub path: PathBuf,
    pub fault: OwnershipFault,
}

/// What is wrong with a file, as a predicate of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnershipFault {
    /// The file belongs to another user.
    #[error(
        "belongs to user {owner}, who is neither you nor root; use another path, or run `chown` on it once you know who \
         created it"
    )]
    Foreign {
        /// The number of the owner.
        owner: u32,
    },
    /// All users may write the file.
    #[error("can be written by others (mode {mode:04o}); {}", advice(*mode))]
    Writable { mode: u32 },
    /// A group that may have other members may write the file.
    #[error(
        "can be written by group {group} (mode {mode:04o}); run `chmod g-w` on it, or trust all members of that group with \
         trusted_groups = [{group}] in rotator.toml, or ROTATOR_TRUSTED_GROUPS={group}"
    )]
    WritableByGroup {
        /// The number of the group.
        group: u32,
        mode: u32,
    },
    /// A folder was replaced by a symbolic link during the check.
    #[error("was replaced while it was checked; run the command again, and find out what replaces it")]
    Replaced,
    /// The owner and the mode cannot be read.
    #[error("cannot be checked for its owner and mode: {why}")]
    Unseen {
        /// The error of the system.
        why: String,
    },
}

/// A folder such as `/tmp` is for all users, and has to stay so.
const fn advice(mode: u32) -> &'static str {
    if mode & STICKY == 0 { "run `chmod go-w` on it" } else { "use a path in a folder of your own" }
}

impl OwnershipFault {
    /// Returns the error for the file at `path`.
    fn at(self, path: &Path) -> OwnershipError {
        OwnershipError { path: path.to_owned(), fault: self }
    }

    const fn is_writable(&self) -> bool {
        matches!(self, Self::Writable { .. } | Self::WritableByGroup { .. })
    }
}

/// The groups that the operator trusts.
static TRUSTED: RwLock<BTreeSet<u32>> = RwLock::new(BTreeSet::new());

/// Sets the groups whose members may write what rotator trusts (`trusted_groups`).
pub fn trust_groups(groups: BTreeSet<u32>) {
    *TRUSTED.write().unwrap_or_else(PoisonError::into_inner) = groups;
}

/// Checks that `found`, the metadata of `path`, belong to the effective user or root and that other users cannot
/// write the file. The metadata have to be those of the opened file, or of the path with links resolved.
///
/// # Errors
/// [`OwnershipError`] with the path.
pub fn check(path: &Path, found: &Metadata) -> Result<(), OwnershipError> {
    match Judge::this().judge(path, found.uid(), found.gid(), found.mode(), false) {
        Err(error) if error.fault.is_writable() && is_read_only(path) => Ok(()),
        other => other,
    }
}

/// Checks a folder and each folder above it. `folder` must contain no links, as after [`Path::canonicalize`]. A
/// folder above it that all may write is accepted if it is sticky, as `/tmp` is: its content belongs to the effective
/// user or root, so no other user can replace it.
///
/// # Errors
/// [`OwnershipError`] with the first component, from the root, that is not safe.
pub fn check_folder(folder: &Path) -> Result<(), OwnershipError> {
    check_above(folder)?;
    check(folder, &seen(folder)?)
}

/// Checks the folders above `path`, which need not exist.
///
/// # Errors
/// As [`check_folder`].
pub fn check_above(path: &Path) -> Result<(), OwnershipError> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    // The check starts at the root: the content of a safe folder cannot be replaced during the check.
    above.reverse();
    let judge = Judge::this();
    for folder in above {
        let found = seen(folder)?;
        match judge.judge(folder, found.uid(), found.gid(), found.mode(), true) {
            Err(error) if error.fault.is_writable() && is_read_only(folder) => {}
            other => other?,
        }
    }
    Ok(())
}

fn seen(folder: &Path) -> Result<Metadata, OwnershipError> {
    let found =
        fs::symlink_metadata(folder).map_err(|error| OwnershipFault::Unseen { why: error.to_string() }.at(folder))?;
    if found.is_dir() { Ok(found) } else { Err(OwnershipFault::Replaced.at(folder)) }
}

/// Whether the mount is read-only in spite of the mode, as for a ConfigMap or a Secret in a container.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The effective user, and the groups that are trusted.
struct Judge {
    user: u32,
    groups: BTreeSet<u32>,
}

impl Judge {
    fn this() -> Self {
        static OWN: OnceLock<Option<u32>> = OnceLock::new();
        let user = rustix::process::geteuid().as_raw();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = *OWN.get_or_init(|| own_group(user, &read("/etc/passwd"), &read("/etc/group")));
        let mut groups = TRUSTED.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Group 0 belongs to root. In OpenShift containers every user has it, and so has every file that the user may
        // write.
        groups.extend(own.into_iter().chain([0]));
        Self { user, groups }
    }

    fn judge(
        &self,
        path: &Path,
        owner: u32,
        group: u32,
        mode: u32,
        sticky_is_safe: bool,
    ) -> Result<(), OwnershipError> {
        let mode = mode & 0o7777;
        if owner != 0 && owner != self.user {
            return Err(OwnershipFault::Foreign { owner }.at(path));
        }
        if sticky_is_safe && mode & STICKY != 0 {
            return Ok(());
        }
        if mode & 0o002 != 0 {
            return Err(OwnershipFault::Writable { mode }.at(path));
        }
        if mode & 0o020 != 0 && !self.groups.contains(&group) {
            return Err(OwnershipFault::WritableByGroup { group, mode }.at(path));
        }
        Ok(())
    }
}

/// The primary group of the user, if only root is also in it, according to `/etc/passwd` and `/etc/group`. Accounts
/// of a directory service may have members that are not listed there, so they do not count.
fn own_group(user: u32, passwd: &str, group: &str) -> Option<u32> {
    let accounts = || {
        passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?, fields.next()?.parse().ok()?);
            Some((name, uid, gid))
        })
    };
    let (name, _, own) = accounts().find(|(_, uid, _)| *uid == user)?;
    if accounts().any(|(_, uid, gid): (&str, u32, u32)| gid == own && uid != user && uid != 0) {
        return None;
    }
    let mut lines =
        group.lines().filter(|line| line.split(':').nth(2).and_then(|gid| gid.parse().ok()) == Some(own)).peekable();
    lines.peek()?;
    let mut members = lines.flat_map(|line| line.split(':').nth(3).unwrap_or_default().split(',').map(str::trim));
    members.all(|member| member.is_empty() || member == name || member == "root").then_some(own)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ME: u32 = 1000;
    const OTHER: u32 = 1001;

    /// Group 1000 is the user's own.
    fn judged(owner: u32, group: u32, mode: u32, sticky_is_safe: bool) -> Result<(), OwnershipError> {
        let judge = Judge { user: ME, groups: BTreeSet::from([0, ME, 2000]) };
        judge.judge(Path::new("/x"), owner, group, mode, sticky_is_safe)
    }

    #[test]
    fn owner_mode_and_group_are_checked_together() {
        let path = Path::new("/x");
        for (owner, group, mode) in [
            (ME, ME, 0o100_600),
            (0, 0, 0o40_755),
            // With umask 002, in a group of one's own.
            (ME, ME, 0o100_664),
            (ME, ME, 0o42_775),
            // As of OpenShift, and of a volume with a group that is trusted.
            (0, 0, 0o40_775),
            (0, 2000, 0o42_775),
        ] {
            assert_eq!(judged(owner, group, mode, false), Ok(()), "{owner} {group} {mode:o}");
        }
        let foreign = Err(OwnershipFault::Foreign { owner: OTHER }.at(path));
        assert_eq!(judged(OTHER, ME, 0o100_600, false), foreign);
        assert_eq!(judged(OTHER, ME, 0o41_777, true), foreign, "its owner may replace what is in it");
        for mode in [0o602, 0o777, 0o1777] {
            assert_eq!(judged(ME, ME, mode, false), Err(OwnershipFault::Writable { mode }.at(path)));
        }
        let said = |mode| OwnershipFault::Writable { mode }.to_string();
        assert!(said(0o777).ends_with("run `chmod go-w` on it") && !said(0o1777).contains("chmod"));
        let by_group = OwnershipFault::WritableByGroup { group: OTHER, mode: 0o2775 }.at(path);
        assert_eq!(judged(0, OTHER, 0o42_775, false), Err(by_group.clone()));
        assert!(by_group.to_string().contains("trusted_groups = [1001]"), "{by_group}");
        assert_eq!(judged(0, 0, 0o41_777, true), Ok(()), "above a folder of one's own, as /tmp is");
        assert!(judged(0, 0, 0o40_777, true).is_err());
    }

    #[test]
    fn a_group_is_ones_own_only_where_no_other_user_is_in_it() {
        let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nshared:x:1002:1000::/:/bin/sh\n";
        let alone = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nother:x:1001:1001::/:/bin/sh\n";
        let group = |members: &str| format!("root:x:0:\nme:x:1000:{members}\nother:x:1001:me\n");
        assert_eq!(own_group(ME, alone, &group("")), Some(ME));
        assert_eq!(own_group(ME, alone, &group("me,root")), Some(ME));
        assert_eq!(own_group(ME, alone, &group("me,other")), None);
        assert_eq!(own_group(ME, passwd, &group("")), None, "it is the primary group of another user, too");
        assert_eq!(own_group(ME, alone, "root:x:0:\n"), None, "a directory service knows its members");
        assert_eq!(own_group(4711, alone, &group("")), None);
        assert_eq!(own_group(OTHER, alone, &group("")), None, "me is a member");
    }

    #[test]
    fn each_folder_above_is_named_from_the_root_on() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("there");
        let inner = root.join("shared/mine/deeper");
        fs::create_dir_all(&inner).expect("made");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        let (shared, mine) = (root.join("shared"), root.join("shared/mine"));
        for path in [&shared, &mine, &inner] {
            set(path, 0o755);
        }
        assert_eq!(check_folder(&inner), Ok(()));
        set(&shared, 0o1777);
        assert_eq!(check_folder(&inner), Ok(()), "a folder of one's own in a sticky one");
        let writable = |path: &Path, mode| Err(OwnershipFault::Writable { mode }.at(path));
        assert_eq!(check_folder(&shared), writable(&shared, 0o1777), "others may put files there first");
        assert_eq!(check_above(&shared.join("new")), Ok(()));
        set(&mine, 0o757);
        assert_eq!(check_folder(&inner), writable(&mine, 0o757));
        set(&shared, 0o777);
        assert_eq!(check_folder(&inner), writable(&shared, 0o777), "the first from the root on");
        set(&mine, 0o755);
        set(&shared, 0o755);
        std::os::unix::fs::symlink(&mine, root.join("link")).expect("linked");
        let replaced = root.join("link/deeper");
        assert_eq!(check_folder(&replaced), Err(OwnershipFault::Replaced.at(&root.join("link"))));
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn a_file_of_another_user_is_named_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
        let checked = |path: &Path| check(path, &fs::metadata(path).expect("it is there"));
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give a file to another user");
            assert_eq!(checked(Path::new("/")), Ok(()), "root's folder is trusted by all");
            return;
        }
        std::os::unix::fs::chown(&file, Some(65_534), None).expect("root may");
        assert_eq!(checked(&file), Err(OwnershipFault::Foreign { owner: 65_534 }.at(&file)));
    }
}
