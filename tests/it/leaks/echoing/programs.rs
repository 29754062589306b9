//! Programs that quote: those of `exec:` stores, and sops. Sinks are in `leaks/failures.rs`.

use std::sync::Arc;
use std::time::Duration;

use rotator::adapters::ExecProgram;
use rotator::adapters::stores::exec::ExecStore;
use rotator::adapters::stores::sops::SopsStore;
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::SecretStore;
use rotator::types::name::StoreName;

use super::super::forms::Secrets;
use super::{NEIGHBOUR, NEW, Reported, document};
use crate::support::echo::{ENCODINGS, QUOTED};
use crate::support::sops::Sops;

/// Quotes its request, and the value of another entry, as `how` says.
const PROGRAM: &str = r#"
import sys
how, neighbour, log = sys.argv[1], sys.argv[2], sys.argv[3]
line = sys.stdin.readline()
request = json.loads(line)
error = quoted(how, line + neighbour)
open(log, "a").write(error + "\n")
op = request["op"]
if op == "hello": print(json.dumps({"identity": "echo", "late_writes_seconds": 0}))
elif op == "list":
    print(json.dumps({"name": "a", "version": "1", "value": neighbour}))
    print(json.dumps({"name": "b", "version": "1", "error": error}))
    print(json.dumps({"name": "c"}))
    print(json.dumps({"done": True}))
elif op == "get": print(json.dumps({"error": error} if request["name"] != "a" else {"version": "1", "value": neighbour}))
elif request["name"] == "a": print(json.dumps({"error": quoted(how, line), "refused": True}))
else: print(json.dumps({"error": quoted(how, line)}))
"#;

#[tokio::test]
async fn a_program_that_quotes_is_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (script, log) = (folder.path().join("echo.py"), folder.path().join("log"));
    std::fs::write(&script, format!("{QUOTED}{PROGRAM}")).expect("written");
    for encoding in ENCODINGS {
        let how = encoding.word();
        std::fs::write(&log, "").expect("written");
        let command = format!("python3 {} {how} {NEIGHBOUR} {}", script.display(), log.display());
        let store = ExecStore::open(ExecProgram::of_words(&command), Duration::from_secs(30)).await.expect("opens");
        // The name of the program is in its messages: here it has the neighbour's secret in it.
        let name = StoreName::new("exec:echo").expect("valid");
        let store: Arc<dyn SecretStore> = Arc::new(BackendStore::new(name, Naming::default(), Arc::new(store)));
        let mut reported = Reported::default();
        reported.keep_readings(store.read_all().await);
        reported.keep_reads(&store, &["-/-/a", "-/-/b"]).await;
        reported.keep_write(&store, "-/-/a", "1", NEW).await;
        reported.keep_write(&store, "-/-/b", "1", &document(NEW)).await;
        for message in &mut reported.0 {
            *message = message.replace(&command, "");
        }
        let said = std::fs::read_to_string(&log).expect("written");
        reported.conclude(&[NEW, NEIGHBOUR], &[said], &format!("exec, {encoding:?}"), 5);
    }
}

/// Nothing of what sops says is shown, whatever it is.
#[tokio::test]
async fn a_sops_that_quotes_is_not_quoted() {
    let sops = Sops::new();
    let path = sops.folder().join("secrets.json");
    std::fs::write(&path, sops.encrypt("secrets.json", document(NEIGHBOUR).as_bytes(), &[])).expect("written");
    let store = SopsStore::open(&path, &sops.program(), Vec::new(), Duration::from_secs(30)).await.expect("opens");
    let store: Arc<dyn SecretStore> =
        Arc::new(BackendStore::new(StoreName::new("sops:it").expect("valid"), Naming::default(), Arc::new(store)));
    let read = store.read_all().await.expect("reads");
    let [(entry, rotator::ports::secret_store::Reading::Value { version, .. })] = read.as_slice() else {
        panic!("{read:?}")
    };
    let (script, log) = (sops.folder().join("quote.py"), sops.folder().join("log"));
    std::fs::write(&script, format!("{QUOTED}import sys\nprint(quoted(sys.argv[1], sys.stdin.read()))\n"))
        .expect("written");
    for encoding in ENCODINGS {
        let quote = format!(
            "cat >in; \"$sops\" \"$@\" <in >out; cat in out | python3 {} {} | tee -a {log} >&2; cat {log}; exit 25",
            script.display(),
            encoding.word(),
            log = log.display(),
        );
        // All that it is asked for, and then only the call that is given the new value.
        for (hindered, secret) in [("*", NEIGHBOUR), ("*\\ set\\ *", NEW)] {
            let _ = std::fs::remove_file(&log);
            sops.hindered(&format!("cd {}\ncase \"$*\" in {hindered}) {quote};; esac", sops.folder().display()));
            let mut reported = Reported::default();
            if secret == NEIGHBOUR {
                reported.keep_readings(store.read_all().await);
            }
            reported.keep_write(&store, entry.as_str(), &version.0, &document(NEW)).await;
            let said = std::fs::read_to_string(&log).expect("it was run");
            assert!(
                !reported.0.is_empty() && reported.0.iter().all(|reported| reported.contains("25")),
                "{encoding:?}: {:?}",
                reported.0
            );
            let sought = Secrets::new([("it".to_owned(), secret)]);
            assert!(!sought.found_in(said.as_bytes()).is_empty(), "{encoding:?}: it quotes {secret}: {said}");
            reported.conclude(&[NEIGHBOUR, NEW], &[said], &format!("sops, {encoding:?}"), 0);
        }
    }
}
