//! Keys whose ids AWS did not make, as look-alikes of IAM make them.

use rotator::sandbox::KeyStatus;
use serde_json::json;

use super::bench::Bench;

const USER: &str = "odd/live";
const ID: &str = "PROD1111111111AAAAAA";

fn reasons(bench: &Bench) -> Vec<(String, String)> {
    let document = bench.run(&["plan", "--output", "json"]).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let skipped = document["skipped"].as_array().expect("a list").iter();
    skipped.map(|note| (text(&note["reason"]), text(&note["message"]))).collect()
}

/// The first reading of the stores does not record such an id. A second one finds the other places of the key.
#[test]
fn another_place_of_a_key_is_found_whatever_the_form_of_its_id() {
    let bench = Bench::new();
    let secret = "kP3vQ9xT2mL7wN4bZ8cR1yF6hJ5sD0gA+uE/iO12";
    bench.sandbox.add_user(USER).expect("a user");
    bench.sandbox.add_key(USER, ID, secret, KeyStatus::Active, None).expect("a key");
    bench.sandbox.advance(std::time::Duration::from_secs(3600));
    let pair = json!({"odd/live/AWS_ACCESS_KEY_ID": ID, "odd/live/AWS_SECRET_ACCESS_KEY": secret});
    bench.run_with(&["store", "import", "-"], &pair.to_string()).code(0);
    assert_eq!(reasons(&bench), [], "it is due");

    bench.run_with(&["store", "set", "a/b/notes"], &format!("see x{ID}y in the console")).code(0);
    let skipped = reasons(&bench);
    let [(reason, message)] = skipped.as_slice() else { panic!("{skipped:?}") };
    assert_eq!(reason, "referenced-elsewhere");
    assert!(message.starts_with("a/b/notes also names it"), "{message}");

    bench.run(&["store", "rm", "a/b/notes"]).code(0);
    bench.run_with(&["store", "set", &format!("a/b/{ID}")], "a setting").code(0);
    let skipped = reasons(&bench);
    assert!(
        skipped.iter().any(|(_, message)| message.starts_with(&format!("a/b/{ID} (in its name) also"))),
        "{skipped:?}"
    );
}
