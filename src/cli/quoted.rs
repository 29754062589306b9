//! A path as a word of a shell, for commands that are printed to be copied.

use std::path::Path;

/// `path` as one word: in quotes where a shell would read anything else from it.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:=@%,".contains(letter);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
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
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
