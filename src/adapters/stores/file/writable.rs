//! Whether a file can be replaced, asked before a key is made for it. The kernel is asked where it can be: its answer
//! counts groups, access control lists, capabilities and read-only mounts, which a look at mode bits would miss.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::ports::secret_store::Writable;

/// The bits of `CapEff` (<https://man7.org/linux/man-pages/man7/capabilities.7.html>).
const CAP_CHOWN: u32 = 0;
const CAP_FOWNER: u32 = 3;
pub(super) const CAP_SETFCAP: u32 = 31;

/// Of a folder's mode: only the owner of a file, or of the folder, may replace it.
const STICKY: u32 = 0o1000;
/// Whether the file at `path` can be replaced by another.
pub(super) fn writable(path: &Path) -> Writable {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // A write would find the same; what a scan says of it is better.
        Err(_) => return Writable::Unknown,
    };
    match forbids(path, &metadata) {
        Some(why) => Writable::No(format!("{}: {why}", path.display())),
        None => Writable::Yes,
    }
}

/// Whether this user may write the file itself and make others beside it, as a database needs.
pub(in crate::adapters::stores) fn writable_in_place(path: &Path) -> Writable {
    let folder = folder_of(path);
    for (path, access) in [(path, Access::WRITE_OK), (&folder, Access::WRITE_OK | Access::EXEC_OK)] {
        if let Some(why) = access_refused(path, access) {
            return Writable::No(format!("{}: {why}; give the user that rotator runs as that right", path.display()));
        }
    }
    Writable::Yes
}

/// Why a file with this metadata cannot be replaced, and what to do about it; `None` where nothing is known that forbids
/// it.
pub(super) fn forbids(path: &Path, metadata: &Metadata) -> Option<String> {
    let folder = folder_of(path);
    let right = Access::WRITE_OK | Access::EXEC_OK;
    attributes_forbid(path)
        .map(str::to_owned)
        .or_else(|| hard_links(metadata))
        .or_else(|| {
            access_refused(&folder, right).map(|why| {
                format!(
                    "no file can be put in its place, since its folder {} cannot be written ({why}); give the user that \
                     rotator runs as the right to write there",
                    folder.display()
                )
            })
        })
        .or_else(|| {
            let of_folder = fs::metadata(&folder).ok()?;
            let process = Process::this();
            process.sticky(&folder, &of_folder, metadata).or_else(|| process.owner(&of_folder, metadata))
        })
        .or_else(|| super::attributes::forbids(path))
}

/// Several names of one file: a rename would change one of them only.
fn hard_links(metadata: &Metadata) -> Option<String> {
    (metadata.nlink() > 1).then(|| {
        format!(
            "it has {} hard links, and a reader of another one would keep the old pair; remove those, or make symbolic \
             links of them",
            metadata.nlink()
        )
    })
}

/// What the kernel refuses this process, by its effective user.
fn access_refused(path: &Path, access: Access) -> Option<String> {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        Err(Errno::ACCESS) => Some("permission denied".to_owned()),
        Err(Errno::PERM) => Some("it is immutable; `chattr -i` makes it changeable".to_owned()),
        Err(Errno::ROFS) => Some("its file system is mounted read-only".to_owned()),
        // Gone, or a kernel that has no such question.
        Ok(()) | Err(_) => None,
    }
}

/// Who this process is to the kernel.
struct Process {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    /// `None` where they are not known.
    capabilities: Option<u64>,
}

impl Process {
    fn this() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default();
        Self {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            groups: groups.into_iter().map(rustix::process::Gid::as_raw).collect(),
            capabilities: capabilities(),
        }
    }

    fn sticky(&self, folder: &Path, of_folder: &Metadata, metadata: &Metadata) -> Option<String> {
        let is_owner = self.user == metadata.uid() || self.user == of_folder.uid();
        let may = of_folder.mode() & STICKY == 0 || is_owner || has(self.capabilities, CAP_FOWNER)?;
        (!may).then(|| {
            format!(
                "its folder {} is sticky, and only the owner of the file (uid {}) or of the folder (uid {}) may replace \
                 it; run rotator as one of these",
                folder.display(),
                metadata.uid(),
                of_folder.uid()
            )
        })
    }

    /// A replacement belongs to the process that makes it, until it is given the owner of the file that it replaces.
    fn owner(&self, of_folder: &Metadata, metadata: &Metadata) -> Option<String> {
        // A folder with the set-group bit, and some file systems always, give a new file the folder's group.
        let groups = [self.group, of_folder.gid()];
        let may_give = groups.contains(&metadata.gid()) || self.groups.contains(&metadata.gid());
        let may = self.user == metadata.uid() && may_give || has(self.capabilities, CAP_CHOWN)?;
        (!may).then(|| {
            format!(
                "its owner and group ({}:{}) could not be kept by the user that rotator runs as ({}:{}); run it as the \
                 file's owner",
                metadata.uid(),
                metadata.gid(),
                self.user,
                self.group
            )
        })
    }
}

#[cfg(target_os = "linux")]
fn attributes_forbid(path: &Path) -> Option<&'static str> {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    let seen = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).ok()?;
    let known = seen.stx_attributes & seen.stx_attributes_mask;
    if known.contains(StatxAttributes::MOUNT_ROOT) {
        Some(
            "it is a mount point (a file that was mounted by itself, as with `mount --bind` or into a container), and \
             no file can be put in its place; mount its folder instead, or run rotator where the file is at home",
        )
    } else if known.contains(StatxAttributes::IMMUTABLE) {
        Some("it is immutable; `chattr -i` makes it changeable")
    } else if known.contains(StatxAttributes::APPEND) {
        Some("it is append-only; `chattr -a` makes it changeable")
    } else {
        None
    }
}

#[cfg(not(target_os = "linux"))]
fn attributes_forbid(_: &Path) -> Option<&'static str> {
    None
}

/// Whether this process has a capability; `None` where that is not known.
pub(super) fn has(capabilities: Option<u64>, capability: u32) -> Option<bool> {
    capabilities.map(|set| set >> capability & 1 == 1)
}

/// The effective capabilities, as the kernel tells them of this process.
pub(super) fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

pub(super) fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")).to_owned()
}

/// Whether an error of the system is a refusal of rights.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_the_kernel_would_refuse_is_known_beforehand() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("env");
        fs::write(&path, "x").expect("written");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("set");
        let (of_folder, metadata) = (fs::metadata(folder.path()).expect("there"), fs::metadata(&path).expect("there"));
        let (user, group) = (metadata.uid(), metadata.gid());
        let other = |user, group, groups: &[u32], capabilities| Process {
            user,
            group,
            groups: groups.to_vec(),
            capabilities: Some(capabilities),
        };
        let refused = |process: &Process| {
            let sticky = process.sticky(folder.path(), &of_folder, &metadata).is_some();
            (sticky, process.owner(&of_folder, &metadata).is_some())
        };
        assert_eq!(refused(&other(user, group, &[], 0)), (false, false), "the owner");
        assert_eq!(refused(&other(user + 1, group, &[], 0)), (true, true), "another user");
        assert_eq!(refused(&other(user + 1, group, &[], 1 << CAP_FOWNER)), (false, true), "it may rename and not give");
        assert_eq!(refused(&other(user + 1, group, &[], 1 << CAP_FOWNER | 1 << CAP_CHOWN)), (false, false));
        assert_eq!(refused(&Process { capabilities: None, ..other(user + 1, 0, &[], 0) }), (false, false), "not known");
        assert_eq!(writable(&path), Writable::Yes);
        assert_eq!(writable(&folder.path().join("nothing")), Writable::Unknown);
        fs::hard_link(&path, folder.path().join("again")).expect("linked");
        assert!(matches!(writable(&path), Writable::No(why) if why.contains("hard links")));
    }

    #[test]
    fn the_capabilities_are_those_of_the_process() {
        assert!(capabilities().is_some() || !cfg!(target_os = "linux"));
    }
}
