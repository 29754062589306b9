//! Translates `include` to patterns of the store's own names, in which `*` matches any text. The patterns never match
//! less than `include` does.

use std::collections::BTreeSet;

use crate::cli::config::StoreSettings;

/// The patterns for the own names of all entries that `include` matches; `*` if any name may match.
pub(super) fn included(store: &StoreSettings) -> BTreeSet<String> {
    let any = || BTreeSet::from(["*".to_owned()]);
    if store.table.include.is_empty() {
        return any();
    }
    let scope = store.naming.scope();
    let patterns: BTreeSet<String> = store.table.include.iter().map(|pattern| native(pattern, scope)).collect();
    if patterns.contains("*") { any() } else { patterns }
}

/// The pattern of own names for one pattern of entries. An entry is `<app>/<environment>/<secret-name>`: a missing
/// segment is written `-`, an empty one `_`, and special characters `%2F`.
fn native(pattern: &str, scope: Option<&str>) -> String {
    // `/**/` also matches one slash.
    let simple = without_choices(&pattern.replace("/**/", "*"));
    let mut segments: Vec<&str> = simple.split('/').collect();
    if let Some(scope) = scope {
        // The last segment contains the whole own name.
        let begins = simple.strip_prefix(scope).and_then(|rest| rest.strip_prefix('/'));
        return begins.map_or_else(|| "*".to_owned(), |rest| joined(&[rest]));
    }
    let mut begin = "";
    while segments.len() > 1 && (segments[0] == "-" || segments[0].contains('*')) {
        // An asterisk may match a segment that the own name does not have.
        begin = if segments.remove(0) == "-" { begin } else { "*" };
    }
    // In the first segment that is left, an asterisk may match a slash, and a dash before it such a missing segment.
    let rest = segments[0].trim_start_matches(['-', '*']);
    if segments[0].len() > rest.len() && segments[0][..segments[0].len() - rest.len()].contains('*') {
        (begin, segments[0]) = ("*", rest);
        if rest.is_empty() && segments.len() == 1 {
            return "*".to_owned();
        }
    }
    collapsed(&format!("{begin}{}", joined(&segments)))
}

/// The pattern with `*` as its only special character: a choice of letters or texts becomes any text.
fn without_choices(pattern: &str) -> String {
    let mut simple = String::with_capacity(pattern.len());
    let (mut braces, mut in_brackets) = (0_usize, false);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ']' if in_brackets => in_brackets = false,
            _ if in_brackets => {}
            '[' => {
                in_brackets = true;
                simple.push('*');
            }
            '{' => {
                braces += 1;
                simple.push('*');
            }
            '}' => braces = braces.saturating_sub(1),
            _ if braces > 0 => {}
            '*' | '?' => simple.push('*'),
            // A backslash escapes the next letter; this is rare enough to become any text.
            '\\' => {
                letters.next();
                simple.push('*');
            }
            _ => simple.push(letter),
        }
    }
    collapsed(&simple)
}

fn joined(segments: &[&str]) -> String {
    let own = |segment: &&str| {
        // An asterisk may match a slash, so each `_` between asterisks or ends may be an empty segment.
        let without_empty: Vec<&str> = segment.split('*').map(|part| if part == "_" { "" } else { part }).collect();
        if segment.is_empty() || *segment == "_" { "*".to_owned() } else { decoded(&without_empty.join("*")) }
    };
    collapsed(&segments.iter().map(own).collect::<Vec<_>>().join("/"))
}

/// Replaces `%XX`. A letter that is special in a policy, or not ASCII, becomes any text.
fn decoded(segment: &str) -> String {
    let mut own = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(letter) = rest.chars().next() {
        let code = rest.strip_prefix('%').and_then(|after| after.get(..2)).map(|code| u8::from_str_radix(code, 16));
        let (letter, length) = match code {
            Some(Ok(byte @ b' '..=b'~')) if byte != b'*' && byte != b'?' => (char::from(byte), 3),
            Some(Ok(_)) => ('*', 3),
            Some(Err(_)) | None => (letter, letter.len_utf8()),
        };
        own.push(if letter == '$' { '*' } else { letter });
        rest = &rest[length..];
    }
    own
}

fn collapsed(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for letter in pattern.chars().filter(|letter| !letter.is_control()) {
        if letter != '*' || !text.ends_with('*') {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use globset::Glob;
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::stores::Naming;

    /// Whether IAM would match the pattern with the name.
    fn lets_through(pattern: &str, name: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == name,
            Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|behind| {
                (0..=behind.len()).filter(|at| behind.is_char_boundary(*at)).any(|at| lets_through(rest, &behind[at..]))
            }),
        }
    }

    #[test]
    fn patterns_become_those_of_the_stores_own_names() {
        for (pattern, scope, own) in [
            ("shop/live/*", None, "shop/live/*"),
            ("shop/**", None, "shop/*"),
            ("shop/*/aws", None, "shop/*/aws"),
            ("shop/live/eu%2Faws", None, "shop/live/eu/aws"),
            ("-/-/aws", None, "aws"),
            ("*/aws", None, "*aws"),
            ("?/-*", None, "*"),
            ("shop/**/aws", None, "shop*aws"),
            ("-*-aws", None, "*aws"),
            ("shop/{live,test}/aws-[0-9]", None, "shop/*/aws-*"),
            ("shop/live/aws", Some("shop/live"), "aws"),
            ("*/aws", Some("shop/live"), "*"),
            ("a/_/b", None, "a/*/b"),
        ] {
            assert_eq!(native(pattern, scope), own, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn what_include_lets_through_the_policy_lets_through(
            own in "[a-b_%/-]{1,6}(/[ab]{1,2}){0,3}",
            pattern in "(\\*|[ab_-]|\\?|\\{a,b\\}|[ab]b){1,2}(/(\\*\\*|[ab]|\\?|%2F|[ab-]\\*)){0,3}",
            has_scope in any::<bool>(),
        ) {
            let naming = if has_scope { Naming::within("a/b").expect("valid") } else { Naming::default() };
            let (Ok(entry), Ok(glob)) = (naming.entry(&own), Glob::new(&pattern)) else { return Ok(()) };
            if glob.compile_matcher().is_match(entry.as_str()) {
                let narrowed = native(&pattern, naming.scope());
                prop_assert!(lets_through(&narrowed, &own), "{pattern} as {narrowed}: {own}, {entry}");
            }
        }
    }
}
