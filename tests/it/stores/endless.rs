//! Peers with endless responses: rotator reads a limited amount of each, reports that, and continues.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::measured::{Measured, run};
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};

/// In MiB: what rotator may take at most while it reads. An answer takes up to 64 MiB, and the buffer before it 16 MiB.
/// The allocator keeps freed memory for a second, in which the answer is read again, so that two or three of them may
/// count. Without a limit, the peers send gigabytes.
const MOST_MEMORY: u64 = 320;

/// Answers every request with the beginning of a document that does not end. Its threads end with the test.
fn endless(begins: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let date = httpdate::fmt_http_date(std::time::SystemTime::now());
                let head = format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: application/json\r\n\r\n{begins}");
                let mut writer = &stream;
                let mut more = writer.write_all(head.as_bytes());
                let part = vec![b'a'; 256 * 1024];
                while more.is_ok() {
                    more = writer.write_all(&part);
                }
            });
        }
    });
    url
}

/// A `sops` whose decrypted document does not end, and a file that it is asked about; the `PATH` that leads to it.
fn sops_that_does_not_end(folder: &Path) -> String {
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).expect("made");
    let says = "#!/bin/sh\ncase \"$*\" in *--version*) echo 'sops 3.99.0' ;; *) exec tr '\\0' a </dev/zero ;; esac\n";
    std::fs::write(bin.join("sops"), says).expect("written");
    std::fs::set_permissions(bin.join("sops"), std::fs::Permissions::from_mode(0o700)).expect("set");
    std::fs::write(folder.join("sealed.json"), "{\"a\":\"ENC[AES256_GCM,data:eA==]\"}").expect("written");
    format!("{}:/usr/bin:/bin", bin.display())
}

/// The sink of each rotation is asked once its pair is stored: the rotation stays as it is, and nothing else does.
#[test]
fn a_sink_that_does_not_end_is_read_so_far_and_no_farther() {
    let sandbox = sandbox_with_slashes();
    let mut program = Program::at(&sandbox);
    let mut entries = BTreeMap::new();
    let old = user_with_entries(&sandbox, "app/live", &mut entries);
    program.import(&entries);
    let script = program.folder().join("sink.sh");
    let says = "#!/bin/sh\nread -r line\ncase \"$line\" in *hello*) echo '{\"identity\":\"x\"}' ;; *) exec tr '\\0' a </dev/zero ;; esac\n";
    std::fs::write(&script, says).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("set");
    let config = program.folder().join("sinks.toml");
    let sink = format!("[[sink]]\nname = \"endless\"\nuri = \"exec:{}\"\nfollows = \"app/*/*\"\n", script.display());
    std::fs::write(&config, sink).expect("written");
    program.set("ROTATOR_CONFIG", &config.display().to_string());
    let Measured { ended, peak, took } = run(&program, &["run"]);
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("64 MiB"), "{ended:#?}");
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(peak > 0 && peak < MOST_MEMORY, "{peak} MiB");
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(sandbox.accepts(&old.id, &old.secret), "the old pair goes only once the sink has the new one");
}

#[test]
fn an_answer_that_does_not_end_is_read_so_far_and_no_farther() {
    let sandbox = sandbox_with_slashes();
    let folder = tempfile::tempdir().expect("a folder");
    let json = endless("{\"data\":{\"keys\":[\"");
    let xml = endless("<GetCallerIdentityResponse><Arn>");
    let kubeconfig = folder.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "here", "cluster": { "server": json } }],
        "contexts": [{ "name": "test", "context": { "cluster": "here", "user": "me" } }],
        "users": [{ "name": "me", "user": { "token": "a-token" } }],
    });
    std::fs::write(&kubeconfig, config.to_string()).expect("written");
    let script = folder.path().join("endless.sh");
    let says = "#!/bin/sh\nread -r line\ncase \"$line\" in *hello*) echo '{\"identity\":\"x\"}' ;; \
                *) printf '{\"name\":\"a\",\"version\":\"1\",\"value\":\"'; exec tr '\\0' a </dev/zero ;; esac\n";
    std::fs::write(&script, says).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("set");
    let exec = format!("exec:{}", script.display());
    let path = sops_that_does_not_end(folder.path());
    let sealed = format!("sops:{}", folder.path().join("sealed.json").display());
    let kubeconfig = kubeconfig.display().to_string();
    let mut peers = vec![
        ("vault:kv", vec![("VAULT_ADDR", json.as_str()), ("VAULT_TOKEN", "a-token")], "16 MiB"),
        ("aws-secretsmanager:", vec![("AWS_ENDPOINT_URL_SECRETS_MANAGER", json.as_str())], "16 MiB"),
        ("aws-ssm:/", vec![("AWS_ENDPOINT_URL_SSM", json.as_str())], "16 MiB"),
        ("", vec![("AWS_ENDPOINT_URL_STS", xml.as_str())], "16 MiB"),
        ("", vec![("AWS_ENDPOINT_URL_IAM", xml.as_str())], "16 MiB"),
        (exec.as_str(), Vec::new(), "64 MiB"),
        (sealed.as_str(), vec![("PATH", path.as_str())], "64 MiB"),
    ];
    if cfg!(feature = "kubernetes") {
        peers.push(("kubernetes:shop", vec![("KUBECONFIG", kubeconfig.as_str())], "16 MiB"));
    }
    for (store, variables, limit) in peers {
        let mut program = Program::at(&sandbox).with("ROTATOR_AWS_CALL_TIMEOUT", "20s");
        if store.is_empty() {
            program.import(&BTreeMap::from([
                ("app/live/AWS_ACCESS_KEY_ID".to_owned(), "AKIAENDLESSENDLESS22".to_owned()),
                ("app/live/AWS_SECRET_ACCESS_KEY".to_owned(), "endless+endless/endless+endless/endless1".to_owned()),
            ]));
        } else {
            program.set("ROTATOR_STORE", store);
        }
        for (name, value) in variables {
            program.set(name, value);
        }
        // One file of sops's is one entry that cannot be read, and here there is no key that it would hold back.
        let (command, may_be_done) = if store.starts_with("sops:") { ("plan", true) } else { ("run", false) };
        let Measured { ended, peak, took } = run(&program, &[command]);
        assert!(ended.code.is_some_and(|code| code != 0 || may_be_done), "{store}: {ended:#?}");
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains(limit), "{store}: {ended:#?}");
        assert!(peak > 0 && peak < MOST_MEMORY, "{store}: {peak} MiB");
        assert!(took < Duration::from_secs(60), "{store}: {took:?}");
    }
}
