//! What the configuration says about a mistake, in which layer it is found, and what does not count as one.

use std::path::Path;

use super::super::layers::{settings, variable};
use super::{Config, HostEnv, Layers, Owner, error, host_of, load};

/// The file has another value for each of these settings.
const REPLACED: &str = "trusted_groups = [2000]\n[policy]\nunread_ok = [\"a/*\"]\n[owner.table]\n\"a/b\" = \"till\"";

/// An empty variable is most likely a mistake: a safe value of the file must not be replaced by a default.
#[test]
fn an_empty_variable_is_refused_unless_the_setting_is_a_list() {
    for setting in settings() {
        let name = variable(setting);
        let loaded = load(REPLACED, &[(&name, "")], &[]);
        if let ("", "trusted_groups") | ("policy", "unread_ok") | ("owner", "table") = setting {
            let config = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
            let is_empty = match setting.1 {
                "trusted_groups" => config.trusted_groups.is_empty(),
                "unread_ok" => config.unread_ok.is_empty(),
                _ => matches!(&config.owner, Owner::Table(users, _) if users.is_empty()),
            };
            assert!(is_empty, "{name}: {config:?}");
        } else {
            let error = loaded.expect_err(&name).to_string();
            assert!(error.contains(&format!("({name}) cannot be \"\"")), "{error}");
        }
    }
    assert!(error("", &[("ROTATOR_POLICY_OVERLAPP", "")], &[]).contains("ROTATOR_POLICY_OVERLAPP"));
    // These variables are no settings.
    let others = [("ROTATOR_LOG", ""), ("ROTATOR_CONFIG", ""), ("ROTATOR_STORE_KEY", "")];
    load("", &others, &[]).expect("valid");
}

/// A text that may hold a secret is not quoted as a whole.
#[test]
fn a_message_has_no_value_of_a_variable_and_no_user_of_a_url() {
    for (file, shown) in [
        ("[[store]]\nuri = \"exec:x\"\nenv = [\"A=hunter2\"]", "\"A=…\""),
        ("[[sink]]\nuri = \"exec:x\"\nfollows = \"a\"\nenv = \"A=hunter2\"", "\"A=…\""),
        ("[[store]]\nuri = \"file:x\"\naddress = \"https://root:hunter2@vault\"", "\"https://vault/\""),
        ("[[store]]\nuri = \"https://root:hunter2@vault\"", "`https://vault/`"),
        ("store = \"https://root:hunter2@vault\"", "`https://vault/`"),
        ("[[sink]]\nuri = \"https://root:hunter2@forge\"\nfollows = \"a\"", "\"https://forge/\""),
        ("[[sink]]\nuri = \"exec:x\"\nfollows = \"a\"\nstore = \"https://hunter2@x\"", "\"https://x/\""),
        ("[[account]]\nid = \"111122223333\"\nstores = \"https://hunter2@x\"", "\"https://x/\""),
    ] {
        let error = error(file, &[], &[]);
        assert!(error.contains(shown) && !error.contains("hunter2"), "{file}: {error}");
    }
}

#[test]
fn a_path_below_a_home_folder_that_is_not_known_is_refused() {
    let folder = Path::new("/nowhere");
    // `HostEnv` has only the variables in UTF-8.
    let host = HostEnv { variables: Vec::new(), ..host_of(folder, &[]) };
    for file in [
        "store = \"file:~/x\"",
        "store = \"file:/x\"\njournal = \"~/j.db\"",
        "[[store]]\nuri = \"vault:x\"\nca_file = \"~/c\"",
    ] {
        let mut layers = Layers::default();
        layers.file(Path::new("/nowhere/rotator.toml"), &format!("{file}\n")).expect("read");
        layers.flag(("", "journal"), "--journal", (!file.contains("journal")).then_some("/j.db")).expect("read");
        let error = Config::of_layers(&layers, &host).expect_err("no HOME").to_string();
        assert!(error.contains("HOME is no absolute path in UTF-8"), "{file}: {error}");
    }
}

/// Each layer is checked as a whole, also where a higher layer has another value.
#[test]
fn a_value_that_a_higher_layer_replaces_is_checked_too() {
    assert!(error("[policy]\nsettle = \"soon\"", &[], &["--settle", "1s"]).contains("rotator.toml"));
    assert!(error("[[store]]\nuri = \"file:x\"\nenf = []", &[], &["--store", "file:y"]).contains("`enf`"));
}

/// A file, what is said about it, and how the hint begins.
const MESSAGES: [(&str, &str, &str); 26] = [
    (
        "[policy]\nsettle = \"soon\"",
        "[policy] settle from F cannot be \"soon\"",
        "write a time such as 0s, 90s, 1h or 80d",
    ),
    (
        "[policy]\nsettle = true",
        "`[policy] settle` in F has the wrong form",
        "write one value, in quotes where it is text",
    ),
    (
        "[policy]\nconfirmations = 0",
        "[policy] confirmations from F cannot be \"0\"",
        "write a whole number from 1 to 100",
    ),
    ("[policy]\nunclaimed = \"x\"", "[policy] unclaimed from F cannot be \"x\"", "write \"reclaim\" or \"report\""),
    ("[policy]\nunread_ok = [1]", "`[policy] unread_ok` in F has the wrong form", "write a list of texts in quotes"),
    (
        "[policy]\nolder_then = 1",
        "F has `[policy] older_then`, which rotator does not know",
        "did you mean `[policy] older_than`? Otherwise remove it",
    ),
    ("policy = 1", "`policy` in F has the wrong form", "write a [policy] table"),
    ("policy = [\"1d\"]", "`policy` in F has the wrong form", "write a [policy] table"),
    ("[[policy]]\noverlap = \"1d\"", "`policy` in F has the wrong form", "write a [policy] table"),
    ("account = [[\"123456789012\"]]", "`account` in F has the wrong form", "write [[account]] tables"),
    ("account = 1", "`account` in F has the wrong form", "write [[account]] tables"),
    ("journal = \"\"", "journal from F cannot be \"\"", "name a file"),
    ("store = [\"file:x\", 1]", "`store` in F has the wrong form", "write [[store]] tables, or one list of URIs"),
    (
        "[[store]]\nuri = \"vault:x\"\nauth = \"x\"",
        "auth of [[store]] in F cannot be \"x\"",
        "write \"token\", \"approle\" or \"kubernetes\"",
    ),
    (
        "[[store]]\nuri = \"file:x\"\nread_only = 1",
        "read_only of [[store]] in F cannot be \"1\"",
        "write true or false",
    ),
    (
        "[[store]]\nuri = \"file:x\"\nallow_insecure_tls = false",
        "allow_insecure_tls of [[store]] in F cannot be \"false\"",
        "only a kubernetes: store has a use for it",
    ),
    (
        "[[store]]\nuri = \"file:x\"\nname = []",
        "`name of [[store]]` in F has the wrong form",
        "write one value, in quotes where it is text",
    ),
    (
        "[[store]]\nuri = \"exec:x\"\nenv = [\"A=1\"]",
        "env of [[store]] in F cannot be \"A=…\"",
        "write the names of environment variables, such as [\"GH_TOKEN\"]",
    ),
    (
        "store = \"redis:x\"",
        "the store `redis:x` has a form that rotator does not know (from F)",
        "this version of rotator knows sqlite:PATH",
    ),
    (
        "[[store]]\nuri = \"file:x\"\ninclude = [\"a[\"]",
        "include of [[store]] in F: `a[` is not a valid pattern: unclosed character class; missing ']'",
        "write for example 'app1/*'",
    ),
    (
        "[policy]\nunread_ok = [\"a[\"]",
        "[policy] unread_ok from F: `a[` is not a valid pattern: unclosed character class; missing ']'",
        "write for example 'app1/*'",
    ),
    ("[[store]]\nname = \"x\"", "a [[store]] in F has no uri", "write uri = \"…\" with one of sqlite:PATH"),
    (
        "[[sink]]\nuri = \"exec:x\"",
        "a [[sink]] in F has no follows",
        "write follows = [\"<app>/<environment>/<secret-name>\"]",
    ),
    (
        "[[sink]]\nuri = \"exec:x\"\nfolows = []",
        "[[sink]] in F has `folows`, which rotator does not know",
        "did you mean `follows`? Otherwise remove it",
    ),
    (
        "trusted_groups = [\"staff\"]",
        "trusted_groups from F cannot be \"staff\"",
        "write the numbers of groups, such as [2000]",
    ),
    (
        "[owner.table]\nshop = \"till\"",
        "[owner] table from F cannot be \"shop=till\"",
        "write lines \"app/environment\" = \"user\"",
    ),
];

/// The messages for each kind of mistake, word for word.
#[test]
fn a_message_names_the_key_the_file_and_what_to_write() {
    for (file, message, hint) in MESSAGES {
        let said = Layers::default().file(Path::new("F"), file).err().map(|error| (error.message, error.hint));
        let said = said.or_else(|| {
            let mut layers = Layers::default();
            layers.file(Path::new("F"), file).expect("read");
            Config::of_layers(&layers, &host_of(Path::new("/x"), &[])).err().map(|error| (error.message, error.hint))
        });
        let (found, found_hint) = said.unwrap_or_else(|| panic!("{file} is read"));
        assert_eq!(found, message, "{file}");
        assert!(found_hint.starts_with(hint), "{file}: {found_hint}");
    }
}
