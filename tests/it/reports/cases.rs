//! `cases/*.toml`: shapes from public reports and from the documentation of other programs, each played by the real
//! binary to its end. A file says where its shape is from, what is stored, which commands are run, and what an operator
//! expects of them. In the texts `‹id›` and `‹secret›` are the pair of one user, `‹secret%›` is the secret encoded for a
//! URL, `‹id~›` is the id without its first letter, and `‹id2›` and `‹secret2›` are the pair of another user.

mod checks;
mod rig;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use checks::Check;
use rig::Rig;

use crate::support::sops::Sops;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The expectations of an operator.
    expect: String,
    /// The source of the shape.
    sources: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Files that are in UTF-16.
    #[serde(default)]
    charset: BTreeMap<String, String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeMap<String, Secret>,
    /// Calls that fill a Vault: method, path and body.
    #[serde(default)]
    vault: Vec<(String, String, String)>,
    /// The values that the reader must find again.
    #[serde(default)]
    vault_read: Vec<String>,
    /// The preparation of the files, such as `hard-link:NAME`.
    #[serde(default)]
    setup: Vec<String>,
    /// Actions of IAM that a policy denies.
    #[serde(default)]
    deny: Vec<String>,
    /// The credentials come from this profile.
    profile: Option<Profile>,
    #[serde(default = "of_files")]
    stores: Vec<String>,
    #[serde(default = "run")]
    commands: Vec<Vec<String>>,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    text: String,
    #[serde(default)]
    binary: bool,
    /// The secret has no version yet.
    #[serde(default)]
    none: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    config: String,
}

fn of_files() -> Vec<String> {
    vec!["uri = \"file:‹files›\"\nscope = \"app/prod\"\nname = \"files\"".to_owned()]
}

fn run() -> Vec<Vec<String>> {
    vec![vec!["run".to_owned()]]
}

impl Case {
    fn needs_moto(&self) -> bool {
        !(self.parameters.is_empty() && self.secrets.is_empty())
    }
}

fn cases() -> BTreeMap<String, Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/reports/cases");
    let files = std::fs::read_dir(folder).expect("the cases").flatten().map(|file| file.path());
    let cases: BTreeMap<String, Case> = files
        .filter(|path| path.extension().is_some_and(|is| is == "toml"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!case.sources.is_empty(), "{name} says where its shape is from");
            (name, case)
        })
        .collect();
    assert!(cases.len() >= 55, "{} cases", cases.len());
    cases
}

/// Plays the cases that are chosen; none may fall short of what is expected.
async fn play(chosen: impl Fn(&Case) -> bool) {
    let mut wrong = Vec::new();
    let mut played = 0;
    for (name, case) in cases().iter().filter(|(_, case)| chosen(case)) {
        let mut rig = Rig::with(name, case).await;
        let before = rig.contents().await;
        rig.play();
        let after = rig.contents().await;
        for check in &case.checks {
            if let Some(why) = check.fails(&rig, &before, &after).await {
                wrong.push(format!("{name}: {why}\nexpected: {}\n{}", case.expect, rig.said));
            }
        }
        played += 1;
    }
    assert!(played > 0, "no case is chosen");
    assert!(wrong.is_empty(), "{} of {played} cases\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn files_as_they_are_found() {
    play(|case| !case.needs_moto() && case.vault.is_empty()).await;
}

#[tokio::test]
async fn parameters_and_secrets_as_they_are_found() {
    play(Case::needs_moto).await;
}

#[tokio::test]
async fn vaults_as_they_are_found() {
    play(|case| !case.vault.is_empty()).await;
}

/// The sops of a case, with keys of its own.
fn sops_of(case: &Case) -> Option<(String, Sops)> {
    let file = case.setup.iter().find_map(|setup| setup.strip_prefix("sops:"))?;
    Some((file.to_owned(), Sops::new()))
}
