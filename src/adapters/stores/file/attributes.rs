//! Extended attributes, which a replacement has to keep: access control lists and SELinux labels are among them
//! (<https://man7.org/linux/man-pages/man7/xattr.7.html>). Without them a reader could lose access, or a denied group
//! could get it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use super::capabilities::{CAP_SETFCAP, capabilities, has};

/// The access control list. It includes the mode bits, so it is set last.
const ACL: &CStr = c"system.posix_acl_access";

/// The capabilities of a program; setting them needs a capability.
const PRIVILEGES: &CStr = c"security.capability";

/// The kernel derives these from the file's own content and attributes, so they must not be copied.
const OF_THE_CONTENT: [&CStr; 2] = [c"security.ima", c"security.evm"];

/// SELinux gives every file a label, which cannot be removed.
const LABEL: &CStr = c"security.selinux";

/// The kernel's limit for a list of names, and for one value.
const LARGEST: usize = 64 * 1024;

/// Why the attributes of the file certainly cannot be kept.
pub(super) fn forbids(file: &File) -> Option<String> {
    let names = listed(|buffer| flistxattr(file, buffer)).ok()?;
    let has_privileges = names.iter().any(|name| name.as_c_str() == PRIVILEGES);
    (has_privileges && !has(capabilities(), CAP_SETFCAP)?).then(|| {
        "its privileges (security.capability) could not be kept by the user that rotator runs as; `setcap -r` removes them"
            .to_owned()
    })
}

/// Gives `to` the attributes of `from`, and removes its own ones, such as those from a folder's default list.
pub(super) fn keep(from: &File, to: &File) -> io::Result<()> {
    let (wanted, given) = (all(from)?, all(to)?);
    for name in given.keys().filter(|name| !wanted.contains_key(*name) && name.as_c_str() != LABEL) {
        match fremovexattr(to, name.as_c_str()) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(cannot("taken away", name, error)),
        }
    }
    let (last, first): (Vec<_>, Vec<_>) = wanted.iter().partition(|(name, _)| name.as_c_str() == ACL);
    for (name, value) in first.into_iter().chain(last) {
        // The folder often sets the label already, so that no right to set it is needed.
        if given.get(name) == Some(value) {
            continue;
        }
        fsetxattr(to, name.as_c_str(), value, XattrFlags::empty()).map_err(|error| cannot("kept", name, error))?;
    }
    Ok(())
}

fn cannot(what: &str, name: &CStr, error: Errno) -> io::Error {
    let name = name.to_string_lossy();
    let why = io::Error::from(error);
    io::Error::new(why.kind(), format!("its attribute {name} cannot be {what}: {why}"))
}

/// Every attribute to keep, by its name.
fn all(file: &File) -> io::Result<BTreeMap<CString, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in listed(|buffer| flistxattr(file, buffer))? {
        if OF_THE_CONTENT.contains(&name.as_c_str()) {
            continue;
        }
        let mut value = vec![0; LARGEST];
        match fgetxattr(file, name.as_c_str(), value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                found.insert(name, value);
            }
            // The attribute was removed after it was listed.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(cannot("read", &name, error)),
        }
    }
    Ok(found)
}

/// The names of the attributes; none if the file system has no attributes.
fn listed(list: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> io::Result<Vec<CString>> {
    let mut names = vec![0; LARGEST];
    match list(names.as_mut_slice()) {
        Ok(length) => names.truncate(length),
        Err(Errno::NOTSUP) => names.clear(),
        Err(error) => return Err(error.into()),
    }
    Ok(names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(name).ok())
        .collect())
}
