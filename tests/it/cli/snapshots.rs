//! What each command prints, as `tests/it/snapshots` has it: text at 80 and at 40 columns with its colours, and JSON.
//! `ROTATOR_UPDATE_DOCS=1` writes these files. Ids and times may differ.

mod play;
mod scenes;

use std::path::Path;

use crate::support::printed::in_columns;
use play::{Form, Play, Step};

/// Where the files are.
const FOLDER: &str = "tests/it/snapshots";

/// The text of a step, with the colours of the same step in another run.
fn section(step: &Step, coloured: Option<&Step>) -> String {
    let mut text = format!("$ {}\n{}", step.line, step.stdout);
    if !step.stderr.is_empty() {
        text.push_str(&format!("--- stderr\n{}", step.stderr));
    }
    text.push_str(&format!("--- exit code {}\n", step.code));
    if let Some(coloured) = coloured {
        for (code, painted) in coloured.painted() {
            text.push_str(&format!("--- colour {code}: {painted}\n"));
        }
    }
    text + "\n"
}

/// Plays the scene in one form, and once more with colours where it has any.
fn sections(play: fn(&mut Play), form: Form) -> Vec<String> {
    let plain = Play::of(play, form, false);
    if form == Form::Json {
        return plain.iter().map(|step| section(step, None)).collect();
    }
    let coloured = Play::of(play, form, true);
    assert_eq!(plain.len(), coloured.len());
    let pairs = plain.iter().zip(&coloured);
    pairs
        .map(|(plain, coloured)| {
            for (one, other) in [(&plain.stdout, &coloured.stdout), (&plain.stderr, &coloured.stderr)] {
                let (one, other) = (in_columns(one), in_columns(&play::uncoloured(other)));
                let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
                assert!(one == other, "`{}` prints other text with colours: {differs:?}", plain.line);
            }
            assert!(plain.painted().is_empty(), "`{}` has colours that were not asked for", plain.line);
            section(plain, Some(coloured))
        })
        .collect()
}

/// Compares the scene in these forms with its files, or writes them.
#[track_caller]
fn matches_its_snapshots(name: &str, forms: &[Form], play: fn(&mut Play)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let mut different = String::new();
    for form in forms {
        let path = folder.join(format!("{name}.{}.txt", form.name()));
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let printed = sections(play, *form);
        if in_columns(&kept) == in_columns(&printed.concat()) {
            continue;
        }
        if std::env::var_os("ROTATOR_UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, printed.concat()).expect("written");
            continue;
        }
        let kept: Vec<String> = kept.split("\n$ ").map(in_columns).collect();
        for section in &printed {
            let plain = in_columns(section.trim_start_matches("$ ").trim_end_matches('\n'));
            if !kept.iter().any(|kept| kept.trim_start_matches("$ ").trim_end_matches('\n') == plain) {
                different.push_str(&format!("{}:\n{section}", path.display()));
            }
        }
        assert!(!different.is_empty(), "{} has other commands, or in another order", path.display());
    }
    assert!(different.is_empty(), "these differ (ROTATOR_UPDATE_DOCS=1 writes them):\n{different}");
}

#[test]
fn setting_up_is_shown_as_the_snapshots_have_it() {
    matches_its_snapshots("setting-up", &Form::ALL, scenes::setting_up);
}

#[test]
fn rotations_are_shown_as_the_snapshots_have_them() {
    matches_its_snapshots("rotations", &Form::ALL, scenes::rotations);
}

#[test]
fn what_needs_an_operator_is_shown_as_the_snapshots_have_it() {
    matches_its_snapshots("operator", &Form::ALL, scenes::operator);
}

#[test]
fn the_embedded_store_is_shown_as_the_snapshots_have_it() {
    matches_its_snapshots("store", &Form::ALL, scenes::store);
}

#[test]
fn mistakes_are_shown_as_the_snapshots_have_them() {
    matches_its_snapshots("mistakes", &Form::ALL, scenes::mistakes);
}

#[test]
fn the_help_is_shown_as_the_snapshots_have_it() {
    matches_its_snapshots("help", &[Form::Columns80, Form::Columns40], scenes::help);
}

#[test]
fn the_demo_is_shown_as_the_snapshots_have_it() {
    matches_its_snapshots("demo", &[Form::Columns80, Form::Columns40], scenes::demo);
}

#[test]
fn a_wide_line_and_a_secret_are_found() {
    let wide = "a sentence that is much wider than the terminal is, which has forty columns";
    for fine in [
        "short",
        "  /a/very/long/path/that/cannot/be/folded/anywhere/at/all",
        "  rotator resolve shop-production --delete-key A",
    ] {
        assert_eq!(play::too_wide(fine, 40), None, "{fine}");
    }
    assert_eq!(play::too_wide(&format!("x\n{wide}"), 40), Some(wide.to_owned()));
    assert!(play::looks_like_a_secret("x = \"wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE\""));
    assert!(!play::looks_like_a_secret("sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}
