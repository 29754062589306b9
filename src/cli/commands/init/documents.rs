//! The documents of a folder that may hold keys, found by name. The walk is bounded: `init` is often run in a folder of
//! source code, or in a home folder.

use std::fs;
use std::path::Path;

/// How many folders below the first one are looked into.
const DEEPEST: usize = 6;

/// The maximum number of documents in one folder.
pub(super) const MOST_DOCUMENTS: usize = 1_000;

/// The maximum number of names in one folder.
const MOST_NAMES: usize = 20_000;

/// The maximum size of all documents of one folder, which are in memory at the same time.
pub(super) const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Folders of downloaded and built files.
const LEFT_OUT: [&str; 2] = ["node_modules", "target"];

/// The kinds of documents that hold keys.
const KINDS: [&str; 8] = ["yaml", "yml", "json", "env", "ini", "toml", "properties", "conf"];

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Their names below the folder, in order.
    pub(super) names: Vec<String>,
    /// Whether something was left out that makes a store of the whole folder large or unreadable.
    pub(super) left_out: bool,
    seen: usize,
    bytes: u64,
    /// The size of all other files.
    other_bytes: u64,
}

impl Documents {
    /// Finds the documents of a folder. Links are not followed. The error says which limit was reached.
    pub(super) fn of(folder: &Path) -> Result<Self, String> {
        let mut found = Self::default();
        found.walk(folder, "", DEEPEST)?;
        found.names.sort_unstable();
        Ok(found)
    }

    fn walk(&mut self, folder: &Path, at: &str, deeper: usize) -> Result<(), String> {
        let Ok(items) = fs::read_dir(folder) else {
            self.left_out = true;
            return Ok(());
        };
        for item in items.filter_map(Result::ok) {
            self.seen += 1;
            if self.seen > MOST_NAMES {
                return Err(format!("more than {MOST_NAMES} files"));
            }
            let (Ok(name), Ok(kind)) = (item.file_name().into_string(), item.file_type()) else {
                self.left_out = true;
                continue;
            };
            // A line break would leave its line in the output and in the file. A link may make a store unreadable.
            let is_safe = !name.contains(char::is_control) && (kind.is_file() || kind.is_dir());
            if !is_safe || (kind.is_dir() && !is_looked_into(&name)) {
                self.left_out = true;
            } else if kind.is_dir() && deeper == 0 {
                return Err(format!("more than {DEEPEST} folders deep"));
            } else if kind.is_dir() {
                self.walk(&item.path(), &format!("{at}{name}/"), deeper - 1)?;
            } else if kind.is_file() && is_document(&name) {
                self.bytes += item.metadata().map_or(0, |metadata| metadata.len());
                self.names.push(format!("{at}{name}"));
            } else {
                // A store of the whole folder would read this file, too.
                self.other_bytes += item.metadata().map_or(0, |metadata| metadata.len());
                self.left_out |= self.other_bytes > MOST_BYTES;
            }
            if self.names.len() > MOST_DOCUMENTS {
                return Err(format!("more than {MOST_DOCUMENTS} documents"));
            }
            if self.bytes > MOST_BYTES {
                return Err(format!("more than {} MiB of documents", MOST_BYTES / 1024 / 1024));
            }
        }
        Ok(())
    }
}

/// Whether a folder of this name is looked into.
pub(super) fn is_looked_into(name: &str) -> bool {
    !name.starts_with('.') && !LEFT_OUT.contains(&name)
}

/// Whether this is the name of a dotenv file.
pub(super) fn is_dotenv(name: &str) -> bool {
    name == ".env" || name.starts_with(".env.")
}

/// Whether this is the name of a document that may hold keys.
pub(super) fn is_document(name: &str) -> bool {
    let kind = Path::new(name).extension().and_then(|kind| kind.to_str());
    is_dotenv(name) || (!name.starts_with('.') && kind.is_some_and(|kind| KINDS.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_by_name_within_limits() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        };
        ["a.yaml", "b/c.json", "b/.env.live", "b/.hidden.json", "b/photo.png"].into_iter().for_each(write);
        let found = Documents::of(root.path()).expect("within the limits");
        assert_eq!(
            (found.names, found.left_out),
            (vec!["a.yaml", "b/.env.live", "b/c.json"].into_iter().map(str::to_owned).collect(), false)
        );
        ["b/node_modules/d.json", ".git/e.json"].into_iter().for_each(write);
        let found = Documents::of(root.path()).expect("within the limits");
        assert_eq!((found.names.len(), found.left_out), (3, true));
        for link in ["one.yaml", "b"] {
            let other = tempfile::tempdir().expect("a folder");
            fs::write(other.path().join("a.yaml"), "x").expect("written");
            std::os::unix::fs::symlink("/nowhere", other.path().join(link)).expect("linked");
            let found = Documents::of(other.path()).expect("within the limits");
            assert_eq!((found.names.len(), found.left_out), (1, true), "{link}");
        }
        let large = tempfile::tempdir().expect("a folder");
        let dump = fs::File::create(large.path().join("photo.png")).expect("made");
        dump.set_len(MOST_BYTES + 1).expect("a file with a hole");
        assert!(Documents::of(large.path()).expect("within the limits").left_out, "too large to be read each time");
        write("1/2/3/4/5/6/7/f.json");
        assert_eq!(Documents::of(root.path()).expect_err("too deep"), "more than 6 folders deep");
    }
}
