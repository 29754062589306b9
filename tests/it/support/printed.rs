//! What rotator prints, without what differs from run to run.

const UNITS: [&str; 7] = ["ms", "s", "m", "min", "h", "d", "days"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Replaces what differs from run to run: key ids, other ids, times, dates and durations. Space counts as one blank.
pub(crate) fn normalised(line: &str) -> String {
    in_columns(&line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// As [`normalised`], and every blank counts.
pub(crate) fn in_columns(line: &str) -> String {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '…';
    let mut tokens: Vec<String> = Vec::new();
    for letter in line.chars() {
        match tokens.last_mut() {
            Some(last) if is_word(letter) && last.ends_with(is_word) => last.push(letter),
            _ => tokens.push(letter.to_string()),
        }
    }
    let is_number = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    let unit_of = |token: &str| {
        let digits = token.trim_end_matches(|letter: char| letter.is_alphabetic());
        is_number(digits) && UNITS.contains(&&token[digits.len()..])
    };
    let is_digit = |letter: char| letter.is_ascii_digit();
    let (mut plain, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let next = |more: usize| tokens.get(at + more).map_or("", String::as_str);
        let token = tokens[at].as_str();
        let is_id = token.len() >= 8 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The tokens of a date, a time, a decimal number, a version, or an address with its port.
        let mut joined = 1;
        while token.starts_with(is_digit)
            && ["-", ":", "."].contains(&next(joined))
            && next(joined + 1).starts_with(is_digit)
        {
            joined += 2;
        }
        let has_unit = next(joined) == " " && UNITS.contains(&next(joined + 1));
        let (word, taken) = match token {
            _ if token.starts_with("AKIA") => ("KEY", 1),
            _ if is_id && next(1) == "-" && next(8).len() == 12 => ("ID", 9),
            _ if is_id => ("ID", 1),
            "just" if next(1) == " " && next(2) == "now" => ("TIME", 3),
            "now" | "new" => ("TIME", 1),
            _ if unit_of(token) && next(1) == " " && next(2) == "ago" => ("TIME", 3),
            _ if unit_of(token) => ("TIME", 1),
            _ if (joined > 1 || is_number(token)) && has_unit => ("TIME", joined + 2),
            _ if joined > 1 => ("TIME", joined),
            _ if is_number(token) && next(1) == " " && MONTHS.contains(&next(2)) => {
                let has_year = next(3) == " " && next(4).len() == 4 && is_number(next(4));
                ("DATE", if has_year { 5 } else { 3 })
            }
            _ => (token, 1),
        };
        // `6 d 23 h` is one duration, and `2026-12-04 05:55` one moment.
        if word == "TIME" && plain.ends_with(&["TIME", " "]) {
            plain.pop();
        } else {
            plain.push(word);
        }
        at += taken;
    }
    plain.concat()
}

#[test]
fn only_ids_and_times_may_differ() {
    for (one, other) in [
        ("AKIA4H3SECYLW5YUQMO2  x", "AKIAZSJDU6SHZCXMKSUD x"),
        ("01a21de1-f091-725a-8866-d405a2f0b3bc", "01a21de2-1fd3-7327-b099-18535f5a27f5"),
        ("until 2026-11-27T17:41:50Z", "until 2027-01-02T07:01:05Z"),
        ("deleted in 6 d 23 h", "deleted in 58 min"),
        ("it is 12s old", "it is 100d old"),
        ("on 4 Dec at 04:55:26", "on 12 Jan at 14:05:06"),
        ("in 6 d 23 h, then", "in 58 min, then"),
        ("at 05:55:36 CET (in 1 h)", "at 2026-11-28 00:30 CET (in 59 min)"),
        ("on 4 Dec", "on 2 Jan 2027"),
        ("12d  2m ago, s3", "new now, s3"),
        ("(4.2 s)", "(10.1 s)"),
        ("http://127.0.0.1:42187", "http://127.0.0.1:1"),
    ] {
        assert_eq!(normalised(one), normalised(other));
    }
    for (one, other) in
        [("1 rotated", "2 rotated"), ("2 entries", "3 entries"), ("stored-new", "created-new"), ("a b", "ab")]
    {
        assert_ne!(normalised(one), normalised(other));
    }
}
