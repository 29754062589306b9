//! A database that is not ours, not whole, or not set up as we need it is refused and left as it is.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

const KIND: Kind = Kind {
    what: "journal",
    remedy: "restore it from a backup",
    how_made: "check the path",
    application_id: 0x7465_7374,
    migrations: &["CREATE TABLE one (n INTEGER) STRICT", "CREATE TABLE two (n INTEGER) STRICT"],
    read_from: 2,
    inspect: |_, _| Ok(()),
    more_settings: &[],
};

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = private_file::locate(&folder.path().join("test.db")).expect("private").expect("a folder");
    Fixture { _folder: folder, path }
}

fn made() -> Fixture {
    let fixture = fixture();
    create(&fixture.path, &KIND, |_| Ok(())).expect("made");
    fixture
}

/// Expects a refusal, for reading and writing, that names the file and leaves it as it is.
fn refused(fixture: &Fixture) -> DatabaseError {
    let before = std::fs::read(&fixture.path).ok();
    let reading = open_read_only(&fixture.path, &KIND).expect_err("refused for reading");
    let writing = open(&fixture.path, &KIND).expect_err("refused for writing");
    assert_eq!(std::mem::discriminant(&reading), std::mem::discriminant(&writing), "{reading} / {writing}");
    assert_eq!(std::fs::read(&fixture.path).ok(), before, "not a byte was changed");
    assert!(writing.to_string().contains(&fixture.path.display().to_string()), "{writing}");
    writing
}

#[test]
fn every_lock_of_another_process_is_reported_as_a_lock() {
    for code in [rusqlite::ffi::SQLITE_BUSY, rusqlite::ffi::SQLITE_LOCKED, rusqlite::ffi::SQLITE_PROTOCOL] {
        let said = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let error = DatabaseError::sqlite(&PathBuf::from("/j.db"), &KIND, "read", said);
        assert!(matches!(error, DatabaseError::Busy { .. }), "{code}: {error}");
    }
}

#[test]
fn every_migration_is_applied_once() {
    let Fixture { path, .. } = &made();
    for _ in 0..2 {
        let connection = open(path, &KIND).expect("opens");
        assert_eq!(check_version(&connection, path, &KIND).expect("known"), 2);
        connection.execute_batch("SELECT n FROM one; SELECT n FROM two").expect("both tables are there");
    }
}

#[test]
fn a_file_gets_its_name_with_all_of_its_log_or_not_at_all() {
    let fixture = fixture();
    let mut reader = None;
    let fill = |connection: &Connection| {
        connection.pragma_update(None, "busy_timeout", 1)?;
        // A reader prevents the checkpoint, as a full disk does.
        let other = Connection::open(connection.path().expect("a file"))?;
        other.execute_batch("BEGIN; SELECT n FROM one")?;
        reader = Some(other);
        Ok(())
    };
    let error = create(&fixture.path, &KIND, fill).expect_err("not whole");
    assert!(error.to_string().contains("test.db"), "{error}");
    drop(reader);
    let left = std::fs::read_dir(private_file::folder_of(&fixture.path)).expect("listed").count();
    assert_eq!(left, 0, "neither the file nor its draft");
}

#[test]
fn a_setting_that_did_not_take_is_detected() {
    let Fixture { path, .. } = &made();
    let connection = open(path, &KIND).expect("opens");
    for (name, wrong) in
        [("synchronous", "NORMAL"), ("foreign_keys", "OFF"), ("fullfsync", "OFF"), ("busy_timeout", "1")]
    {
        settings::assert(&connection, path, &KIND, WRITER).expect("all as they should be");
        connection.pragma_update(None, name, wrong).expect("set");
        let error = settings::assert(&connection, path, &KIND, WRITER).expect_err("wrong");
        assert!(matches!(&error, DatabaseError::Setting { name: found, .. } if *found == name), "{error}");
        settings::apply(&connection, path, &KIND, WRITER).expect("set again");
    }
}

#[test]
fn an_empty_or_cut_file_is_refused() {
    let fixture = made();
    let whole = std::fs::read(&fixture.path).expect("read");
    for length in [0, 10, 99, 100, 4096, whole.len() - 1] {
        std::fs::write(&fixture.path, &whole[..length]).expect("written");
        let error = refused(&fixture);
        // A file shorter than SQLite's header may belong to another program.
        let damaged = matches!(error, DatabaseError::Damaged { .. });
        assert!(damaged || length < 512 && matches!(error, DatabaseError::Foreign { .. }), "{length}: {error}");
    }
}

#[test]
fn another_programs_file_is_refused() {
    let fixture = fixture();
    std::fs::write(&fixture.path, "[policy]\n").expect("written");
    assert!(matches!(refused(&fixture), DatabaseError::Foreign { .. }));
    std::fs::remove_file(&fixture.path).expect("removed");
    Connection::open(&fixture.path).and_then(|other| other.execute_batch("CREATE TABLE t (n)")).expect("made");
    assert!(matches!(refused(&fixture), DatabaseError::Foreign { .. }));
}

#[test]
fn a_scribbled_page_is_refused() {
    let fixture = made();
    let mut bytes = std::fs::read(&fixture.path).expect("read");
    bytes[100..4096].fill(0xff);
    std::fs::write(&fixture.path, &bytes).expect("written");
    let before = bytes;
    let error = open(&fixture.path, &KIND).expect_err("refused");
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&fixture.path).expect("read"), before);
}

#[test]
fn a_newer_one_is_refused_and_an_older_one_is_not_only_read() {
    let fixture = made();
    let set = |version: i64| {
        Connection::open(&fixture.path)
            .and_then(|file| file.pragma_update(None, "user_version", version))
            .expect("set");
    };
    set(3);
    assert!(matches!(refused(&fixture), DatabaseError::Newer { found: 3, known: 2, .. }));
    set(-1);
    assert!(matches!(refused(&fixture), DatabaseError::Newer { found: -1, .. }));
    set(1);
    assert!(matches!(open_read_only(&fixture.path, &KIND), Err(DatabaseError::Older { .. })));
}

#[test]
fn symlinks_and_files_open_to_others_are_refused() {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let fixture = made();
        let name = with_suffix(&fixture.path, suffix);
        let elsewhere = with_suffix(&fixture.path, ".elsewhere");
        if suffix.is_empty() {
            std::fs::rename(&name, &elsewhere).expect("moved");
        }
        symlink(&elsewhere, &name).expect("linked");
        let error = open(&fixture.path, &KIND).expect_err("refused");
        assert!(matches!(error, DatabaseError::File(crate::adapters::FileError::Symlink { .. })), "{error}");
    }
    let fixture = made();
    std::fs::set_permissions(&fixture.path, std::fs::Permissions::from_mode(0o666)).expect("set");
    assert!(matches!(refused(&fixture), DatabaseError::File(crate::adapters::FileError::Ownership(_))));
}

#[test]
fn a_log_without_its_file_is_refused() {
    let fixture = fixture();
    std::fs::write(with_suffix(&fixture.path, "-wal"), "x").expect("written");
    assert!(matches!(exists(&fixture.path, &KIND), Err(DatabaseError::Lost { .. })));
}

#[test]
fn a_path_with_odd_letters_opens_immutable() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = private_file::locate(&folder.path().join("a?b#c %41ü.db")).expect("private").expect("a folder");
    create(&path, &KIND, |_| Ok(())).expect("made");
    let connection = connect_immutable(&path).expect("opens");
    assert_eq!(check_version(&connection, &path, &KIND).expect("read"), 2);
    assert!(connection.execute_batch("INSERT INTO one VALUES (1)").is_err());
}
