//! `exec:` with the example for the real `pass` (Debian), and programs that do not keep to the protocol.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::adapters::ExecProgram;
use rotator::adapters::stores::exec::ExecStore;
use rotator::adapters::stores::{Backend, BackendStore, Naming};
use rotator::ports::secret_store::{Reading, SecretStore, Version};
use rotator::rotation::policy::LATE_REQUEST;
use rotator::types::failure::Failure;
use rotator::types::name::StoreName;

use super::subject::Subject;
use super::{conforms, is_stale, name, over, write};
use crate::support::program::answer;

const LIMIT: Duration = Duration::from_secs(10);

fn named(store: ExecStore) -> Arc<dyn SecretStore> {
    Arc::new(BackendStore::new(StoreName::new("exec:it").expect("valid"), Naming::default(), Arc::new(store)))
}

/// A password store with a key of its own.
struct Pass {
    home: tempfile::TempDir,
    number: Mutex<usize>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        // Stops the agent of this home; an error means that no agent runs.
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).status();
    }
}

impl Pass {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).expect("set");
        let pass = Self { home, number: Mutex::new(0) };
        let made = Command::new("gpg")
            .args([
                "--batch",
                "--quiet",
                "--passphrase",
                "",
                "--quick-generate-key",
                "test@example.com",
                "default",
                "default",
            ])
            .env("GNUPGHOME", pass.home.path())
            .output()
            .expect("gpg is there: scripts/test installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        pass
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join(format!("store{}", self.number.lock().expect("one thread")))
    }

    fn pass(&self, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let mut command = Command::new("pass");
        command.args(args).env("GNUPGHOME", self.home.path()).env("PASSWORD_STORE_DIR", self.folder());
        answer(&mut command, input)
    }

    /// A password store's own name.
    fn native(entry: &str) -> String {
        entry.trim_start_matches("-/").replace("%25", "%")
    }
}

fn example(program: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(program).display().to_string()
}

fn now<T>(work: impl Future<Output = T> + Send) -> T
where
    T: Send,
{
    super::aws::wait(work)
}

impl Subject for Pass {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        *self.number.lock().expect("one thread") += 1;
        self.pass(&["init", "test@example.com"], b"").expect("a password store");
        let (home, folder) = (self.home.path().display(), self.folder());
        let command = format!("env GNUPGHOME={home} PASSWORD_STORE_DIR={} {}", folder.display(), example("store-pass"));
        named(now(ExecStore::open(ExecProgram::of_words(&command), LIMIT)).expect("it says which it is"))
    }

    fn put(&self, entry: &str, value: &[u8]) {
        self.pass(&["insert", "--multiline", "--force", &Self::native(entry)], value).expect("inserted");
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        self.pass(&["show", &Self::native(entry)], b"")
    }

    fn remove(&self, entry: &str) -> bool {
        self.pass(&["rm", "--force", &Self::native(entry)], b"").is_some()
    }

    fn many(&self) -> usize {
        12
    }

    fn odd_names(&self) -> Vec<String> {
        ["caf\u{e9}/live/MY KEY", "a.b/c-d/e_f", "-/-/top"].map(str::to_owned).into()
    }

    fn go(&self) {
        std::fs::remove_dir_all(self.folder()).expect("removed");
    }
}

#[tokio::test]
async fn the_example_for_pass_conforms_with_the_real_one() {
    conforms(&Pass::new()).await;
}

/// A program that answers `hello`, and to everything else what `then` prints.
fn program(folder: &Path, then: &str) -> String {
    let path = folder.join("program");
    let script = format!(
        "#!/bin/sh\nread -r line\ncase \"$line\" in *hello*) echo '{{\"identity\":\"x\",\"late_writes_seconds\":0}}' ;; *) {then} ;; esac\n"
    );
    std::fs::write(&path, script).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("set");
    path.display().to_string()
}

#[tokio::test]
async fn a_program_without_a_complete_reply_leaves_the_outcome_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let entry = "shop/live/KEY";
    for (then, lists, writes) in [
        ("true", false, "unknown"),
        ("exit 1", false, "unknown"),
        ("echo nonsense", false, "unknown"),
        // A list that was cut off.
        (r#"echo '{"name":"shop/live/KEY","version":"1","value":"x"}'"#, false, "unknown"),
        (r#"echo '{"done":true}'"#, true, "unknown"),
        (r#"echo '{"stale":true}'"#, false, "stale"),
        (r#"echo '{"error":"no","refused":true}'"#, false, "refused"),
        (r#"echo '{"error":"no"}'"#, false, "unknown"),
        (r#"echo '{"ok":true}'; exit 1"#, false, "unknown"),
    ] {
        let store = ExecStore::open(ExecProgram::of_words(&program(folder.path(), then)), LIMIT)
            .await
            .expect("it says which it is");
        assert!(store.capabilities().late_writes.is_zero());
        let store = named(store);
        assert_eq!(store.read_all().await.is_ok(), lists, "{then}");
        let subject = Pass { home: tempfile::tempdir().expect("a folder"), number: Mutex::new(0) };
        let result = write(&store, vec![over(&subject, entry, &Version("1".to_owned()), "a long new value")]).await;
        let reported = match &result {
            Ok(()) => "written",
            Err(Failure::Unknown(_)) => "unknown",
            Err(Failure::Refused(_)) if is_stale(&result) => "stale",
            Err(Failure::Refused(_)) => "refused",
        };
        assert_eq!(reported, writes, "{then}");
    }
    // An answer about another entry than was asked for.
    let other = r#"echo '{"name":"other","version":"1","value":"x","ok":true}'"#;
    let store =
        named(ExecStore::open(ExecProgram::of_words(&program(folder.path(), other)), LIMIT).await.expect("opens"));
    let error = store.read(&[name(entry)]).await.expect_err("about another");
    assert!(error.message.contains("answered about another entry than shop/live/KEY"), "{error}");
    let subject = Pass { home: tempfile::tempdir().expect("a folder"), number: Mutex::new(0) };
    let result = write(&store, vec![over(&subject, entry, &Version("1".to_owned()), "a long new value")]).await;
    assert!(matches!(&result, Err(Failure::Unknown(why)) if why.contains("another entry")), "{result:?}");
    // A program that does not say how long its writes may still take effect is assumed to be slow.
    let silent = program(folder.path(), "true");
    let script = std::fs::read_to_string(&silent).expect("written").replace(",\"late_writes_seconds\":0", "");
    std::fs::write(&silent, script).expect("written");
    let silent = ExecStore::open(ExecProgram::of_words(&silent), LIMIT).await.expect("it says which it is");
    assert_eq!(silent.capabilities().late_writes, LATE_REQUEST);
    assert!(ExecStore::open(ExecProgram::of_words("/nowhere/program"), LIMIT).await.is_err());
    assert!(ExecStore::open(ExecProgram::of_words(""), LIMIT).await.is_err());
}

#[tokio::test]
async fn a_program_gets_no_rights_of_ours_and_its_words_quote_no_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let quoting = r#"echo "{\"error\":\"cannot write $(echo "$line" | cut -d: -f5 | tr -d '"}')\",\"refused\":true}""#;
    let store =
        named(ExecStore::open(ExecProgram::of_words(&program(folder.path(), quoting)), LIMIT).await.expect("opens"));
    let subject = Pass { home: tempfile::tempdir().expect("a folder"), number: Mutex::new(0) };
    let value = "wJalrXUtnFEMIK7MDENGbPxRfiCYzTASKsecret0";
    let result = write(&store, vec![over(&subject, "shop/live/KEY", &Version("1".to_owned()), value)]).await;
    let Err(failure) = result else { panic!("refused") };
    assert!(!format!("{failure:?}").contains(value), "{failure:?}");
    let reads = r#"echo "{\"version\":\"1\",\"value\":\"${AWS_SECRET_ACCESS_KEY:-none}\"}""#;
    let store =
        named(ExecStore::open(ExecProgram::of_words(&program(folder.path(), reads)), LIMIT).await.expect("opens"));
    let read = store.read(&[name("shop/live/KEY")]).await.expect("read");
    assert!(matches!(read.as_slice(), [Reading::Value { value, .. }] if value.expose_text() == Some("none")));
}
