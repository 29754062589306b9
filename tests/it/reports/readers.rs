//! Independent readers (`readers.py`): botocore, python-dotenv, configparser, PyYAML, and Python's own JSON and TOML.
//! They say what an application gets out of a document that was rotated.

use std::path::Path;
use std::process::Command;

use crate::support::program::answer;

/// A document before and after the rotation of the pair in it.
pub(super) struct Document {
    /// The name of a reader.
    pub(super) reader: &'static str,
    pub(super) before: String,
    pub(super) after: String,
    /// Each half of the old pair, and the text that must replace it.
    pub(super) pair: [(String, String); 2],
}

/// For each document why its reader gets something else than before and the new pair; none where it does not.
pub(super) fn differences(documents: &[Document]) -> Vec<Option<String>> {
    let python = std::env::var_os("ROTATOR_TEST_PYTHON").unwrap_or_else(|| {
        panic!("this test needs Python with its libraries: run scripts/test, which installs them, or set ROTATOR_TEST_PYTHON")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/reports/readers.py");
    let asked: Vec<serde_json::Value> = documents
        .iter()
        .map(|document| {
            let pair: serde_json::Map<_, _> =
                document.pair.iter().map(|(old, new)| (old.clone(), new.clone().into())).collect();
            serde_json::json!({
                "reader": document.reader, "before": document.before, "after": document.after, "pair": pair,
            })
        })
        .collect();
    let asked = serde_json::to_vec(&asked).expect("text");
    let answered = answer(Command::new(python).arg(script), &asked).expect("the readers answer");
    let answered: Vec<Option<String>> = serde_json::from_slice(&answered).expect("JSON");
    assert_eq!(answered.len(), documents.len());
    answered
}

#[test]
fn a_change_beside_the_pair_is_seen() {
    let before = "[default]\naws_access_key_id = OLD\naws_secret_access_key = SECRET\nregion = eu\n";
    let right = before.replace("OLD", "NEW").replace("SECRET", "OTHER");
    let document = |reader, after: &str| Document {
        reader,
        before: before.to_owned(),
        after: after.to_owned(),
        pair: [("OLD".to_owned(), "NEW".to_owned()), ("SECRET".to_owned(), "OTHER".to_owned())],
    };
    let reported = differences(&[
        document("ini", &right),
        document("credentials", &right),
        document("ini", &right.replace("eu", "us")),
        document("credentials", before),
        document("json", &right),
    ]);
    let reported: Vec<&str> = reported.iter().map(|reported| reported.as_deref().unwrap_or("as it is to be")).collect();
    assert_eq!(reported[..2], ["as it is to be"; 2]);
    assert!(reported[2..].iter().all(|reported| *reported != "as it is to be"), "{reported:?}");
}
