//! No secret access key in the journal, a log or an output, at the most verbose level; and a planted one is found.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use rotator::sandbox::{Action, Fault, FaultKind};

use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};

/// Where any of the secrets occurs, plain or in base-64.
fn occurrences(secrets: &[String], texts: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        let wrapped = base64::engine::general_purpose::STANDARD.encode(secret);
        for form in [secret.as_str(), wrapped.trim_end_matches('=')] {
            let hits = texts.iter().filter(|(_, bytes)| memchr::memmem::find(bytes, form.as_bytes()).is_some());
            found.extend(hits.map(|(name, _)| name.clone()));
        }
    }
    found
}

fn files(folder: &Path, texts: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_file() {
            texts.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("read"));
        }
    }
}

#[test]
fn no_secret_leaves_the_store() {
    let sandbox = sandbox_with_slashes();
    let mut entries = BTreeMap::new();
    let mut secrets: Vec<String> =
        (0..4).map(|n| user_with_entries(&sandbox, &format!("app{n}/production"), &mut entries).secret).collect();
    secrets.push(sandbox.admin().secret.expose().to_owned());
    let program = Program::at(&sandbox)
        .with("RUST_LOG", "trace")
        .with("RUST_BACKTRACE", "full")
        .with("LOG_SENSITIVE_BODIES", "1")
        .with("LOG_SIGNABLE_BODY", "1");
    program.import(&entries);
    // Answers that do not parse are what the SDK prints whole.
    sandbox.arm(Fault::new(FaultKind::Truncate(300)).on(Action::CreateAccessKey).for_user("app0/production"));
    sandbox.arm(Fault::new(FaultKind::Garbage200).on(Action::CreateAccessKey).for_user("app1/production"));
    let made: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut texts = BTreeMap::new();
    for round in 0..30 {
        let args = if round == 0 { "run" } else { "resume" };
        let ended = program.rotator(&["-vvv", "--log-format", if round % 2 == 0 { "text" } else { "json" }, args]);
        texts.insert(format!("stdout {round}"), ended.stdout.into_bytes());
        texts.insert(format!("stderr {round}"), ended.stderr.into_bytes());
        for number in 0..4 {
            made.lock().expect("not poisoned").push(program.pair(&format!("app{number}/production")).secret);
        }
        if ended.code != Some(3) {
            assert_eq!(ended.code, Some(0));
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    secrets.extend(made.lock().expect("not poisoned").drain(..));
    files(program.folder(), &mut texts);
    assert!(texts.contains_key("journal.db"), "{:?}", texts.keys());
    assert!(texts["stderr 0"].len() > 2_000, "the most verbose log says next to nothing");
    assert_eq!(occurrences(&secrets, &texts), Vec::<String>::new());

    texts.insert("planted".to_owned(), format!("oops: {}", secrets[0]).into_bytes());
    assert_eq!(occurrences(&secrets[..1], &texts), ["planted"]);
}
