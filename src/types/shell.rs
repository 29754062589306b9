//! Words of a shell, for commands that are printed to be copied: the commands contain paths, names and patterns that
//! rotator does not choose.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// `word` as one word of a POSIX shell: in quotes where a shell would read anything else from it. What a terminal obeys, and
/// what is no UTF-8, is written in digits, so that the command that is displayed is the command that was meant.
#[must_use]
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:=@%,".contains(letter);
    let is_displayed =
        |letter: char| letter == '\n' || letter == ' ' || letter.is_ascii_graphic() || letter.is_alphanumeric();
    match word.to_str() {
        Some(text) if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) => text.to_owned(),
        Some(text) if text.chars().all(is_displayed) => format!("'{}'", text.replace('\'', "'\\''")),
        Some(_) | None => in_digits(word.as_bytes()),
    }
}

/// The same for a word that is no option, whatever it begins with.
#[must_use]
pub fn operand(word: impl AsRef<OsStr>) -> String {
    let dashes = if word.as_ref().as_bytes().starts_with(b"-") { "-- " } else { "" };
    format!("{dashes}{}", quoted(word))
}

/// By `printf`, as POSIX has no escapes in quotes; the shell takes away what ends its output in line ends.
fn in_digits(word: &[u8]) -> String {
    let kept = word.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
    let (word, line_ends) = word.split_at(kept);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"'\\%".contains(&byte) || byte == b' ';
    let written = |byte: &u8| if is_plain(*byte) { char::from(*byte).to_string() } else { format!("\\{byte:03o}") };
    format!("\"$(printf '{}'){}\"", word.iter().map(written).collect::<String>(), "\n".repeat(line_ends.len()))
}

/// What a real shell makes of words of commands.
#[cfg(test)]
pub(crate) mod real {
    use std::process::Command;

    /// Names that a shell would read otherwise, or as several words.
    pub(crate) const HOSTILE: [&str; 8] = [
        "a b",
        "it's; id",
        "$(id)`id`$HOME",
        "\"x\" & y | z > w # v",
        "~/*?[a-z]{1,2}!1",
        "back\\slash \\n %s",
        "\u{e9}t\u{e9} \u{202e}txt",
        "-rf",
    ];

    /// The words of a command as a shell passes them on.
    pub(crate) fn words(command: &str) -> Vec<Vec<u8>> {
        let ran =
            Command::new("sh").args(["-c", &format!("printf '%s\\0' {command}")]).output().expect("there is a shell");
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        let mut words: Vec<Vec<u8>> = ran.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        assert_eq!(words.pop().as_deref(), Some(&b""[..]), "each word ends");
        words
    }

    /// Asserts that the message has, before `after`, a command of these words.
    pub(crate) fn assert_says(message: &str, after: &str, expected: &[&str]) {
        let begins = message.rfind(&expected[..2].join(" ")).unwrap_or_else(|| panic!("no such command in {message}"));
        let ends = message[begins..].rfind(after).unwrap_or_else(|| panic!("no {after:?} in {message}"));
        let words = words(&message[begins..begins + ends]);
        let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        assert_eq!(words, expected, "{message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_one_word() {
        for (path, word) in [
            ("/srv/shop/rotator.toml", "/srv/shop/rotator.toml"),
            ("/my files/x", "'/my files/x'"),
            ("/it's", "'/it'\\''s'"),
            ("/$(id)", "'/$(id)'"),
            ("~/x", "'~/x'"),
            ("-x", "'-x'"),
            ("", "''"),
            ("a\u{1b}[2J%'", "\"$(printf 'a\\033[2J\\045\\047')\""),
        ] {
            assert_eq!(quoted(path), word);
        }
        assert_eq!(operand("-x"), "-- '-x'");
    }

    #[test]
    fn a_real_shell_reads_the_word_that_was_meant() {
        let hostile = real::HOSTILE.map(|word| word.as_bytes().to_vec());
        let odd: [&[u8]; 6] = [b"", b"\n", b"a\nb\n\n", b"\xff\xfe/\x01\n", b"\x1b]0;x\x07", b"\"\\\x7f$(id)'"];
        for word in hostile.into_iter().chain(odd.map(<[u8]>::to_vec)) {
            let written = quoted(OsStr::from_bytes(&word));
            assert_eq!(real::words(&written), [word], "{written}");
        }
        // Each byte that there is in a name, alone and among others.
        for byte in 1..=255_u8 {
            for word in [vec![byte], vec![b'a', byte, b' ', byte, b'b']] {
                assert_eq!(real::words(&quoted(OsStr::from_bytes(&word))), [word]);
            }
        }
    }
}
