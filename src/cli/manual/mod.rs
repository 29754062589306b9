//! The manual pages: what clap knows of each command, and sections that say what a command line does not show.

mod sections;

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use self::sections::{ENVIRONMENT, EXIT_STATUS, FILES, STATES, Section};
use super::examples;
use super::help;

/// A page: its file name, such as `rotator-run.1`, and its text in the language of troff.
pub(in crate::cli) struct Page {
    pub(in crate::cli) file_name: String,
    pub(in crate::cli) text: Vec<u8>,
}

/// The page of the program, and one for each command.
///
/// # Errors
/// None in practice: a page is written to memory.
pub(in crate::cli) fn pages() -> io::Result<Vec<Page>> {
    let mut root = help::definition().disable_help_subcommand(true);
    // Gives each command its full name.
    root.build();
    let mut pages = Vec::new();
    add(&root, "", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, words: &str, pages: &mut Vec<Page>) -> io::Result<()> {
    let name = format!("rotator {words}").trim_end().replace(' ', "-");
    pages.push(Page { file_name: format!("{name}.1"), text: page(command, &name, words)? });
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        add(command, format!("{words} {}", command.get_name()).trim_start(), pages)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str, words: &str) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(format!("rotator {version}"))
        .manual("rotator manual");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        // Without `help`, which is no page.
        man.render_subcommands_section(&mut text)?;
    }
    let is_root = words.is_empty();
    let mut more = Roff::default();
    if is_root {
        for (heading, section) in
            [("FILES", &FILES[..]), ("STATES", &STATES), ("EXIT STATUS", &EXIT_STATUS), ("ENVIRONMENT", &ENVIRONMENT)]
        {
            list(&mut more, heading, section);
        }
    } else {
        more.control("SH", ["EXIT STATUS"]);
        more.text([roman("See "), bold("rotator"), roman("(1).")]);
    }
    more.control("SH", ["EXAMPLES"]);
    for example in examples::of(words) {
        for (number, line) in example.line.lines().enumerate() {
            more.control(if number == 0 { "TP" } else { "TQ" }, []);
            more.text([bold(line.trim())]);
        }
        more.text([roman(example.does)]);
    }
    more.control("SH", ["SEE ALSO"]);
    match is_root {
        true => more.text([roman(format!("{}/tree/v{version}/docs", env!("CARGO_PKG_REPOSITORY")))]),
        false => more.text([bold("rotator"), roman("(1), for the options of every command")]),
    };
    more.to_writer(&mut text)?;
    Ok(text)
}

/// A section that explains terms.
fn list(roff: &mut Roff, heading: &str, section: &Section) {
    roff.control("SH", [heading]);
    for (term, meaning) in section {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;
    use crate::rotation::event::Ending;

    fn document(name: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        std::fs::read_to_string(path).expect("UTF-8")
    }

    /// The rows of the table behind a heading: the cells, without backticks.
    fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
        let section = document.split(&format!("\n{heading}\n")).nth(1).expect("the heading is there");
        let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        rows.take_while(|line| line.starts_with('|')).map(cells).collect()
    }

    #[test]
    fn there_is_a_page_for_each_command_with_all_its_sections() {
        let pages = pages().expect("made");
        let names: Vec<&str> = pages.iter().map(|page| page.file_name.as_str()).collect();
        for name in ["rotator.1", "rotator-run.1", "rotator-store-get.1", "rotator-schema-config.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
        for page in &pages {
            let text = std::str::from_utf8(&page.text).expect("UTF-8");
            let title = page.file_name.trim_end_matches(".1").to_uppercase();
            assert!(text.contains(&format!(".TH {title} 1")), "{text}");
            let mut sections = vec!["NAME", "SYNOPSIS", "DESCRIPTION", "\"EXIT STATUS\"", "EXAMPLES", "\"SEE ALSO\""];
            if page.file_name == "rotator.1" {
                sections.extend(["FILES", "STATES", "ENVIRONMENT"]);
            }
            for section in sections {
                assert!(text.contains(&format!("\n.SH {section}\n")), "{}: {section}: {text}", page.file_name);
            }
            assert!(!text.contains('\u{1b}'), "{}: colour in a page", page.file_name);
        }
    }

    #[test]
    fn the_exit_status_is_that_of_the_program_and_of_the_document() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::InFlight,
            Exit::NeedsOperator,
            Exit::Busy,
            Exit::HungUp,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        let named: Vec<String> = EXIT_STATUS.iter().flat_map(|(term, _)| term.split(", ")).map(str::to_owned).collect();
        assert_eq!(named, all.map(|exit| exit.code().to_string()));
        let section: Vec<Vec<String>> =
            EXIT_STATUS.iter().map(|(term, meaning)| vec![(*term).to_owned(), (*meaning).to_owned()]).collect();
        assert_eq!(section, rows(&document("cli.md"), "## Exit codes"));
    }

    #[test]
    fn the_states_are_those_of_the_json_document() {
        let document = document("cli.md");
        let state = document.lines().find(|line| line.starts_with("| `rotations[].state`")).expect("the field");
        let states: Vec<&str> = state.split('`').skip(3).step_by(2).collect();
        let named: Vec<&str> = STATES.iter().map(|(state, _)| *state).filter(|state| !state.contains(' ')).collect();
        assert_eq!(named, states);
        for ending in [Ending::DeletedOld, Ending::Aborted, Ending::Gone] {
            assert!(named.contains(&ending.name()));
        }
    }

    #[test]
    fn every_variable_of_the_document_is_in_the_page() {
        let rows = rows(&document("configuration.md"), "## Further variables");
        let variables = rows
            .iter()
            .flat_map(|row| row[0].replace(", else", ",").split(", ").map(str::to_owned).collect::<Vec<_>>());
        let named: Vec<&str> = ENVIRONMENT.iter().flat_map(|(term, _)| term.split(", ")).collect();
        let missing: Vec<String> = variables.filter(|variable| !named.contains(&variable.as_str())).collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
