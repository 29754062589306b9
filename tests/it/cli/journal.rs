//! A journal that cannot be written is reported before any file is created beside it.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use super::bench::Bench;

const USER: &str = "app1/production";

fn files(bench: &Bench, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(bench.path(folder)).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_read_only_journal_or_folder_is_refused_by_name_and_nothing_is_left() {
    let bench = Bench::with_users(&[USER]);
    std::fs::create_dir(bench.path("state")).expect("made");
    let run = ["--journal", "state/journal.db", "run", "--older-than", "80d", "--yes"];
    bench.run(&run).code(0);
    let _ = std::fs::remove_file(bench.path("state/journal.db.lock"));
    let before = files(&bench, "state");
    let mode = |name: &str, mode: u32| set_permissions(bench.path(name), Permissions::from_mode(mode)).expect("set");
    for (name, closed, open) in [("state/journal.db", 0o400, 0o600), ("state", 0o500, 0o700)] {
        mode(name, closed);
        let path = bench.path(name).canonicalize().expect("there").display().to_string();
        for command in [&run[..], &["--journal", "state/journal.db", "resume"]] {
            let reported = bench.run(command).code(1).says(&path);
            assert!(!reported.stderr.contains("-shm") && !reported.stderr.contains(".lock"), "{}", reported.stderr);
        }
        for command in ["status", "plan"] {
            bench.run(&["--journal", "state/journal.db", command]).code(0);
        }
        mode(name, open);
        assert_eq!(files(&bench, "state"), before, "{name}");
        bench.run(&run).code(0);
        let _ = std::fs::remove_file(bench.path("state/journal.db.lock"));
    }
    mode("state", 0o500);
    let reported = bench.run(&["--journal", "state/new.db", "run", "--yes"]).code(1);
    reported.says(&bench.path("state").canonicalize().expect("there").display().to_string());
    mode("state", 0o700);
    assert_eq!(files(&bench, "state"), before);
}
