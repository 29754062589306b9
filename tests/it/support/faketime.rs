//! Starts a program with another clock (libfaketime).

use std::path::PathBuf;

/// The library that tells a program another time; scripts/test installs it.
pub(crate) fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("Linux").flatten().map(|folder| folder.path());
    let places = folders.chain(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    let mut libraries = places.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime is not installed: scripts/test does that")
}

/// The environment of a program that takes the time from `file`, such as `+17m`.
pub(crate) fn environment(file: &std::path::Path) -> [(&'static str, String); 5] {
    [
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // Only the wall clock can be set.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}
