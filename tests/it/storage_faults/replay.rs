//! The content of a disk after a power loss: everything that was synced, and a random part of the rest.
//!
//! The model is that of a journalling file system on a disk with a volatile cache. A write or a truncation is there for
//! certain once its file was synced; before, it is kept, dropped, or torn at 512-byte sectors, each write for itself, in
//! any order. Names (create, link, unlink) are there for certain once their folder was synced; before, as many of them
//! as the draw says, in their order. What was mapped and never written (`-shm`) is not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::recording::Call;
use crate::support::proof::Draw;

/// The unit that a disk writes at once.
const SECTOR: usize = 512;

/// Calls that have to be recorded for this.
pub(super) const CALLS: &str = "openat,pwrite64,fsync,fdatasync,ftruncate,link,linkat,unlink";

/// One change of the folder, or a sync.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create(PathBuf),
    Write { path: PathBuf, offset: usize, bytes: Vec<u8> },
    Truncate { path: PathBuf, length: usize },
    Sync(PathBuf),
    Link { from: PathBuf, to: PathBuf },
    Unlink(PathBuf),
}

/// Returns the effect of a recorded call on the files of `folder`; `None` if the call failed or concerns other files.
pub(super) fn op(call: &Call, folder: &Path) -> Option<Op> {
    let path = call.path().filter(|path| path.starts_with(folder))?;
    let number = |n: usize| call.argument(n).trim_end_matches(')').parse().ok();
    // A write may have happened though its answer was never seen; a sync may not.
    match call.name.as_str() {
        "pwrite64" => {
            let offset = call.arguments_after_string().nth(1)?.parse().ok()?;
            Some(Op::Write { path, offset, bytes: call.bytes() })
        }
        "ftruncate" => Some(Op::Truncate { path, length: number(1)? }),
        _ if !call.succeeded() => None,
        "fsync" | "fdatasync" => Some(Op::Sync(path)),
        "openat" if call.argument(2).contains("O_CREAT") => Some(Op::Create(path)),
        "link" | "linkat" => {
            let paths = call.paths();
            Some(Op::Link { from: paths.first()?.clone(), to: paths.get(1)?.clone() })
        }
        "unlink" => Some(Op::Unlink(path)),
        _ => None,
    }
}

/// The fate of the unsynced writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) kept: u64,
    pub(super) dropped: u64,
    pub(super) torn: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Naming {
    Given(PathBuf, usize),
    Taken(PathBuf),
}

/// A folder, and what of it is certain.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
    files: Vec<File>,
    /// As processes see it.
    names: BTreeMap<PathBuf, usize>,
    /// As it is for certain.
    synced_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<Naming>,
}

impl Disk {
    /// A folder with nothing in it.
    pub(super) fn empty(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
        }
    }

    /// The folder as it is now, all of it synced.
    pub(super) fn of(folder: &Path) -> Self {
        let mut disk = Self::empty(folder);
        for file in std::fs::read_dir(folder).expect("listed") {
            let path = file.expect("listed").path();
            disk.names.insert(path.clone(), disk.files.len());
            disk.files.push(File { synced: std::fs::read(&path).expect("read"), unsynced: Vec::new() });
        }
        disk.synced_names = disk.names.clone();
        disk
    }

    fn change(&mut self, path: &Path, change: Change) {
        let file = self.names.get(path).unwrap_or_else(|| panic!("{} was never created", path.display()));
        self.files[*file].unsynced.push(change);
    }

    fn name(&mut self, naming: Naming) {
        apply_naming(&mut self.names, &naming);
        self.unsynced_names.push(naming);
    }

    pub(super) fn play(&mut self, op: &Op) {
        match op {
            Op::Create(path) if !self.names.contains_key(path) => {
                self.files.push(File::default());
                self.name(Naming::Given(path.clone(), self.files.len() - 1));
            }
            Op::Create(_) => {}
            Op::Write { path, offset, bytes } => {
                self.change(path, Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Op::Truncate { path, length } => self.change(path, Change::Truncate(*length)),
            Op::Sync(path) if *path == self.folder => {
                for naming in self.unsynced_names.drain(..) {
                    apply_naming(&mut self.synced_names, &naming);
                }
            }
            Op::Sync(path) => {
                let file = &mut self.files[self.names[path]];
                for change in file.unsynced.drain(..) {
                    apply(&mut file.synced, &change, |_| true);
                }
            }
            Op::Link { from, to } => self.name(Naming::Given(to.clone(), self.names[from])),
            Op::Unlink(path) => self.name(Naming::Taken(path.clone())),
        }
    }

    /// Puts into `folder` what processes saw last.
    pub(super) fn write_all(&self, folder: &Path) {
        for (path, file) in &self.names {
            let file = &self.files[*file];
            let mut content = file.synced.clone();
            file.unsynced.iter().for_each(|change| apply(&mut content, change, |_| true));
            put(folder, path, &content);
        }
    }

    /// Puts into `folder` what the power left, as drawn.
    pub(super) fn write_what_is_left(&self, folder: &Path, draw: &mut Draw) -> Fate {
        let mut names = self.synced_names.clone();
        let kept = draw.below(self.unsynced_names.len() as u64 + 1) as usize;
        self.unsynced_names[..kept].iter().for_each(|naming| apply_naming(&mut names, naming));
        let mut fate = Fate::default();
        for (path, file) in &names {
            let file = &self.files[*file];
            let mut content = file.synced.clone();
            file.unsynced.iter().for_each(|change| leave(&mut content, change, draw, &mut fate));
            put(folder, path, &content);
        }
        fate
    }
}

/// One unsynced change: kept, dropped, or torn.
fn leave(content: &mut Vec<u8>, change: &Change, draw: &mut Draw, fate: &mut Fate) {
    let sectors = match change {
        Change::Write { offset, bytes } => (offset + bytes.len()).div_ceil(SECTOR) - offset / SECTOR,
        Change::Truncate(_) => 1,
    };
    match draw.below(3) {
        0 => {
            apply(content, change, |_| true);
            fate.kept += 1;
        }
        1 if sectors > 1 => {
            // At least one sector is there, and at least one is not.
            let (there, lost) = (draw.below(sectors as u64) as usize, draw.below(sectors as u64 - 1) as usize);
            let lost = if lost >= there { lost + 1 } else { lost };
            let more = draw.bits();
            apply(content, change, |sector| sector == there || (sector != lost && more >> (sector % 64) & 1 == 1));
            fate.torn += 1;
        }
        _ => fate.dropped += 1,
    }
}

/// Applies those sectors of a change that `is_kept` names, counted from its first.
fn apply(content: &mut Vec<u8>, change: &Change, is_kept: impl Fn(usize) -> bool) {
    let (offset, bytes) = match change {
        Change::Truncate(length) => return content.resize(*length, 0),
        Change::Write { offset, bytes } => (*offset, bytes),
    };
    let mut at = 0;
    while at < bytes.len() {
        let sector = (offset + at) / SECTOR;
        let end = ((sector + 1) * SECTOR - offset).min(bytes.len());
        if is_kept(sector - offset / SECTOR) {
            if content.len() < offset + end {
                content.resize(offset + end, 0);
            }
            content[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
        }
        at = end;
    }
}

fn apply_naming(names: &mut BTreeMap<PathBuf, usize>, naming: &Naming) {
    match naming {
        Naming::Given(path, file) => drop(names.insert(path.clone(), *file)),
        Naming::Taken(path) => drop(names.remove(path)),
    }
}

fn put(folder: &Path, path: &Path, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt;

    let path = folder.join(path.file_name().expect("a name"));
    std::fs::write(&path, content).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
}

#[test]
fn synced_writes_stay_and_unsynced_writes_may_be_lost_in_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, left) = (folder.path().join("file"), tempfile::tempdir().expect("a folder"));
    let mut disk = Disk::of(folder.path());
    let write = |offset, byte, length| Op::Write { path: path.clone(), offset, bytes: vec![byte; length] };
    for op in [
        Op::Create(path.clone()),
        write(0, 1, 1024),
        Op::Sync(path.clone()),
        Op::Sync(folder.path().to_owned()),
        write(0, 2, 1024),
    ] {
        disk.play(&op);
    }
    let mut seen = std::collections::BTreeSet::new();
    for case in 0..100 {
        disk.write_what_is_left(left.path(), &mut Draw::new(1, case));
        let content = std::fs::read(left.path().join("file")).expect("its name was synced");
        assert_eq!(content.len(), 1024);
        seen.insert((content[0], content[511], content[512], content[1023]));
    }
    assert_eq!(Vec::from_iter(seen), [(1, 1, 1, 1), (1, 1, 2, 2), (2, 2, 1, 1), (2, 2, 2, 2)]);
}
