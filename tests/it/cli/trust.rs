//! A configuration file in the current folder: the conditions of trust, the settings that need consent, and how the
//! user consents.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, Ended};

/// Every command that reads a configuration. Each of them must stop at a file that is not trusted.
const COMMANDS: [&[&str]; 13] = [
    &["run"],
    &["run", "--dry-run"],
    &["resume"],
    &["status"],
    &["plan"],
    &["doctor"],
    &["policy"],
    &["store", "list"],
    &["store", "get", "a/b/c"],
    &["abort", "01900000-0000-7000-8000-000000000000"],
    &["reactivate", "01900000-0000-7000-8000-000000000000"],
    &["resolve", "01900000-0000-7000-8000-000000000000", "--finish"],
    &["init", "another.toml"],
];

const TOOL: &str = "#!/bin/sh\necho >ran\n";

fn run(bench: &Bench, args: &[&str]) -> Ended {
    // The environment would override the file. The journal stays in the test's folder.
    bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
}

fn set(bench: &Bench, name: &str, mode: u32) {
    std::fs::set_permissions(bench.path(name), std::fs::Permissions::from_mode(mode)).expect("set");
}

fn bench(file: &str) -> Bench {
    let bench = Bench::new();
    bench.write("tool", TOOL);
    set(&bench, "tool", 0o755);
    bench.write("rotator.toml", file);
    bench
}

#[track_caller]
fn is_refused(bench: &Bench, args: &[&str], why: &str) {
    let ended = run(bench, args).code(2).says("is not trusted").says(why);
    let named = format!("rotator --config {} {}\n", bench.path("rotator.toml").display(), args.join(" "));
    ended.says("`rotator allow`").says(&named);
}

#[test]
fn a_found_file_that_runs_a_program_is_refused_by_every_command() {
    let bench = bench("[[store]]\nuri = \"exec:./tool\"\n");
    for args in COMMANDS {
        is_refused(&bench, args, "runs `");
        assert!(!bench.path("ran").exists(), "{args:?} ran the program");
    }
    assert!(!bench.path("another.toml").exists() && !bench.path("xdg-state").exists(), "nothing was written");

    // Both ways on.
    let file = bench.path("rotator.toml").display().to_string();
    run(&bench, &["status", "--config", &file]).code(0);
    run(&bench, &["allow", "--yes"])
        .code(0)
        .prints("runs `")
        .says("is allowed as it is now, which is recorded for this user in ")
        .says("/allowed;");
    run(&bench, &["doctor"]).code(1);
    assert!(bench.path("ran").exists(), "the program is run once its file is allowed");
}

/// Each with the words of its refusal. `‹folder›` is the folder of the file, `‹elsewhere›` another one.
#[test]
fn a_found_file_may_not_run_read_or_contact_what_is_not_beside_it() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = elsewhere.path().display().to_string();
    let vault = "[[store]]\nuri = \"vault:kv\"\n";
    for (text, why) in [
        ("[[sink]]\nuri = \"exec:true\"\nfollows = \"**\"\n".to_owned(), "runs `true` for the sink"),
        ("store = \"sops:secrets\"\n".to_owned(), "runs `sops`"),
        (format!("journal = \"{outside}/journal.db\"\n"), "outside its folder"),
        ("journal = \"../journal.db\"\n".to_owned(), "outside its folder"),
        (format!("store = \"file:{outside}\"\n"), "outside its folder"),
        ("store = \"file:link\"\n".to_owned(), "outside its folder"),
        (format!("store = \"sqlite:{outside}/store.db\"\n"), "outside its folder"),
        (
            format!("{vault}address = \"https://me:hunter2@vault.example:8200\"\n"),
            "contacts https://vault.example:8200",
        ),
        (format!("{vault}ca_file = \"own.pem\"\n"), "believing the certificates"),
        (format!("{vault}auth = \"kubernetes\"\nrole = \"x\"\n"), "the pod's service account"),
        (
            format!("{vault}auth = \"kubernetes\"\nrole = \"x\"\ntoken_file = \"/etc/shadow\"\n"),
            "token_file /etc/shadow",
        ),
        (
            format!("{vault}auth = \"approle\"\nrole = \"x\"\nsecret_id_file = \"/etc/shadow\"\n"),
            "secret_id_file /etc/shadow",
        ),
        ("[[store]]\nuri = \"kubernetes:x\"\nkubeconfig = \"kube\"\n".to_owned(), "the credential plugin"),
    ] {
        let bench = bench(&text);
        symlink(elsewhere.path(), bench.path("link")).expect("linked");
        is_refused(&bench, &["status"], why);
        let ended = run(&bench, &["status"]);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
        run(&bench, &["allow", "--yes"]).code(0);
        run(&bench, &["status"]).code(0);
    }
    for text in [
        "store = [\"sqlite:store.db\", \"file:below/.env\", \"file:.\"]\njournal = \"./below/journal.db\"\n",
        "[[store]]\nuri = \"vault:kv\"\n[[store]]\nuri = \"kubernetes:shop\"\n[[store]]\nuri = \"aws-ssm:/x\"\n",
        "[policy]\noverlap = \"1h\"\n[owner]\nfrom = \"aws\"\n[[account]]\nid = \"123456789012\"\n",
    ] {
        run(&bench(text), &["-v", "status"]).code(0).says("trusted: only you and root can write it");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped in part says so")]
fn a_file_that_others_can_change_is_refused_with_what_they_can_write() {
    let bench = bench("[policy]\noverlap = \"1h\"\n");
    run(&bench, &["status"]).code(0);
    set(&bench, "rotator.toml", 0o666);
    is_refused(&bench, &["status"], "rotator.toml can be written by others (mode 0666)");
    set(&bench, "rotator.toml", 0o644);
    set(&bench, "", 0o1777);
    is_refused(&bench, &["status"], "can be written by others (mode 1777)");
    set(&bench, "", 0o700);

    // It may be in another folder, which others can write.
    std::fs::create_dir(bench.path("shared")).expect("made");
    std::fs::rename(bench.path("rotator.toml"), bench.path("shared/real.toml")).expect("moved");
    symlink(bench.path("shared/real.toml"), bench.path("rotator.toml")).expect("linked");
    run(&bench, &["status"]).code(0);
    set(&bench, "shared", 0o777);
    is_refused(&bench, &["status"], "shared can be written by others (mode 0777)");
    set(&bench, "shared", 0o755);
    if rustix::process::geteuid().is_root() {
        chown(bench.path("shared/real.toml"), Some(65_534), None).expect("root may");
        is_refused(&bench, &["status"], "belongs to user 65534, who is neither you nor root");
        run(&bench, &["allow", "--yes"]).code(0).prints("warning: other users may change it");
        run(&bench, &["-v", "status"]).code(0).says("`rotator allow` has recorded it as it is");
    } else {
        eprintln!("skipped in part: only root can give a file to another user");
    }
}

#[test]
fn a_file_that_is_not_trusted_is_not_passed_over_in_favour_of_another() {
    let bench = bench("[[store]]\nuri = \"exec:./tool\"\n");
    std::fs::create_dir_all(bench.path(".config/rotator")).expect("made");
    bench.write(".config/rotator/rotator.toml", "[[store]]\nuri = \"exec:./tool\"\n");
    is_refused(&bench, &["status"], "runs `");
    std::fs::remove_file(bench.path("rotator.toml")).expect("removed");
    // This one is where only its user puts it.
    run(&bench, &["-v", "status"]).code(0).says("trusted: it is in the XDG configuration folder");
    set(&bench, ".config/rotator", 0o777);
    let ended = run(&bench, &["status"]).code(2).says("was found in the XDG configuration folder and is not trusted");
    ended.says("its folder").says("mode 0777");
    set(&bench, ".config/rotator", 0o755);
    symlink(bench.path("nowhere"), bench.path("rotator.toml")).expect("linked");
    run(&bench, &["status"]).code(2).says("rotator.toml cannot be read");
}

#[test]
fn a_word_holds_for_the_content_that_was_shown() {
    let bench =
        bench("[[store]]\nuri = \"exec:./tool\"\n[[store]]\nuri = \"vault:kv\"\naddress = \"https://vault.example\"\n");
    // Without a terminal nothing is asked, and nothing is allowed unasked.
    let ended = run(&bench, &["allow"]).code(2).says("nothing was allowed").says("rotator allow --yes");
    ended.prints("tool` for the store exec:./tool").prints("contacts https://vault.example");
    is_refused(&bench, &["status"], "runs `");
    let document = run(&bench, &["allow", "--output", "json", "--yes"]).code(0).json();
    assert_eq!((&document["version"], &document["allowed"]), (&serde_json::json!(1), &serde_json::json!(true)));
    assert_eq!(document["runs"].as_array().map(Vec::len), Some(1), "{document}");
    assert_eq!(document["contacts"].as_array().map(Vec::len), Some(1), "{document}");
    run(&bench, &["status"]).code(0);

    let changed = std::fs::read_to_string(bench.path("rotator.toml")).expect("there").replace("./tool", "./other");
    bench.write("rotator.toml", &changed);
    is_refused(&bench, &["status"], "other` for the store");
    // A line of the list is a line of rotator's.
    bench.write("rotator.toml", "journal = \"/elsewhere\\n  contacts no server\"\n");
    let ended = run(&bench, &["allow"]).code(2).prints("/elsewhere\\n  contacts no server outside its folder\n");
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    run(&bench, &["allow", "nowhere.toml", "--yes"]).code(2).says("nowhere.toml cannot be read");
}

/// At a terminal, which `script` (of util-linux) makes.
#[test]
fn at_a_terminal_it_is_asked_first() {
    let bench = bench("[[store]]\nuri = \"exec:./tool\"\n");
    for (answer, code, said) in
        [("\n", 1, "the answer was no"), ("n\n", 1, "the answer was no"), ("y\n", 0, "is allowed")]
    {
        is_refused(&bench, &["status"], "runs `");
        let rotator = bench.command(&["allow"]);
        let mut script = std::process::Command::new("script");
        let called = format!("{} allow", rotator.get_program().display());
        script.args(["-qec", &called, "/dev/null"]).current_dir(bench.path("")).env_clear();
        script.envs(rotator.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.env_remove("ROTATOR_STORE").env("PATH", std::env::var("PATH").expect("there"));
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("script is there");
        child.stdin.take().expect("a pipe").write_all(answer.as_bytes()).expect("written");
        let ended: Ended = child.wait_with_output().expect("it ends").into();
        ended.code(code).prints("Trust this file as it is now? [y/N]").prints(said);
    }
    run(&bench, &["status"]).code(0);
}

#[test]
fn the_file_that_init_writes_is_trusted() {
    let bench = Bench::new();
    let folder = bench.path("");
    bench.run(&["init"]).code(0).says("wrote   rotator.toml");
    bench.run(&["-v", "status"]).code(0).says("`rotator allow` has recorded it as it is");
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.stdout.contains("rotator.toml, trusted: `rotator allow` has recorded"), "{}", doctor.stdout);
    std::fs::write(folder.join("rotator.toml"), "[policy]\noverlap = \"2h\"\n").expect("written");
    bench.run(&["-v", "status"]).code(0).says("trusted: only you and root can write it");
    let file = folder.join("rotator.toml").display().to_string();
    bench.run(&["-v", "status", "--config", &file]).code(0).says("trusted: it was named with --config");
    bench.run_in(("ROTATOR_CONFIG", &file), &["-v", "status"]).code(0).says("named with ROTATOR_CONFIG");
    let new = folder.join("new.toml").display().to_string();
    bench.run_in(("ROTATOR_CONFIG", &new), &["init", &new]).code(0);
    bench.run(&["init", "another.toml"]).code(0);
}

#[test]
fn a_pipe_a_device_and_a_folder_are_no_configuration() {
    for kind in ["pipe", "device", "folder"] {
        let bench = Bench::new();
        let path = bench.path("rotator.toml");
        match kind {
            "pipe" => rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("made"),
            "device" => symlink("/dev/zero", &path).expect("linked"),
            _ => std::fs::create_dir(&path).expect("made"),
        }
        let began = Instant::now();
        let mut child = bench.start(&["status"]);
        while child.try_wait().expect("asked").is_none() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // It has ended, or it would never end.
        let is_over = child.try_wait().expect("asked").is_some();
        let _ = child.kill();
        let ended: Ended = child.wait_with_output().expect("it ends").into();
        assert!(is_over, "status hangs at a {kind}");
        ended.code(2).says("it is not a regular file");
    }
}

/// What a shell makes of the words behind `command`, to the end of the line or up to `end`.
fn words_behind(text: &str, command: &str, end: &str) -> Vec<String> {
    let begins = text.rfind(command).unwrap_or_else(|| panic!("no {command:?} in {text}")) + command.len();
    let line = text[begins..].lines().next().unwrap_or_default();
    let words = line.split(end).next().unwrap_or_default();
    let ran = Command::new("sh").args(["-c", &format!("printf '%s\\n' {words}")]).output().expect("there is a shell");
    assert!(ran.status.success(), "{words}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
}

/// Folders and entries of names that a shell would read otherwise, or obey.
#[test]
fn a_command_that_is_printed_names_what_was_meant_when_it_is_pasted() {
    for odd in
        ["a b", "it's $(touch pasted) `touch pasted`", "\"x\" & y | z > w # v", "*?[a]{1,2}~", "e\u{1b}[31m\\n%s"]
    {
        let bench = Bench::new();
        std::fs::create_dir(bench.path(odd)).expect("made");
        let file = bench.path(odd).join("rotator.toml");
        std::fs::write(&file, "[[store]]\nuri = \"exec:./tool\"\n").expect("written");
        let run = |args: &[&str]| -> Ended {
            let mut command = bench.command(args);
            command.env_remove("ROTATOR_STORE").current_dir(bench.path(odd)).output().expect("it starts").into()
        };
        let named = [file.to_str().expect("UTF-8").to_owned()];
        let plan = ["plan", "--only", odd, "--limit=3"];
        let again: Vec<&str> = named.iter().map(String::as_str).chain(plan).collect();
        assert_eq!(words_behind(&run(&plan).code(2).stderr, "rotator --config ", "\n"), again);
        assert_eq!(words_behind(&run(&["allow"]).code(2).stderr, "rotator allow --yes ", "\n"), named);
        if !odd.contains('\u{1b}') {
            let entry = format!("-/{odd}/KEY");
            for (stdin, end) in [(None, " < FILE"), (Some(""), "\n")] {
                let mut args = vec!["--store", "sqlite:s.db", "store", "set", "--", &entry];
                args.extend(stdin.is_none().then_some("value"));
                let said = bench.run_with(&args, stdin.unwrap_or_default()).code(2).stderr;
                assert_eq!(words_behind(&said, "rotator store set ", end), ["--", &entry], "{said}");
            }
        }
        assert!(!bench.path("pasted").exists() && !bench.path(odd).join("pasted").exists());
    }
}
