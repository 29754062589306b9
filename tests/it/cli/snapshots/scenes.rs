//! The scenes: the commands of the snapshots, in order.

use std::os::unix::fs::PermissionsExt;

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};

use super::play::Play;

/// A new folder with keys in three kinds of files.
pub(super) fn setting_up(play: &mut Play) {
    play.names_store = false;
    let (alice, bob) = (play.user("alice"), play.user("shop-production"));
    play.user("reports-monthly-for-finance");
    std::fs::create_dir_all(play.bench.path("config/mailer")).expect("made");
    std::fs::create_dir_all(play.bench.path(".aws")).expect("made");
    let dotenv = |(id, secret): &(String, String)| format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n");
    play.bench.write(".env", &dotenv(&alice));
    let yaml = format!("aws:\n  access_key_id: {}\n  secret_access_key: {}\n", bob.0, bob.1);
    play.bench.write("config/mailer/app.yaml", &yaml);
    play.bench.write("config/other.json", "{}");
    for name in [".env", "config/mailer/app.yaml", "config/other.json"] {
        std::fs::set_permissions(play.bench.path(name), std::fs::Permissions::from_mode(0o600)).expect("set");
    }
    // What was used a minute ago is shown in other words than what was used just now.
    play.pass(3);
    play.tells(0, &["init"]);
    play.tells(2, &["init"]);
    let file = std::fs::read_to_string(play.bench.path("rotator.toml")).expect("written");
    assert_eq!(super::play::too_wide(&file, 80), None, "rotator.toml is wider than 80 columns");
    play.shows(0, &["doctor"]);
    play.shows(0, &["plan"]);
    play.shows(0, &["run", "--dry-run"]);
    play.tells(0, &["policy"]);
    play.tells(0, &["policy", "--read-only"]);
    play.tells(0, &["policy", "--found"]);
    // An edit that runs a program must be allowed.
    play.bench.write("tool", "#!/bin/sh\n");
    play.bench.write("rotator.toml", "store = [\"file:.env\", \"exec:./tool\"]\n\n[owner]\nfrom = \"aws\"\n");
    play.shows(2, &["plan"]);
    play.shows(2, &["allow"]);
    play.shows(0, &["allow", "--yes"]);
}

/// Rotations from the first plan to the last one closed.
pub(super) fn rotations(play: &mut Play) {
    play.shows(0, &["status"]);
    play.user_with_entries("shop/production");
    play.user_with_entries("payments-reconciliation/production");
    play.user_with_entries("web/staging");
    play.bench.sandbox.create_key("web/staging").expect("a second key");
    play.shows(0, &["plan"]);
    play.shows(0, &["plan", "--older-than", "365d"]);
    play.shows(3, &["run", "--overlap", "36h", "--quarantine", "180h"]);
    play.shows(0, &["status"]);
    play.tells(0, &["status", "--output", "wide"]);
    play.shows(0, &["status", "shop/production"]);
    play.pass(37);
    play.shows(3, &["resume"]);
    play.shows(0, &["status", "shop/production"]);
    play.shows(3, &["reactivate", "shop/production"]);
    play.shows(0, &["status", "shop/production"]);
    play.pass(8 * 24);
    play.shows(4, &["resume"]);
    play.shows(0, &["status", "--all"]);
    play.shows(0, &["rotate", "payments-reconciliation/production", "--now", "--yes"]);
    play.shows(0, &["status", "payments-reconciliation/production"]);
}

/// Blocks and failures, and how an operator decides about them.
pub(super) fn operator(play: &mut Play) {
    let (old, secret) = play.user_with_entries("shop/production");
    play.user_with_entries("web/staging");
    let refused = ApiError::new(403, "AccessDenied", "no identity-based policy allows the iam:CreateAccessKey action");
    let fault = Fault::new(FaultKind::Refuse(refused)).on(Action::CreateAccessKey).for_user("web/staging");
    play.bench.sandbox.arm(fault.always());
    play.shows(3, &["run", "--overlap", "36h", "--quarantine", "180h"]);
    play.shows(0, &["status"]);
    play.shows(0, &["abort", "web/staging"]);
    play.shows(2, &["abort", "shop/production"]);
    // The application's old configuration is deployed once more.
    for (name, value) in [("AWS_ACCESS_KEY_ID", &old), ("AWS_SECRET_ACCESS_KEY", &secret)] {
        play.bench.run_with(&["store", "set", &format!("shop/production/{name}")], value).code(0);
    }
    play.shows(4, &["resume", "shop/production"]);
    play.shows(0, &["status", "shop/production"]);
    play.shows(2, &["resolve", "shop/production", "--delete-key", &old]);
    play.shows(0, &["abort", "shop/production"]);
    play.shows(0, &["resume"]);
}

/// The commands of the embedded store.
pub(super) fn store(play: &mut Play) {
    play.bench.write("entries.json", "{\"shop/production/NOTE\": \"hello\\n\", \"shop/staging/NOTE\": \"x\"}");
    let entries = play.bench.path("entries.json").display().to_string();
    play.tells(0, &["store", "import", &entries]);
    play.shows(0, &["store", "list"]);
    play.tells(0, &["store", "get", "shop/production/NOTE"]);
    play.tells(1, &["store", "get", "--previous", "shop/production/NOTE"]);
    play.tells(2, &["store", "set", "shop/staging/OTHER"]);
    play.tells(2, &["store", "set", "shop/staging/OTHER", "value"]);
    play.tells(0, &["store", "rm", "shop/staging/NOTE"]);
    play.tells(1, &["store", "rm", "shop/staging/NOTE"]);
    play.tells(0, &["store", "rekey"]);
    play.shows(1, &["store", "get", "shop/production/NOTHING"]);
    play.shows(0, &["plan"]);
}

/// Command lines that rotator refuses.
pub(super) fn mistakes(play: &mut Play) {
    play.user_with_entries("shop/production");
    for args in [
        &["rotatoo"][..],
        &["list"],
        &["run", "--force"],
        &["run", "--lmit", "3"],
        &["plan", "--only", "no-such"],
        &["plan", "--older-than", "soon"],
        &["status", "nothing"],
        &["resolve", "shop/production"],
        &["resolve", "shop/production", "--delete-key", "x"],
        &["rotate"],
        &["run", "--output", "xml"],
    ] {
        play.shows(2, args);
    }
    play.bench.write("rotator.toml", "[policy]\nolder_then = \"1d\"\n");
    play.shows(2, &["doctor"]);
}

/// The help of each command, and the first command that prints a schema.
pub(super) fn help(play: &mut Play) {
    play.tells(0, &["--help"]);
    play.tells(0, &["--version"]);
    for command in [
        "run",
        "rotate",
        "resume",
        "status",
        "plan",
        "store",
        "abort",
        "reactivate",
        "resolve",
        "doctor",
        "policy",
        "init",
        "allow",
        "demo",
        "sandbox",
        "completions",
        "schema",
        "man",
    ] {
        play.tells(0, &[command, "--help"]);
    }
    for command in ["list", "get", "set", "import", "rekey", "rm"] {
        play.tells(0, &["store", command, "--help"]);
    }
    for command in ["config", "run", "plan", "doctor", "allow", "store-list", "error"] {
        play.tells(0, &["schema", command, "--help"]);
    }
    play.tells(0, &["schema", "error"]);
}

/// The demo.
pub(super) fn demo(play: &mut Play) {
    play.tells(0, &["demo"]);
}
