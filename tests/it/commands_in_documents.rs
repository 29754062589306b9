//! Every command of rotator that a document shows is one that rotator accepts: its name, its options and their values.

use std::fs;
use std::path::Path;

use clap::Parser;
use rotator::cli::args::Cli;

use super::promises::documents;

/// Words of the documents that stand for a value, and a value of that kind.
const VALUES: [(&str, &str); 4] =
    [("KEY", "AKIAIOSFODNN7EXAMPLE"), ("NAME", "shop/production/NAME"), ("SHELL", "bash"), ("COMMAND", "run")];

/// The words that end a command in a shell.
const ENDS: [&str; 6] = ["|", "||", "&", "&&", ";", "do"];

/// The commands of rotator in a line for a shell.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut current): (Vec<Vec<String>>, Option<Vec<String>>) = (Vec::new(), None);
    for word in words(line) {
        let is_end = ENDS.iter().any(|end| word == *end) || word.starts_with(['>', '<', '#']) || word.starts_with("2>");
        if word.starts_with('#') {
            break;
        }
        if word == "rotator" || word == "./rotator" {
            commands.extend(current.replace(vec!["rotator".to_owned()]));
        } else if is_end {
            commands.extend(current.take());
        } else if let Some(command) = &mut current {
            let ends = word.ends_with(';');
            let word = word.trim_end_matches(';');
            command.push(VALUES.iter().find(|(name, _)| *name == word).map_or(word, |(_, value)| value).to_owned());
            if ends {
                commands.extend(current.take());
            }
        }
    }
    commands.extend(current);
    commands
}

/// The words of a line, without their quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The lines for a shell of a document: those of its `sh` and `console` blocks, and the code in its text.
fn lines(text: &str) -> Vec<String> {
    let (mut lines, mut block, mut prose) = (Vec::new(), None::<&str>, String::new());
    for line in text.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(kind) };
            continue;
        }
        match block {
            Some("sh") => lines.push(line.to_owned()),
            Some("console") => lines.extend(line.strip_prefix("$ ").map(str::to_owned)),
            Some(_) => {}
            None => prose.push_str(&format!("{line}\n")),
        }
    }
    for paragraph in prose.split("\n\n") {
        let code = paragraph.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " "));
        lines.extend(code.filter(|code| code.starts_with("rotator ")));
    }
    lines
}

/// Why rotator does not accept this, or nothing.
fn refused(command: &[String]) -> Option<String> {
    // A form such as `resolve ID …`.
    let is_form = command.iter().any(|word| word.contains('…') || word.starts_with(['[', '$', '{']));
    if command.len() < 2 || is_form {
        return None;
    }
    let error = Cli::try_parse_from(command).err()?;
    let is_short = matches!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    let is_help = matches!(
        error.kind(),
        clap::error::ErrorKind::DisplayHelp
            | clap::error::ErrorKind::DisplayVersion
            | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    // A command is also named without its arguments, as in "`rotator abort` gives a rotation up".
    (!is_help && !is_short).then(|| format!("{}: {error}", command.join(" ")))
}

#[test]
fn every_command_that_a_document_shows_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = documents(&root.join("docs"));
    all.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for document in all {
        for line in lines(&fs::read_to_string(&document).expect("UTF-8")) {
            for command in commands(&line) {
                seen += 1;
                wrong.extend(refused(&command).map(|why| format!("{}: {why}", document.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 150, "only {seen} commands are found: this test reads the documents wrongly");
}

#[test]
fn a_command_with_a_mistake_is_found() {
    let text = "Run `rotator resolve ID --delete-key\nKEY` or `rotator statsu`.\n\n```sh\n\
                until rotator run --yse; do sleep 1; done   # rotator waits\n```\n```text\n$ rotator nothing\n```\n";
    let found: Vec<Vec<String>> = lines(text).iter().flat_map(|line| commands(line)).collect();
    let wrong: Vec<String> = found.iter().filter_map(|command| refused(command)).collect();
    assert_eq!(wrong.len(), 2, "{wrong:#?}");
    assert!(wrong[0].starts_with("rotator run --yse"), "{wrong:#?}");
    assert!(wrong[1].starts_with("rotator statsu"), "{wrong:#?}");
}
