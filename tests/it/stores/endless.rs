//! Peers whose answers do not end: rotator reads so much of each and no more, says so, and goes on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::program::{Ended, Program, ROTATOR, sandbox_with_slashes};

/// In MiB: what rotator may take at most while it reads.
const MOST_MEMORY: u64 = 256;

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

/// How it ended, and the most memory that it had, in MiB.
fn run(program: &Program, args: &[&str]) -> (Ended, u64) {
    let child = program.command(ROTATOR, args).spawn().expect("started");
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A process that has ended has none.
            let Some(line) = line else { break };
            peak = peak.max(line.trim().trim_end_matches(" kB").parse().expect("a number"));
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let ended = Ended::of(child);
    (ended, watcher.join().expect("it ends") / 1024)
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
    let kubeconfig = kubeconfig.display().to_string();
    let mut peers = vec![
        ("vault:kv", vec![("VAULT_ADDR", json.as_str()), ("VAULT_TOKEN", "a-token")], "16 MiB"),
        ("aws-secretsmanager:", vec![("AWS_ENDPOINT_URL_SECRETS_MANAGER", json.as_str())], "16 MiB"),
        ("aws-ssm:/", vec![("AWS_ENDPOINT_URL_SSM", json.as_str())], "16 MiB"),
        ("", vec![("AWS_ENDPOINT_URL_STS", xml.as_str())], "16 MiB"),
        (exec.as_str(), Vec::new(), "64 MiB"),
    ];
    if cfg!(feature = "kubernetes") {
        peers.push(("kubernetes:shop", vec![("KUBECONFIG", kubeconfig.as_str())], "16 MiB"));
    }
    for (store, variables, limit) in peers {
        let mut program = Program::at(&sandbox).with("ROTATOR_AWS_CALL_TIMEOUT", "20s");
        if store.is_empty() {
            program.import(&BTreeMap::from([("app/live/KEY".to_owned(), "value".to_owned())]));
        } else {
            program.set("ROTATOR_STORE", store);
        }
        for (name, value) in variables {
            program.set(name, value);
        }
        let began = Instant::now();
        let (ended, peak) = run(&program, &["plan"]);
        assert!(ended.code.is_some_and(|code| code != 0), "{store}: {ended:#?}");
        assert!(ended.stderr.contains(limit), "{store}: {ended:#?}");
        assert!(peak > 0 && peak < MOST_MEMORY, "{store}: {peak} MiB");
        assert!(began.elapsed() < Duration::from_secs(60), "{store}: {:?}", began.elapsed());
    }
}
