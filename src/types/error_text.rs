//! Texts of errors: an error with its causes, and whether two messages say the same.

/// Whether `now` says what `before` said: with the same status, error code and names, whatever its request id and
/// numbers. Each new wording would add a line to the journal, for as long as a failure lasts.
#[must_use]
pub fn is_same_matter(before: &str, now: &str) -> bool {
    before == now || words(before).eq(words(now))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_mark = |letter: char| matches!(letter, ',' | ';' | ':' | '.' | '(' | ')' | '"' | '\'');
    let mut before = ["", ""];
    text.split_whitespace().map(move |word| {
        let bare = word.trim_matches(is_mark);
        let is_number = !bare.is_empty() && bare.bytes().all(|letter| letter.is_ascii_digit());
        let shown = match before {
            ["request", "id"] | ["RequestId" | "request_id" | "requestId", _] => "…",
            // A status is a code, not a count.
            [_, "HTTP"] => word,
            _ if is_number => "…",
            _ => word,
        };
        before = [before[1], bare];
        shown
    })
}

/// Returns the message of an error and those of its causes on one line. A cause that the message quotes is not
/// repeated.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_and_counts_are_no_news() {
        for (before, now) in [
            (
                "call X: AWS answered Throttling (HTTP 400, request id a-1)",
                "call X: AWS answered Throttling (HTTP 400, request id b-2)",
            ),
            ("signed for a time 301 s off", "signed for a time 302 s off"),
            ("AWS answered X (request id a); check", "AWS answered X (request id b); check"),
        ] {
            assert!(is_same_matter(before, now), "{before} / {now}");
        }
    }

    #[test]
    fn codes_statuses_and_names_are() {
        for (before, now) in [
            ("AWS answered Throttling (HTTP 400)", "AWS answered AccessDenied (HTTP 400)"),
            ("the store answered (HTTP 500)", "the store answered (HTTP 503)"),
            ("app1/prod cannot be read", "app2/prod cannot be read"),
            ("app/1/x cannot be read", "app/2/x cannot be read"),
            ("no answer", "no answer at all"),
        ] {
            assert!(!is_same_matter(before, now), "{before} / {now}");
        }
    }
}
