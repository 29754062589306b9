//! Layers, origins, suggestions: what the configuration makes of what it is given.

mod messages;
mod rules;

use std::path::Path;
use std::time::Duration;

use clap::Parser;

use super::*;
use crate::cli::args::{Cli, Command};
use crate::rotation::policy::{SpareKey, StillInUse, Unclaimed};

fn host_of(folder: &Path, variables: &[(&str, &str)]) -> HostEnv {
    let mut all = vec![("HOME".to_owned(), folder.join("home").display().to_string())];
    all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    HostEnv { variables: all, folder: folder.to_owned(), system: folder.join("etc"), ..HostEnv::default() }
}

/// The configuration of `rotator run FLAGS…` in a folder whose rotator.toml holds `file`.
fn load(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, CliError> {
    let folder = tempfile::tempdir().expect("a folder");
    if !file.is_empty() {
        std::fs::write(folder.path().join(FILE_NAME), file).expect("written");
    }
    let mut cli = Cli::try_parse_from([&["rotator", "run"], flags].concat()).expect("valid flags");
    if !file.is_empty() {
        // A file that runs a program, or reads elsewhere, has to be named.
        cli.global.config = Some(folder.path().join(FILE_NAME));
    }
    let Command::Run(args) = cli.command else { unreachable!("it is run") };
    Config::load(&cli.global, &args.choice, &host_of(folder.path(), variables))
}

fn error(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let error = load(file, variables, flags).expect_err("an error");
    assert_eq!(error.exit.code(), 2, "{error}");
    error.to_string()
}

fn embedded(config: &Config) -> &Path {
    config.embedded().expect("an embedded store").1
}

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn without_anything_the_defaults_hold() {
    let config = load("", &[], &[]).expect("valid");
    assert_eq!(config.policy, Policy::default());
    assert_eq!(config.owner, Owner::default());
    assert_eq!((config.older_than, config.concurrency, config.rate), (Duration::ZERO, 16, None));
    assert_eq!(config.call_timeout, S(10));
    assert!(config.file.is_none() && config.deletes_at_once());
    assert!(config.journal.ends_with("home/.local/state/rotator/journal.db"), "{:?}", config.journal);
    assert!(embedded(&config).ends_with("home/.local/share/rotator/store.db"), "{:?}", config.stores);
}

#[test]
fn files_are_in_the_xdg_folders_and_for_root_in_var_lib() {
    let folder = Path::new("/nowhere");
    let variables = [("XDG_STATE_HOME", "/state"), ("XDG_DATA_HOME", "relative"), ("HOME", "/home/me")];
    let mut host = host_of(folder, &variables);
    host.variables.remove(0);
    assert_eq!(host.default_journal().expect("a path"), Path::new("/state/rotator/journal.db"));
    // A relative XDG folder is to be ignored.
    assert_eq!(host.default_store().expect("a path"), Path::new("/home/me/.local/share/rotator/store.db"));
    host.root = true;
    assert_eq!(host.default_journal().expect("a path"), Path::new("/var/lib/rotator/journal.db"));
    assert_eq!(host.default_store().expect("a path"), Path::new("/var/lib/rotator/store.db"));
    let nowhere = HostEnv { variables: Vec::new(), root: false, ..host };
    assert_eq!(nowhere.default_journal().expect_err("no HOME").exit.code(), 2);
}

#[test]
fn flags_stand_above_the_environment_and_that_above_the_file() {
    let file = "[policy]\nsettle = \"1s\"\noverlap = \"1h\"\nquarantine = \"2d\"\nconfirmations = 7\n";
    let variables = [("ROTATOR_POLICY_OVERLAP", "2h"), ("ROTATOR_POLICY_QUARANTINE", "3d")];
    let config = load(file, &variables, &["--quarantine", "0"]).expect("valid");
    assert_eq!((config.policy.settle, config.policy.overlap, config.policy.quarantine), (S(1), S(7200), S(0)));
    assert_eq!(config.policy.confirmations, 7);
    assert!(config.file.is_some() && !config.deletes_at_once());
}

/// Each key of the file, with another value than its default.
const EVERY_KEY: &str = r#"
store = "sqlite:s.db"
journal = "j.db"
[policy]
only = ["shop/*", "alice"]
exclude = "shop/legacy"
limit = 20
older_than = "80d"
unused_for = "45d"
overlap = "1h"
quarantine = "7d"
settle = "2m"
unclaimed_after = "1h"
confirmations = 5
proof_span = "20s"
proof_timeout = "5m"
spare_key = "delete-inactive"
unclaimed = "report"
unread_ok = ["legacy/*", "a/b/c"]
still_in_use = "ignore"
still_in_use_for = "3d"
scan_interval = "5m"
concurrency = 3
rate = 2.5
[owner]
template = "svc-{app}"
[owner.table]
"shop/production" = "till"
[aws]
call_timeout = "3s"
"#;

#[test]
fn every_key_can_be_set_in_the_file_and_in_the_environment() {
    let of_file = load(EVERY_KEY, &[], &[]).expect("valid");
    let variables = [
        ("ROTATOR_STORE", "sqlite:s.db"),
        ("ROTATOR_JOURNAL", "j.db"),
        ("ROTATOR_POLICY_ONLY", "shop/*, alice"),
        ("ROTATOR_POLICY_EXCLUDE", "shop/legacy"),
        ("ROTATOR_POLICY_LIMIT", "20"),
        ("ROTATOR_POLICY_OLDER_THAN", "80d"),
        ("ROTATOR_POLICY_UNUSED_FOR", "45d"),
        ("ROTATOR_POLICY_OVERLAP", "1h"),
        ("ROTATOR_POLICY_QUARANTINE", "7d"),
        ("ROTATOR_POLICY_SETTLE", "2m"),
        ("ROTATOR_POLICY_UNCLAIMED_AFTER", "1h"),
        ("ROTATOR_POLICY_CONFIRMATIONS", "5"),
        ("ROTATOR_POLICY_PROOF_SPAN", "20s"),
        ("ROTATOR_POLICY_PROOF_TIMEOUT", "5m"),
        ("ROTATOR_POLICY_SPARE_KEY", "delete-inactive"),
        ("ROTATOR_POLICY_UNCLAIMED", "report"),
        ("ROTATOR_POLICY_UNREAD_OK", "legacy/*, a/b/c"),
        ("ROTATOR_POLICY_STILL_IN_USE", "ignore"),
        ("ROTATOR_POLICY_STILL_IN_USE_FOR", "3d"),
        ("ROTATOR_POLICY_SCAN_INTERVAL", "5m"),
        ("ROTATOR_POLICY_CONCURRENCY", "3"),
        ("ROTATOR_POLICY_RATE", "2.5"),
        ("ROTATOR_OWNER_TEMPLATE", "svc-{app}"),
        ("ROTATOR_OWNER_TABLE", "shop/production=till"),
        ("ROTATOR_AWS_CALL_TIMEOUT", "3s"),
        ("ROTATOR_STORE_KEY", "not a setting"),
        ("ROTATOR_TEST_MOTO", "not a setting"),
    ];
    let of_environment = load("", &variables, &[]).expect("valid");
    for config in [of_file, of_environment] {
        assert!(embedded(&config).ends_with("s.db") && embedded(&config).is_absolute(), "{:?}", config.stores);
        assert!(config.journal.ends_with("j.db") && config.journal.is_absolute(), "{:?}", config.journal);
        assert_eq!(config.older_than, S(80 * 24 * 3600));
        assert_eq!(config.unused_for, Some(S(45 * 24 * 3600)));
        assert_eq!(config.only.as_ref().expect("given").texts(), ["shop/*", "alice"]);
        assert_eq!((config.exclude.texts(), config.limit), (&["shop/legacy".to_owned()][..], Some(20)));
        let policy = Policy {
            overlap: S(3600),
            quarantine: S(7 * 24 * 3600),
            settle: S(120),
            unclaimed_after: S(3600),
            confirmations: 5,
            proof_span: S(20),
            proof_timeout: S(300),
            spare_key: SpareKey::DeleteInactive,
            unclaimed: Unclaimed::Report,
            still_in_use: StillInUse::Ignore,
            still_in_use_for: S(3 * 24 * 3600),
        };
        assert_eq!(config.policy, policy);
        assert!(config.unread_ok.is_match("legacy/x/y") && config.unread_ok.is_match("a/b/c"));
        assert!(!config.unread_ok.is_match("a/b/d"));
        assert_eq!((config.concurrency, config.rate, config.call_timeout), (3, Some(2.5), S(3)));
        assert_eq!(config.scan_interval, S(300));
        let table = [("shop/production".to_owned(), "till".to_owned())].into();
        assert_eq!(config.owner, Owner::Table(table, "svc-{app}".to_owned()));
    }
}

#[test]
fn a_flag_replaces_the_chosen_keys_of_the_environment_and_that_those_of_the_file() {
    let file = "[policy]\nonly = [\"a/*\", \"b/*\"]\nexclude = \"b/x\"\nlimit = 3";
    let variables = [("ROTATOR_POLICY_EXCLUDE", "d/*"), ("ROTATOR_POLICY_LIMIT", "2")];
    let config = load(file, &variables, &["--only", "c/*", "--limit", "1"]).expect("valid");
    assert_eq!((config.only.expect("given").texts(), config.limit), (&["c/*".to_owned()][..], Some(1)));
    assert_eq!(config.exclude.texts(), ["d/*"]);
    let config = load(file, &variables, &[]).expect("valid");
    assert_eq!((config.only.expect("given").origin(), config.limit), ("[policy] only", Some(2)));
    assert!(error("[policy]\nonly = \"[\"", &[], &[]).contains("[policy] only from /"));
    assert!(error("", &[], &["--only", "["]).contains("--only: `[`"));
    assert!(error("", &[], &["--limit", "some"]).contains("--limit"));
}

#[test]
fn unused_for_is_a_day_at_least_or_never() {
    let of = |file: &str, flags: &[&str]| load(file, &[], flags).expect("valid").unused_for;
    assert_eq!((of("", &[]), of("[policy]\nunused_for = \"1d\"", &[])), (None, Some(S(86_400))));
    assert_eq!(of("[policy]\nunused_for = \"45d\"", &["--unused-for", "never"]), None);
    for text in ["23h", "0s", "off"] {
        assert!(error("", &[], &["--unused-for", text]).contains("such as 45d, or never"), "{text}");
    }
}

#[test]
fn an_old_key_in_use_is_waited_for_only_where_there_is_an_overlap() {
    assert_eq!(load("", &[], &[]).expect("valid").policy.still_in_use, StillInUse::Ignore);
    assert_eq!(load("", &[], &["--overlap", "1h"]).expect("valid").policy.still_in_use, StillInUse::Wait);
}

#[test]
fn aws_can_say_whose_a_key_is_and_then_nothing_else_does() {
    assert_eq!(load("[owner]\nfrom = \"aws\"", &[], &[]).expect("valid").owner, Owner::Aws);
    assert_eq!(load("[owner]\nfrom = \"literal\"", &[], &[]).expect("valid").owner, Owner::default());
    assert!(error("[owner]\nfrom = \"aws\"", &[], &["--owner-template", "{app}"]).contains("cannot be combined with"));
}

#[test]
fn what_is_not_known_is_refused_with_the_likely_name() {
    for (file, variables, wrong, likely) in [
        ("[policy]\nolder_then = \"1d\"", None, "[policy] older_then", "`[policy] older_than`"),
        ("[polcy]\noverlap = \"1d\"", None, "polcy", "`[policy]`"),
        ("stor = \"sqlite:x\"", None, "stor", "`store`"),
        ("", Some(("ROTATOR_POLICY_PROOFSPAN", "0s")), "ROTATOR_POLICY_PROOFSPAN", "`ROTATOR_POLICY_PROOF_SPAN`"),
        ("", Some(("ROTATOR_SETTLE", "0s")), "ROTATOR_SETTLE", "`ROTATOR_POLICY_SETTLE`"),
        ("", Some(("ROTATOR_STORE_KEYS", "x")), "ROTATOR_STORE_KEYS", "`ROTATOR_STORE_KEY`"),
    ] {
        let said = error(file, variables.as_slice(), &[]);
        assert!(said.contains(wrong) && said.contains(likely), "{said}");
    }
    let said = error("[policy]\nzzz = 1", &[], &[]);
    assert!(said.contains("zzz") && !said.contains("did you mean"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_origin() {
    for (file, variables, flags, words) in [
        ("[policy]\nsettle = \"soon\"", None, vec![], "rotator.toml"),
        ("[policy]\nconfirmations = 0", None, vec![], "confirmations"),
        ("[policy]\nconfirmations = true", None, vec![], "wrong form"),
        ("[policy]\nunread_ok = [1]", None, vec![], "unread_ok"),
        ("[policy]\nunread_ok = [\"[\"]", None, vec![], "pattern"),
        ("[policy]\nspare_key = \"delete\"", None, vec![], "delete-inactive"),
        ("[policy]\nrate = 0", None, vec![], "rate"),
        ("[policy]\nproof_span = \"2m\"", None, vec![], "proof_timeout"),
        ("[owner]\ntemplate = \"{env}\"", None, vec![], "{environment}"),
        ("[owner.table]\nshop = \"till\"", None, vec![], "app/environment"),
        ("[[store]]\nname = \"x\"", None, vec![], "no uri"),
        ("[[store]]\nuri = \"sqlite:x\"\nreadonly = true", None, vec![], "did you mean `read_only`"),
        ("[[store]]\nuri = \"file:x\"\nscope = \"shop\"", None, vec![], "<app>/<environment>"),
        ("[[store]]\nuri = \"sqlite:x\"\nscope = \"shop/live\"", None, vec![], "of its own"),
        ("[[store]]\nuri = \"file:x\"\n[[store]]\nuri = \"file:x\"", None, vec![], "twice"),
        ("[[store]]\nuri = \"file:x\"\ncontext = \"live\"", None, vec![], "only a kubernetes: store"),
        ("[[store]]\nuri = \"aws-ssm:/x\"\nregion = \"x.example/?\"", None, vec![], "such as eu-central-1"),
        ("[[account]]\nid = \"123456789012\"\nregion = \"x.example/?\"", None, vec![], "such as eu-central-1"),
        ("[[store]]\nuri = \"kubernetes:x\"\nauth = \"token\"", None, vec![], "only a vault: store"),
        ("store = [\"file:x\", 1]", None, vec![], "store"),
        ("store = ", None, vec![], "not valid TOML"),
        ("", Some(("ROTATOR_POLICY_CONCURRENCY", "many")), vec![], "ROTATOR_POLICY_CONCURRENCY"),
        ("", Some(("ROTATOR_AWS_CALL_TIMEOUT", "0s")), vec![], "ROTATOR_AWS_CALL_TIMEOUT"),
        ("", None, vec!["--overlap=-1h"], "--overlap"),
        ("", None, vec!["--store", "/x/store.db"], "did you mean `sqlite:/x/store.db`"),
        ("", None, vec!["--store", "floppy:x"], "sqlite:PATH"),
        ("", None, vec!["--store", "sqlite:"], "names no file"),
        ("", None, vec!["--store", "sqlite://host/x"], "names a host"),
        ("", None, vec!["--store", "kubernetes:live/shop"], "names no namespace"),
        ("", None, vec!["--config", "/nowhere/rotator.toml"], "/nowhere/rotator.toml"),
    ] {
        let said = error(file, variables.as_slice(), &flags);
        assert!(said.contains(words), "{file}{flags:?}: {said}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_not_quoted() {
    for line in
        ["secret = 'hunter2", "hunter2", "[hunter2", "a = 1\na = \"hunter2\"", "a = hunter2", "a = \"hunter2\\q\""]
    {
        let said = error(&format!("# a comment\n{line}\n"), &[], &[]);
        assert!(said.contains("at line") && !said.contains("hunter2"), "{line}: {said}");
    }
    assert!(error("\n\nstore = ", &[], &[]).contains("at line 3"));
}

#[test]
fn a_file_means_its_paths_from_its_own_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = folder.path().join("etc");
    std::fs::create_dir(&elsewhere).expect("made");
    std::fs::write(elsewhere.join("r.toml"), "journal = \"j.db\"\nstore = \"sqlite:s.db\"").expect("written");
    let host = host_of(folder.path(), &[]);
    let cli = Cli::try_parse_from(["rotator", "status", "--config", &elsewhere.join("r.toml").display().to_string()]);
    let config = Config::load(&cli.expect("valid").global, &ChoiceArgs::default(), &host).expect("valid");
    assert_eq!(config.journal, elsewhere.join("j.db"));
    assert_eq!(embedded(&config), elsewhere.join("s.db"));
}

#[test]
fn the_file_that_init_writes_is_valid_as_it_is_and_uncommented() {
    let template = include_str!("../commands/init/rotator.toml");
    let config = load(template, &[], &[]).expect("valid");
    assert_eq!(
        (config.older_than, config.policy.overlap, config.policy.quarantine),
        (S(80 * 86400), S(3600), S(7 * 86400))
    );
    assert_eq!(config.unused_for, Some(S(45 * 86400)));
    // Each setting in a comment is a real one, with its default where it says nothing else.
    let is_setting = |line: &&str| line.contains(" = ") || line.starts_with('[');
    let uncommented: String = template
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .filter(|line| !line.starts_with("from = "))
        .map(|line| format!("{line}\n"))
        .collect();
    let all = load(&uncommented, &[], &[]).expect("valid");
    let defaults = Policy { overlap: config.policy.overlap, quarantine: config.policy.quarantine, ..Policy::default() };
    assert_eq!(all.policy, Policy { still_in_use: StillInUse::Wait, ..defaults });
}

#[test]
fn there_may_be_several_stores_and_the_highest_layer_names_them_all() {
    let names = |config: Config| config.stores.iter().map(|store| store.uri.name.to_string()).collect::<Vec<_>>();
    let file = "[[store]]\nuri = \"sqlite:/a.db\"\n[[store]]\nuri = \"file:/b\"\nname = \"b\"\nscope = \"shop/live\"\n\
                exclude = [\"shop/live/x*\"]\nread_only = true";
    let config = load(file, &[], &[]).expect("valid");
    let second = &config.stores[1];
    assert!(second.table.read_only && second.exclude.is_match("shop/live/x1") && second.include.is_none());
    assert_eq!(second.naming.entry(".env").expect("a name").as_str(), "shop/live/.env");
    assert_eq!(names(config), ["sqlite:/a.db", "b"]);
    let list = load("store = [\"sqlite:/a.db\", \"file:/b\"]", &[], &[]).expect("valid");
    assert_eq!(names(list), ["sqlite:/a.db", "file:/b"]);
    let cluster = "[[store]]\nuri = \"kubernetes:shop\"\ncontext = \"live\"\nkubeconfig = \"/k\"\n[[store]]\nuri = \"kubernetes:\"";
    let cluster = load(cluster, &[], &[]).expect("valid");
    let table = StoreTable {
        uri: "kubernetes:shop".to_owned(),
        context: Some("live".to_owned()),
        kubeconfig: Some("/k".into()),
        ..StoreTable::default()
    };
    assert_eq!(cluster.stores[0].table, table);
    assert_eq!(names(cluster), ["kubernetes:shop", "kubernetes:"]);
    let variables = [("ROTATOR_STORE", "file:/c,d\nfile:/e")];
    assert_eq!(names(load(file, &variables, &[]).expect("valid")), ["file:/c,d", "file:/e"]);
    let flags = ["--store", "file:/f", "--store", "file:/g"];
    assert_eq!(names(load(file, &variables, &flags).expect("valid")), ["file:/f", "file:/g"]);
}

#[test]
fn trusted_groups_are_numbers_from_the_file_or_the_environment() {
    let groups = |config: Config| config.trusted_groups.into_iter().collect::<Vec<_>>();
    assert_eq!(groups(load("", &[], &[]).expect("valid")), [0_u32; 0]);
    assert_eq!(groups(load("trusted_groups = [2000, 7]", &[], &[]).expect("valid")), [7, 2000]);
    let above = [("ROTATOR_TRUSTED_GROUPS", "3000, 8")];
    assert_eq!(groups(load("trusted_groups = [2000]", &above, &[]).expect("valid")), [8, 3000]);
    for (file, variables) in [
        ("trusted_groups = [\"staff\"]", &[][..]),
        ("trusted_groups = [-1]", &[]),
        ("", &[("ROTATOR_TRUSTED_GROUPS", "staff")]),
    ] {
        let error = error(file, variables, &[]);
        assert!(error.contains("trusted_groups"), "{error}");
    }
}

/// Every key of a kind's table is a field of its type: what is not would be taken for a defect.
#[test]
fn the_tables_of_vault_and_kubernetes_take_every_key_of_their_own() {
    let file = "[[store]]\nuri = \"vault:kv\"\naddress = \"a\"\nnamespace = \"n\"\nauth = \"token\"\nauth_mount = \"m\"\n\
                role = \"r\"\ntoken_file = \"/t\"\nsecret_id_file = \"~/s\"\nca_file = \"c\"\n\
                [[store]]\nuri = \"kubernetes:\"\nkubeconfig = \"k\"\ncontext = \"c\"\nselector = \"a=b\"";
    let config = load(file, &[], &[]).expect("valid");
    let vault = &config.stores[0].table;
    assert_eq!((vault.address.as_deref(), vault.role.as_deref()), (Some("a"), Some("r")));
    assert_eq!(vault.token_file.as_deref(), Some(Path::new("/t")));
    assert!(vault.secret_id_file.as_deref().is_some_and(|file| file.ends_with("home/s")), "{vault:?}");
    assert!(vault.ca_file.as_deref().is_some_and(Path::is_absolute), "{vault:?}");
    let cluster = &config.stores[1].table;
    assert_eq!(cluster.selector.as_deref(), Some("a=b"));
    assert!(cluster.kubeconfig.as_deref().is_some_and(Path::is_absolute), "{cluster:?}");
    let error = error("[[store]]\nuri = \"file:/a\"\nselector = \"a=b\"", &[], &[]);
    assert!(error.contains("only a kubernetes: store has a use for it"), "{error}");
}
