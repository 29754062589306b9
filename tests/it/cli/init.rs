//! `rotator init`: what it looks for, what it writes, and what it leaves alone.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::bench::{Bench, Ended};

/// Without the store that the bench names.
fn init(bench: &Bench, variables: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = bench.command(args);
    command.env_remove("ROTATOR_STORE").envs(variables.iter().copied());
    let ended: Ended = command.output().expect("it starts").into();
    let is_shown = args.contains(&"init") && ended.code == 0;
    for line in ended.stderr.lines().filter(|_| is_shown) {
        assert!(line.chars().count() <= 80, "wider than a terminal: {line}");
    }
    ended
}

/// A user of IAM with a key: its id and its secret.
fn key(bench: &Bench, user: &str) -> (String, String) {
    bench.sandbox.add_user(user).expect("a user");
    let key = bench.sandbox.create_key(user).expect("a key");
    (key.id.to_string(), key.secret.expose().to_owned())
}

fn dotenv((id, secret): &(String, String)) -> String {
    format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n")
}

fn yaml((id, secret): &(String, String)) -> String {
    format!("aws:\n  access_key_id: {id}\n  secret_access_key: {secret}\n")
}

fn file(bench: &Bench, name: &str) -> String {
    std::fs::read_to_string(bench.path(name)).expect("it was written")
}

/// The stores of the file, without its comments.
fn stores(bench: &Bench, name: &str) -> Vec<String> {
    let table: toml::Table = file(bench, name).parse().expect("valid");
    match table.get("store") {
        Some(toml::Value::Array(stores)) => {
            stores.iter().map(|store| store.as_str().expect("a URI").to_owned()).collect()
        }
        Some(store) => vec![store.as_str().expect("a URI").to_owned()],
        None => Vec::new(),
    }
}

/// An embedded store in the default place of root may be in use on this machine.
fn without_roots_own(mut stores: Vec<String>) -> Vec<String> {
    stores.retain(|store| !store.starts_with("sqlite:/var/lib/"));
    stores
}

#[test]
fn init_finds_what_is_there_and_plan_reads_what_it_wrote() {
    let bench = Bench::new();
    let keys: Vec<_> = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"].map(|user| key(&bench, user)).into();
    for folder in [".aws", "config/mailer", "web/node_modules/x", "web/conf", ".hidden"] {
        std::fs::create_dir_all(bench.path(folder)).expect("made");
    }
    bench.write(".env", &dotenv(&keys[0]));
    bench.write(".env.example", "AWS_ACCESS_KEY_ID=\n");
    let section = |name: &str, (id, secret): &(String, String)| {
        format!("[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    bench.write(".aws/credentials", &(section("default", &keys[1]) + &section("deploy", &keys[2])));
    bench.write(".aws/config", "[default]\nregion = eu-west-1\n[profile sso]\nsso_session = corp\n[sso-session corp]\nsso_start_url = https://x\n");
    bench.write("config/mailer/app.yaml", &yaml(&keys[3]));
    bench.write("config/other.json", "{}");
    bench.write("docker-compose.yml", &yaml(&keys[6]));
    bench.write("package.json", "{}");
    bench.write("web/conf/live.yml", &yaml(&keys[4]));
    bench.write("web/node_modules/x/test.yml", &yaml(&keys[5]));
    bench.write(".hidden/app.yaml", &yaml(&keys[5]));
    let variables = [("VAULT_ADDR", "https://vault.example"), ("KUBECONFIG", "/kube")];
    let ended = init(&bench, &variables, &["init"]).code(0);
    for line in [
        "found   .env                 1 key\n",
        "read    .env.example         has no AWS key\n",
        "found   docker-compose.yml   1 key\n",
        "found   ~/.aws/credentials   2 keys ([default], [deploy]), 1 SSO profile\n",
        "found   config/              1 key in 1 of 2 files\n",
        "found   web/                 1 key in 1 of 1 file\n",
        "found   KUBECONFIG           not asked",
        "found   VAULT_ADDR           not asked",
        "wrote   rotator.toml: these ",
        "1 h overlap",
        "7 d quarantine",
        "trusted as it is now; that is recorded in",
        "/rotator/allowed\n",
        "next    rotator doctor ",
        "then    rotator plan ",
    ] {
        assert!(ended.stderr.contains(line), "no {line:?} in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("package.json"), "a file without keys is shown:\n{}", ended.stderr);
    let wanted =
        ["file:.env", "file:docker-compose.yml", "file:~/.aws/credentials", "file:config", "file:web/conf/live.yml"];
    assert_eq!(without_roots_own(stores(&bench, "rotator.toml")), wanted);
    let text = file(&bench, "rotator.toml");
    for line in [
        "\nfrom = \"aws\"\n",
        "    # \"vault:MOUNT\",\n",
        "    # \"kubernetes:NAMESPACE\",\n",
        "    # \"aws-ssm:/\",\n",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
    for (id, secret) in &keys {
        for shown in [&ended.stderr, &ended.stdout, &text] {
            assert!(!shown.contains(secret.as_str()) && !shown.contains(id.as_str()), "a key is shown: {shown}");
        }
    }
    assert!(!bench.path(".local").exists() && !bench.path("store.db").exists(), "no store is made");
    // A file that two rules find is one store.
    init(&bench, &[("AWS_SHARED_CREDENTIALS_FILE", ".env")], &["init", "other.toml"]).code(0);
    let wanted = ["file:.env", "file:docker-compose.yml", "file:config", "file:web/conf/live.yml"];
    assert_eq!(without_roots_own(stores(&bench, "other.toml")), wanted);
    init(&bench, &[], &["-v", "status"]).code(0).says("`rotator allow` has recorded it as it is");
    // The keys are new.
    let mut plan = bench.command(&["plan", "--older-than", "0s"]);
    let plan: Ended = plan.env_remove("ROTATOR_STORE").output().expect("it starts").into();
    let plan = plan.code(0);
    for (user, is_found) in [
        ("alice", true),
        ("bob", true),
        ("carol", true),
        ("dave", true),
        ("erin", true),
        ("frank", false),
        ("grace", true),
    ] {
        assert_eq!(plan.stdout.contains(user), is_found, "{user}: {}", plan.stdout);
    }
}

#[test]
fn init_without_any_key_writes_a_file_without_a_store_and_makes_none() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("config")).expect("made");
    bench.write("config/app.yaml", "a: b\n");
    symlink("nowhere", bench.path(".env")).expect("linked");
    let ended = init(&bench, &[], &["init"]).code(0).says("found   .env   a link, left out");
    if stores(&bench, "rotator.toml").is_empty() {
        let ended = ended.says("found   no AWS key in .env* here").says("wrote   rotator.toml: no store yet");
        ended.says("rotator store import FILE");
    }
    assert_eq!(without_roots_own(stores(&bench, "rotator.toml")), Vec::<String>::new());
    assert!(file(&bench, "rotator.toml").contains("\n# store = \"aws-ssm:/\"\n"), "examples in comments");
    for store in [".local", "store.db", "secrets.db"] {
        assert!(!bench.path(store).exists(), "{store} is made");
    }
}

#[test]
fn init_takes_the_stores_that_are_named_and_makes_the_embedded_ones() {
    let bench = Bench::new();
    bench.write(".env", &dotenv(&key(&bench, "alice")));
    let named = ["--store", "sqlite:own.db", "--store", "aws-ssm:/shop", "init"];
    let ended = init(&bench, &[], &named).code(0).says("named   sqlite:own.db   by --store");
    let ended = ended.says("made    sqlite:own.db\n        and, beside it, the key that seals it: back up both\n");
    assert!(!ended.stderr.contains(".env"), "it does not look: {}", ended.stderr);
    assert_eq!(stores(&bench, "rotator.toml"), ["sqlite:own.db", "aws-ssm:/shop"]);
    assert!(bench.path("own.db").exists(), "the named one is made");
    // In another folder a relative path would mean another file, and the file has to be named.
    std::fs::create_dir(bench.path("etc")).expect("made");
    let ended = init(&bench, &[("ROTATOR_STORE", "file:.env")], &["init", "etc/r.toml"]).code(0);
    let ended = ended.says("named   file:/").says("next    rotator doctor --config etc/r.toml");
    ended.says("this store");
    assert_eq!(
        stores(&bench, "etc/r.toml"),
        [format!("file:{}", bench.path(".env").canonicalize().expect("there").display())]
    );
    let ended = init(&bench, &[], &["--store", "exec:./tool", "init", "etc/s.toml"]).code(2);
    ended.says("in the folder of the file");
}

#[test]
fn init_fails_before_it_writes_or_not_at_all() {
    let bench = Bench::new();
    bench.write("rotator.toml", "[policy]\noverlap = \"1h\"\n");
    let named = ["--store", "sqlite:own.db"];
    init(&bench, &[], &[&named[..], &["init"]].concat()).code(2).says("overwrites nothing");
    assert_eq!(file(&bench, "rotator.toml"), "[policy]\noverlap = \"1h\"\n");
    init(&bench, &[], &[&named[..], &["init", "nowhere/r.toml"]].concat()).code(1).says("cannot be written");
    for wrong in ["nonsense", "vault:"] {
        init(&bench, &[], &["--store", wrong, "init", "other.toml"]).code(2);
    }
    bench.write("own.db", "no database");
    init(&bench, &[], &[&named[..], &["init", "other.toml"]].concat()).code(1);
    assert!(!bench.path("other.toml").exists() && !bench.path("store.db").exists(), "nothing is written");
}

#[test]
fn init_leaves_the_owners_to_a_variable_that_names_them() {
    let bench = Bench::new();
    let variables = [("ROTATOR_OWNER_TEMPLATE", "{app}")];
    init(&bench, &variables, &["init"]).code(0).says("owners by name");
    assert!(file(&bench, "rotator.toml").contains("\n# from = \"aws\"\n"));
    init(&bench, &variables, &["--store", "sqlite:s.db", "store", "import", "nowhere"]).code(2);
}

#[test]
fn init_says_what_it_cannot_read_and_what_sops_has_encrypted() {
    let bench = Bench::new();
    let sealed = "key: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops:\n  version: 3.11.0\n";
    std::fs::create_dir(bench.path("secrets")).expect("made");
    bench.write("secrets/live.yaml", sealed);
    bench.write(".env", &dotenv(&key(&bench, "alice")));
    bench.write(".env.large", &"x".repeat(17 * 1024 * 1024));
    std::fs::create_dir_all(bench.path("a/b/c/d/e/f/g/h")).expect("made");
    std::fs::set_permissions(bench.path(".env"), std::fs::Permissions::from_mode(0o600)).expect("set");
    let ended = init(&bench, &[], &["init"]).code(0).says("secrets/     no plain key in 1 file, 1 encrypted with sops");
    let ended = ended.says(".env.large   cannot be read").says("a/           not searched: more than 6 folders deep");
    ended.says("found   .env         1 key");
    assert!(file(&bench, "rotator.toml").contains("    # \"sops:secrets\",\n"));
}
