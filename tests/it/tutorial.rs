//! The `console` blocks of the tutorial are run in order, in one shell, against the real binary, and print what the page
//! shows. Ids, times and durations may differ. `ROTATOR_UPDATE_DOCS=1` writes what is printed now into the page.
//!
//! A block has lines `$ command`, each with its output below. A line `…` stands for any lines. A comment `<!-- run` has
//! commands that the reader does not see. Each command must succeed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::printed::normalised;
use super::support::program::{Ended, ROTATOR, Running, planted_fault};

const PAGES: [&str; 1] = ["docs/getting-started.md"];

/// What the test runs instead of a part of a command: the reader waits for seconds, the test for the thing itself.
const INSTEAD: [(&str, &str); 2] =
    [("sleep 1", "until grep -qs TEMPLATE sandbox.env; do sleep 0.1; done"), ("--overlap 20s", "--overlap 1s")];

/// The home folder that the page shows.
const HOME: &str = "/home/you";

const ROOTS_STORE: &str = "/var/lib/rotator/store.db";

/// The longest time that all commands of a page may take together.
const LIMIT: Duration = Duration::from_secs(240);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Lines of the page that are not run.
    Text(String),
    /// Commands that the reader does not see, with the comment that they are in.
    Hidden { comment: String, commands: String },
    /// A command, as it is written, and the output that the page shows.
    Shown { command: String, output: Vec<String> },
}

/// The parts of a page, in order. Joined they are the page.
fn parts(page: &str) -> Vec<Part> {
    let (mut parts, mut lines) = (Vec::new(), page.lines().peekable());
    let mut is_console = false;
    while let Some(line) = lines.next() {
        if line == "<!-- run" {
            let mut comment = format!("{line}\n");
            let mut commands = String::new();
            for line in lines.by_ref() {
                let _ = writeln!(comment, "{line}");
                if line == "-->" {
                    break;
                }
                let _ = writeln!(commands, "{line}");
            }
            parts.push(Part::Hidden { comment, commands });
        } else if is_console && line.starts_with("$ ") {
            let mut command = line.to_owned();
            while command.ends_with('\\') {
                let _ = write!(command, "\n{}", lines.next().expect("a line follows the backslash"));
            }
            let mut output = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ") && *line != "```") {
                output.push(line.to_owned());
            }
            parts.push(Part::Shown { command, output });
        } else {
            is_console = line == "```console" || is_console && line != "```";
            parts.push(Part::Text(format!("{line}\n")));
        }
    }
    parts
}

/// The page of these parts.
fn joined(parts: &[Part]) -> String {
    let mut page = String::new();
    for part in parts {
        match part {
            Part::Text(text) | Part::Hidden { comment: text, .. } => page.push_str(text),
            Part::Shown { command, output } => {
                let _ = writeln!(page, "{command}");
                for line in output {
                    let _ = writeln!(page, "{line}");
                }
            }
        }
    }
    page
}

/// A script that runs all parts, and marks where the output of each begins and how it ends.
fn script(parts: &[Part]) -> String {
    let mut script = "exec 2>&1\n".to_owned();
    for (number, part) in parts.iter().enumerate() {
        let _ = match part {
            Part::Text(_) => continue,
            Part::Hidden { commands, .. } => writeln!(script, "{{\n{commands}\n}} >hidden.log 2>&1 || cat hidden.log"),
            Part::Shown { command, .. } => {
                let command = command.trim_start_matches("$ ");
                let run = INSTEAD.iter().fold(command.to_owned(), |run, (shown, instead)| run.replace(shown, instead));
                writeln!(script, "echo '@@ {number}'\n{run}\necho \"@@ end $?\"")
            }
        };
    }
    script
}

/// What each command printed, by the number of its part.
fn run(parts: &[Part]) -> Vec<(usize, Vec<String>)> {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().canonicalize().expect("a path");
    let bin = Path::new(ROTATOR).parent().expect("a folder");
    let mut command = Command::new("bash");
    command.arg("-c").arg(script(parts)).env_clear().envs(planted_fault()).current_dir(&path);
    command.env("HOME", &path).env("TMPDIR", &path).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    // Root would use the machine's own folders.
    command.env("XDG_STATE_HOME", path.join(".local/state")).env("COLUMNS", "80");
    command.env("TZ", "UTC").env("AWS_EC2_METADATA_DISABLED", "true").env("ROTATOR_POLICY_PROOF_SPAN", "0s");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended: Ended = Running::start(command).within(LIMIT).unwrap_or_else(|ended| panic!("no end: {ended:#?}"));
    let printed = without_roots_own(&ended.stdout.replace(&path.display().to_string(), HOME));

    let mut outputs: Vec<(usize, Vec<String>)> = Vec::new();
    let mut is_inside = false;
    for line in printed.lines() {
        if let Some(code) = line.strip_prefix("@@ end ") {
            let last = outputs.last().expect("it has begun");
            assert_eq!(code, "0", "{:?} failed:\n{}", parts[last.0], last.1.join("\n"));
            is_inside = false;
        } else if let Some(number) = line.strip_prefix("@@ ") {
            outputs.push((number.parse().expect("a number"), Vec::new()));
            is_inside = true;
        } else {
            assert!(is_inside, "printed by hidden commands: {line}\n{printed}");
            outputs.last_mut().expect("it has begun").1.push(line.to_owned());
        }
    }
    assert!(!is_inside, "the script ended inside a command:\n{printed}\n{}", ended.stderr);
    outputs
}

/// `init` also finds the embedded store in the default place of root, which may be in use on this machine. The page takes
/// it out of the configuration at once.
fn without_roots_own(printed: &str) -> String {
    if !Path::new(ROOTS_STORE).exists() {
        return printed.to_owned();
    }
    let lines = printed.lines().filter(|line| !line.contains(ROOTS_STORE)).map(|line| format!("{line}\n"));
    lines.collect::<String>().replace("these 2 stores", "this store")
}

/// Whether the output is what the page shows. Where a line is broken does not count: it depends on the length of a time.
fn is_shown(shown: &[String], printed: &[String]) -> bool {
    let text = |lines: &[String]| normalised(&lines.join(" "));
    let Some(head) = shown.iter().position(|line| line == "…") else { return text(shown) == text(printed) };
    let tail = shown.iter().rposition(|line| line == "…").unwrap_or(head);
    text(printed).starts_with(&text(&shown[..head])) && text(printed).ends_with(&text(&shown[tail + 1..]))
}

/// The output, with as many lines around the `…` as the page has.
fn shortened(shown: &[String], printed: Vec<String>) -> Vec<String> {
    let Some(head) = shown.iter().position(|line| line == "…") else { return printed };
    let tail = shown.iter().rev().position(|line| line == "…").unwrap_or_default();
    if head + tail >= printed.len() {
        return printed;
    }
    let rest = printed[printed.len() - tail..].to_vec();
    [&printed[..head], &["…".to_owned()], &rest].concat()
}

#[test]
fn the_tutorial_shows_what_its_commands_print() {
    for name in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut parts = parts(&page);
        assert_eq!(joined(&parts), page, "{name} is read wrongly");
        let shown = parts.iter().filter(|part| matches!(part, Part::Shown { .. })).count();
        let outputs = run(&parts);
        assert_eq!(outputs.len(), shown, "{name}: not every command was run");
        let mut different = Vec::new();
        for (number, printed) in outputs {
            let Part::Shown { command, output } = &mut parts[number] else { continue };
            if !is_shown(output, &printed) {
                different.push(format!(
                    "{command}\n{}\n  is shown, and printed is:\n{}",
                    output.join("\n"),
                    printed.join("\n")
                ));
                *output = shortened(output, printed);
            }
        }
        if std::env::var_os("ROTATOR_UPDATE_DOCS").is_some() {
            fs::write(&path, joined(&parts)).expect("written");
        } else {
            assert!(different.is_empty(), "{name} (ROTATOR_UPDATE_DOCS=1 writes it):\n{}", different.join("\n\n"));
        }
        assert!(shown >= 10, "{name} shows only {shown} commands: this test reads it wrongly");
    }
}

#[test]
fn a_line_with_dots_stands_for_any_lines() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(is_shown(&lines("a\n…\nd"), &lines("a\nb\nc\nd")));
    assert!(!is_shown(&lines("a\n…\nd"), &lines("a\nb\nc")));
    assert!(!is_shown(&lines("a"), &lines("a\nb")));
    assert_eq!(shortened(&lines("a\n…\nd"), lines("1\n2\n3\n4")), lines("1\n…\n4"));
}
