//! Checks whether a file can be replaced, before a key is created for it. The kernel is asked if possible: its answer
//! considers groups, access control lists, capabilities and read-only mounts, which mode bits do not show.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::attributes;
use super::capabilities::{CAP_CHOWN, CAP_FOWNER, capabilities, has};
use super::folder::Folder;
use crate::ports::secret_store::Writable;

/// The mode bit of a folder in which only the owner of a file, or of the folder, may replace the file.
const STICKY: u32 = 0o1000;

/// The mode bit of a folder that gives its group to new files.
const SET_GROUP: u32 = 0o2000;

/// Whether a file can be replaced.
pub(super) fn writable(folder: &Folder, name: &OsStr) -> Writable {
    // A write would fail as well, and a scan has the better message.
    let Ok((file, metadata)) = folder.open(name).and_then(|file| file.metadata().map(|metadata| (file, metadata)))
    else {
        return Writable::Unknown;
    };
    match forbids(folder, name, &file, &metadata) {
        Some(why) => Writable::No(format!("{}: {why}", folder.path().join(name).display())),
        None => Writable::Yes,
    }
}

/// Whether this user may write the file itself and create others beside it, as a database needs.
pub(in crate::adapters::stores) fn writable_in_place(path: &Path) -> Writable {
    let folder = folder_of(path);
    for (path, access) in [(path, Access::WRITE_OK), (&folder, Access::WRITE_OK | Access::EXEC_OK)] {
        if let Some(why) = access_refused(CWD, path, access) {
            return Writable::No(format!("{}: {why}; give the user that rotator runs as that right", path.display()));
        }
    }
    Writable::Yes
}

/// Why a file with this metadata cannot be replaced, and how to fix it; `None` if nothing is known to forbid it.
pub(super) fn forbids(folder: &Folder, name: &OsStr, file: &File, metadata: &Metadata) -> Option<String> {
    let right = Access::WRITE_OK | Access::EXEC_OK;
    attributes_forbid(folder, name)
        .map(str::to_owned)
        .or_else(|| hard_links(metadata))
        .or_else(|| {
            access_refused(folder.handle(), Path::new("."), right).map(|why| {
                format!(
                    "no file can be put in its place, since its folder {} cannot be written ({why}); give the user that \
                     rotator runs as the right to write there",
                    folder.path().display()
                )
            })
        })
        .or_else(|| {
            let of_folder = folder.metadata().ok()?;
            let process = Process::this();
            process.sticky(folder.path(), &of_folder, metadata).or_else(|| process.owner(&of_folder, metadata))
        })
        .or_else(|| attributes::forbids(file))
}

/// Why a file with several names is refused: a rename would change one of them only.
fn hard_links(metadata: &Metadata) -> Option<String> {
    (metadata.nlink() > 1).then(|| {
        format!(
            "it has {} hard links, and a reader of another one would keep the old pair; remove those, or make symbolic \
             links of them",
            metadata.nlink()
        )
    })
}

/// What the kernel refuses the effective user of this process.
fn access_refused(at: BorrowedFd<'_>, path: &Path, access: Access) -> Option<String> {
    match accessat(at, path, access, AtFlags::EACCESS) {
        Err(Errno::ACCESS) => Some("permission denied".to_owned()),
        Err(Errno::PERM) => Some("it is immutable; `chattr -i` makes it changeable".to_owned()),
        Err(Errno::ROFS) => Some("its file system is mounted read-only".to_owned()),
        // The file is missing, or the kernel does not have this call.
        Ok(()) | Err(_) => None,
    }
}

/// The identity of this process for the kernel.
struct Process {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    /// `None` if the capabilities are unknown.
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

    /// Why the replacement could not get the owner of the replaced file.
    fn owner(&self, of_folder: &Metadata, metadata: &Metadata) -> Option<String> {
        // On Linux a new file gets the group of a folder with the set-group bit only, elsewhere that of every folder
        // (<https://man7.org/linux/man-pages/man2/open.2.html>, O_CREAT).
        let is_of_folder = !cfg!(target_os = "linux") || of_folder.mode() & SET_GROUP != 0;
        let is_given = is_of_folder && of_folder.gid() == metadata.gid();
        let may_give = is_given || self.group == metadata.gid() || self.groups.contains(&metadata.gid());
        let is_owner = self.user == metadata.uid();
        let may = is_owner && may_give || has(self.capabilities, CAP_CHOWN)?;
        if is_owner && !may {
            return Some(format!(
                "its group ({}) could not be kept, since the user that rotator runs as is not in that group; add the user \
                 to the group, or give the file a group of that user (chgrp)",
                metadata.gid()
            ));
        }
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
fn attributes_forbid(folder: &Folder, name: &OsStr) -> Option<&'static str> {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    let seen = statx(folder.handle(), name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).ok()?;
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
fn attributes_forbid(_: &Folder, _: &OsStr) -> Option<&'static str> {
    None
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")).to_owned()
}

/// Whether an error of the system is a missing permission.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_write_that_the_kernel_would_refuse_is_known_beforehand() {
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
        let not_in_group = other(user, group + 1, &[], 0);
        assert_eq!(refused(&not_in_group).1, cfg!(target_os = "linux"), "the folder does not give its group");
        assert!(!refused(&other(user, group + 1, &[group], 0)).1, "one of its groups");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2755)).expect("set");
        let of_folder = fs::metadata(folder.path()).expect("there");
        assert_eq!(not_in_group.owner(&of_folder, &metadata), None, "the folder gives its group");
        assert_eq!(refused(&Process { capabilities: None, ..other(user + 1, 0, &[], 0) }), (false, false), "not known");
        let opened = Folder::at(folder.path()).expect("opened");
        let asked = |name: &str| writable(&opened, OsStr::new(name));
        assert_eq!(asked("env"), Writable::Yes);
        assert_eq!(asked("nothing"), Writable::Unknown);
        fs::hard_link(&path, folder.path().join("again")).expect("linked");
        assert!(matches!(asked("env"), Writable::No(why) if why.contains("hard links")));
    }

    #[test]
    fn the_capabilities_are_those_of_the_process() {
        assert!(capabilities().is_some() || !cfg!(target_os = "linux"));
    }
}
