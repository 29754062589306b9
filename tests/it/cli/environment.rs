//! The environment, the working folder and the search path of the programs that the configuration names.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::bench::{Bench, Ended};
use crate::support::sops::Sops;

/// Keeps its environment in the file that its first argument names; a store without entries, and a sink.
const PROGRAM: &str = r#"#!/bin/sh
tr '\0' '\n' </proc/$$/environ >"$1"
read -r line
case "$line" in
*hello*) echo '{"identity":"one","late_writes_seconds":0}' ;;
*) echo '{"done":true}' ;;
esac
"#;

/// The variables that every program receives.
const PASSED: [(&str, &str); 14] = [
    ("USER", "shop"),
    ("LOGNAME", "shop"),
    ("TZ", "UTC"),
    ("LANG", "C.UTF-8"),
    ("LANGUAGE", "en"),
    ("LC_ALL", "C.UTF-8"),
    ("XDG_RUNTIME_DIR", "/run/user/1000"),
    ("SSH_AUTH_SOCK", "/run/agent"),
    ("GNUPGHOME", "/home/shop/.gnupg"),
    ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ("no_proxy", "127.0.0.1"),
    ("NO_PROXY", "127.0.0.1"),
    ("SSL_CERT_DIR", "/etc/ssl/certs"),
    ("TMPDIR", "/tmp"),
];

/// The further variables that sops receives. The bench itself sets some more AWS variables.
const PASSED_TO_SOPS: [(&str, &str); 4] = [
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a-token"),
    ("SOPS_GPG_EXEC", "gpg"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere"),
    ("AZURE_CLIENT_ID", "x"),
];

/// The variables that a program receives only if its store or sink names them.
const NOT_PASSED: [(&str, &str); 7] = [
    ("VAULT_TOKEN", "a-token"),
    ("VAULT_ADDR", "http://127.0.0.1:9"),
    ("BAO_TOKEN", "a-token"),
    ("GH_TOKEN", "a-token"),
    ("DOPPLER_TOKEN", "a-token"),
    ("ROTATOR_LOG", "warn"),
    ("LD_LIBRARY_PATH", "/nowhere"),
];

fn executable(bench: &Bench, name: &str, text: &str) {
    bench.write(name, text);
    std::fs::set_permissions(bench.path(name), std::fs::Permissions::from_mode(0o755)).expect("set");
}

/// `rotator` with all these variables and nothing of the store and the journal in its environment.
fn command(bench: &Bench, path: &str, args: &[&str]) -> Command {
    let mut command = bench.command(args);
    command.env_remove("ROTATOR_STORE").env("PATH", path);
    command.env("ROTATOR_CONFIG", bench.path("rotator.toml"));
    command.envs(PASSED).envs(PASSED_TO_SOPS).envs(NOT_PASSED);
    command
}

/// The names in an environment that a program kept.
fn names(bench: &Bench, file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(bench.path(file)).expect("the program was started");
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect()
}

fn expected(more: &[&str]) -> BTreeSet<String> {
    let every = PASSED.iter().map(|(name, _)| *name).chain(["PATH", "HOME", "XDG_STATE_HOME"]);
    every.chain(more.iter().copied()).map(str::to_owned).collect()
}

#[test]
fn a_program_is_given_the_listed_variables_and_those_that_its_table_names() {
    let bench = Bench::new();
    executable(&bench, "tool", PROGRAM);
    let path = std::env::var("PATH").expect("there");
    let run = |text: &str| {
        bench.write("rotator.toml", text);
        Ended::from(command(&bench, &path, &["doctor"]).output().expect("it starts")).code(0)
    };
    let sink = "[[sink]]\nname = \"actions\"\nuri = \"exec:./tool of-sink\"\nfollows = \"**\"\n";
    run(&format!("[[store]]\nuri = \"exec:./tool of-store\"\n{sink}"));
    assert_eq!(names(&bench, "of-store"), expected(&[]));
    assert_eq!(names(&bench, "of-sink"), expected(&[]));

    let env = "env = [\"DOPPLER_TOKEN\", \"UNSET\"]\n";
    run(&format!("[[store]]\nuri = \"exec:./tool of-store\"\n{env}{sink}env = \"GH_TOKEN\"\n"));
    assert_eq!(names(&bench, "of-store"), expected(&["DOPPLER_TOKEN"]));
    assert_eq!(names(&bench, "of-sink"), expected(&["GH_TOKEN"]));
}

/// A sops file names the servers that are asked to decrypt it, so that rotator's token for Vault is not for it.
#[test]
fn sops_is_given_the_variables_of_clouds_and_no_token_of_vaults() {
    let (bench, sops) = (Bench::new(), Sops::new());
    let given = bench.path("of-sops").display().to_string();
    sops.hindered(&format!("tr '\\0' '\\n' </proc/$$/environ >'{given}'.\"$1\""));
    let encrypted = sops.encrypt("a.json", b"{\"a\": \"1\"}", &[]);
    std::fs::write(bench.path("live.json"), encrypted).expect("written");
    let path = format!("{}:{}", sops.bin().display(), std::env::var("PATH").expect("there"));
    let run = |more: &str| {
        bench.write("rotator.toml", &format!("[[store]]\nuri = \"sops:live.json\"\n{more}"));
        Ended::from(command(&bench, &path, &["plan"]).output().expect("it starts")).code(0)
    };
    let of_aws = ["AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let of_sops: Vec<&str> = PASSED_TO_SOPS.iter().map(|(name, _)| *name).chain(of_aws).collect();
    run("");
    // The first question, for its version, needs none of them.
    assert_eq!(names(&bench, "of-sops.--disable-version-check"), expected(&[]));
    assert_eq!(names(&bench, "of-sops.--config"), expected(&of_sops));
    run("env = [\"VAULT_ADDR\", \"VAULT_TOKEN\"]\n");
    assert_eq!(names(&bench, "of-sops.--config"), expected(&[&of_sops[..], &["VAULT_ADDR", "VAULT_TOKEN"]].concat()));
}

/// A plugin logs in with the credentials of a cloud; tokens for other servers are not for it.
#[test]
fn a_credential_plugin_is_given_the_variables_of_clouds_and_those_that_its_table_names() {
    let bench = Bench::new();
    executable(&bench, "plugin", "#!/bin/sh\ntr '\\0' '\\n' </proc/$$/environ >\"$1\"\nexit 1\n");
    let (plugin, given) = (bench.path("plugin"), bench.path("of-plugin"));
    bench.write(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: 'http://127.0.0.1:9'}}\nusers:\n- name: u\n  user:\n    exec:\n      \
             apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n      command: {}\n      \
             args: [{}]\n      env:\n      - {{name: LD_LIBRARY_PATH, value: /opt}}\n",
            plugin.display(),
            given.display()
        ),
    );
    let run = |more: &str| {
        bench.write(
            "rotator.toml",
            &format!("[[store]]\nuri = \"kubernetes:shop\"\nkubeconfig = \"kubeconfig\"\n{more}"),
        );
        let path = std::env::var("PATH").expect("there");
        let ended = Ended::from(command(&bench, &path, &["doctor"]).output().expect("it starts"));
        assert_ne!(ended.code, 0, "the plugin fails");
        names(&bench, "of-plugin")
    };
    let given = run("");
    for name in
        ["AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_ID", "LD_LIBRARY_PATH", "HOME"]
    {
        assert!(given.contains(name), "{name} is missing: {given:?}");
    }
    for name in ["VAULT_TOKEN", "VAULT_ADDR", "BAO_TOKEN", "GH_TOKEN", "DOPPLER_TOKEN", "ROTATOR_LOG", "SOPS_GPG_EXEC"]
    {
        assert!(!given.contains(name), "{name} is given: {given:?}");
    }
    let given = run("env = [\"GH_TOKEN\"]\n");
    assert!(given.contains("GH_TOKEN") && !given.contains("VAULT_TOKEN"), "{given:?}");
}

#[test]
fn only_what_starts_a_program_names_variables() {
    let bench = Bench::new();
    for (text, words) in [
        (
            "[[store]]\nuri = \"file:x\"\nenv = [\"GH_TOKEN\"]\n",
            "only an exec:, sops: or kubernetes: store starts a program",
        ),
        ("[[store]]\nuri = \"exec:true\"\nenv = [\"GH_TOKEN=x\"]\n", "write the names of environment variables"),
        ("[[store]]\nuri = \"exec:true\"\nenv = [\"\"]\n", "write the names of environment variables"),
        ("[[sink]]\nuri = \"exec:true\"\nfollows = \"**\"\nenv = [\"VAULT_*\"]\n", "write the names of environment"),
    ] {
        bench.write("rotator.toml", text);
        let ended: Ended = bench.command(&["plan"]).env_remove("ROTATOR_STORE").output().expect("it starts").into();
        ended.code(2).says(words);
    }
}

/// In the folder of the configuration, not in the one that rotator is started in.
#[test]
fn a_program_of_the_file_is_found_beside_the_file() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("conf")).expect("made");
    executable(&bench, "conf/tool", PROGRAM);
    executable(&bench, "tool", "#!/bin/sh\necho >foreign\n");
    bench.write("script", "echo >foreign\n");
    bench.write("conf/script", PROGRAM);
    let sink = "[[sink]]\nname = \"actions\"\nuri = \"exec:sh script of-sink\"\nfollows = \"**\"\n";
    bench.write("conf/rotator.toml", &format!("[[store]]\nuri = \"exec:./tool of-store\"\n{sink}"));
    let mut command = bench.command(&["doctor", "--config", "conf/rotator.toml"]);
    let path = std::env::var("PATH").expect("there");
    let ended: Ended = command.env_remove("ROTATOR_STORE").env("PATH", path).output().expect("it starts").into();
    assert!(!bench.path("foreign").exists(), "a program of the working directory ran: {}", ended.stderr);
    assert!(bench.path("conf/of-store").exists() && bench.path("conf/of-sink").exists(), "{}", ended.stderr);
    ended.code(0);

    // A program of a flag belongs to the working directory.
    let flags = ["--store", "exec:./tool", "plan"];
    let ended: Ended = bench.command(&flags).output().expect("it starts").into();
    assert!(bench.path("foreign").exists(), "{}", ended.stderr);
}
