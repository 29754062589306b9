//! Words that quote a secret in any encoding are withheld whole; all others are shown.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

const SECRET: &str = "wJal/XUtn\"FEMI+K7MDENG/bPxRfiCY\u{e9}EXAMPLEKE";

fn percent(text: &str, small: bool) -> String {
    let each = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte if small => format!("%{byte:02x}"),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(each).collect()
}

fn unicode(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// The forms in which a peer may repeat `text`.
fn echoes(text: &str) -> Vec<String> {
    let json = serde_json::json!(text).to_string();
    let base64 = ["", "x", "xy"].map(|before| STANDARD.encode(format!("{before}{text}")));
    let of_urls = ["", "x", "xy"].map(|before| URL_SAFE_NO_PAD.encode(format!("{before}{text}")));
    let mut echoes = vec![text.to_owned(), percent(text, false), percent(text, true), unicode(text)];
    echoes.extend([json.clone(), serde_json::json!(json).to_string(), json.replace('/', "\\/")]);
    echoes.extend([percent(&json, false), format!("{text:?}"), percent(&base64[1], false)]);
    echoes.extend(base64.into_iter().chain(of_urls));
    echoes
}

fn shown(said: &str, values: &[&str]) -> String {
    let secrets = Secrets::default().values(values.iter().map(|value| value.as_bytes()));
    Words::ours("HTTP 400").because(&Said::of(said)).shown(&secrets)
}

#[test]
fn words_that_quote_a_secret_in_any_encoding_are_withheld_whole() {
    let document = serde_json::json!({ "id": "AKIAIOSFODNN7EXAMPLE", "deep": [{ "password": SECRET }] }).to_string();
    let nested = serde_json::json!({ "env": format!("A=b\nPASSWORD=\"{SECRET}\"\n") }).to_string();
    for echo in echoes(SECRET) {
        for value in [SECRET, &document, &nested, &format!("ID=x\nSECRET={SECRET}\n"), &format!("a: 1\n{SECRET}\n")] {
            assert_eq!(shown(&format!("no to {echo} today"), &[value]), format!("HTTP 400: {WITHHELD}"), "{echo}");
        }
        let token = Secrets::default().tokens([Zeroizing::new(SECRET.to_owned())]);
        assert_eq!(Words::default().theirs(&Said::of(&echo)).shown(&token), WITHHELD, "{echo}");
    }
    for echo in echoes(&document) {
        assert_eq!(shown(&echo, &["other", &document]), format!("HTTP 400: {WITHHELD}"), "{echo}");
    }
}

#[test]
fn a_part_of_a_secret_is_found_and_so_is_one_behind_what_is_shown() {
    let withheld = format!("HTTP 400: {WITHHELD}");
    for part in [&SECRET[..8], &SECRET[11..19], &SECRET[SECRET.len() - 8..]] {
        assert_eq!(shown(part, &[SECRET]), withheld, "{part}");
    }
    let far = format!("{}{SECRET}", "x ".repeat(20_000));
    assert_eq!(shown(&far, &[SECRET]), withheld, "looked at before it is cut");
    // A part of the secret is before the end of what is searched.
    let cut = format!("{}{SECRET}", "x".repeat(LOOKED_AT - 10));
    assert_eq!(shown(&cut, &[SECRET]), withheld);
    let behind = format!("{}{SECRET}", "x".repeat(LOOKED_AT));
    assert_eq!(shown(&behind, &[SECRET]).len(), "HTTP 400: ".len() + MOST_SHOWN, "what is not looked at is not shown");
    assert_eq!(shown(&SECRET[..7], &[SECRET]), format!("HTTP 400: {}", &SECRET[..7]));
}

#[test]
fn other_words_are_shown_plain_and_cut() {
    let document = serde_json::json!({ "aws_secret_access_key": SECRET, "port": 5432, "on": true }).to_string();
    let env = format!("DB_HOST=db.internal\nAWS_SECRET_ACCESS_KEY={SECRET}\n        indented: yes\n");
    for words in [
        "1 error occurred: permission denied",
        "lookup vault.example.com on 10.0.0.2:53: no such host",
        "aws_secret_access_key and AWS_SECRET_ACCESS_KEY are not allowed",
        "------------------------        xxxxxxxxxxxx",
        "check-and-set parameter did not match the current version",
    ] {
        assert_eq!(shown(words, &[SECRET, &document, &env]), format!("HTTP 400: {words}"));
    }
    assert_eq!(shown("a\nb\u{1b}[2J", &[]), "HTTP 400: a b [2J");
    assert_eq!(shown(" \n", &[SECRET]), "HTTP 400");
    assert_eq!(shown(&"\u{e9}".repeat(1000), &[]).chars().count(), "HTTP 400: ".len() + MOST_SHOWN);
}

#[test]
fn a_value_that_looks_like_a_name_is_a_value() {
    for value in ["c2VjcmV0c2VjcmV0==", "user-name:pass-word", "longpassword=\n", "A=\nmy-very-long-secret=\n"] {
        let quoted = value.trim().lines().last().expect("a line").trim_end_matches('=');
        assert_eq!(shown(quoted, &[value]), format!("HTTP 400: {WITHHELD}"), "{value}");
    }
}

#[test]
fn the_refusal_of_one_entry_is_compared_with_the_values_of_the_others() {
    use crate::ports::secret_store::Version;
    use crate::types::secret::SecretValue;
    let value = |text: &str| {
        let value = SecretValue::new(text.as_bytes().to_vec());
        Ok(Heard::Reading(Reading::Value { version: Version("1".to_owned()), value }))
    };
    let unreadable = || Ok(Heard::Unreadable(Words::ours("HTTP 403").because(&Said::of(SECRET))));
    let read = settled(vec![("a", unreadable()), ("b", value(SECRET))], Vec::new()).expect("read");
    assert!(matches!(&read[0].1, Reading::Unreadable(why) if *why == format!("HTTP 403: {WITHHELD}")));
    let failed = || Err(Failed::new(CallErrorKind::Unavailable, Words::ours("HTTP 500").because(&Said::of(SECRET))));
    let told = settled(vec![("a", failed()), ("b", value(SECRET))], Vec::new()).expect_err("failed");
    assert_eq!(told.message, format!("HTTP 500: {WITHHELD}"));
}

/// Comparing each byte of the words with each byte of the secret would take thousands of millions of steps.
#[test]
fn a_large_secret_is_streamed_once() {
    let secret = "abcdefghijklmnopqrstuvwxyz".repeat(1000);
    let said = "0123456789 ".repeat(LOOKED_AT / 11);
    let began = std::time::Instant::now();
    assert!(shown(&said, &[&secret]).starts_with("HTTP 400: 0123456789"));
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}
