//! Tests which scalars are found, the positions of their bytes, what is not read, and the copies that anchors make.

use super::*;
use crate::discovery::field::Writing;

/// Where, what it says, and how it is written; checks that the bytes say it.
fn told(text: &str) -> Vec<(String, Result<String, Unclear>, Writing)> {
    let fields = fields(text).unwrap_or_else(|| panic!("YAML: {text:?}"));
    fields
        .into_iter()
        .map(|field| {
            let said = field.text.map(|said| said.to_string());
            match (&said, field.writing) {
                (Ok(said), Writing::YamlPlain | Writing::YamlLiteral) => {
                    assert_eq!(said, &text[field.span], "{text:?}")
                }
                (_, Writing::SingleQuoted | Writing::DoubleQuoted) => {
                    let quotes =
                        (&text[field.span.start - 1..field.span.start], &text[field.span.end..=field.span.end]);
                    assert!(matches!(quotes, ("'", "'") | ("\"", "\"")), "{text:?} {quotes:?}");
                }
                _ => {}
            }
            (field.location.to_string(), said, field.writing)
        })
        .collect()
}

#[track_caller]
fn tells(text: &str, expected: &[(&str, Result<&str, Unclear>, Writing)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(place, said, writing)| ((*place).to_owned(), said.map(str::to_owned), *writing))
        .collect();
    assert_eq!(told(text), expected, "{text:?}");
}

#[test]
fn the_usual_forms_of_a_scalar_are_read() {
    use Writing::{DoubleQuoted, Fixed, SingleQuoted, YamlLiteral, YamlPlain};
    for (text, said, writing) in [
        ("a: b", Ok("b"), YamlPlain),
        ("a: b  # why\n", Ok("b"), YamlPlain),
        ("a:  b \r\nc:\r\n", Ok("b"), YamlPlain),
        ("\u{feff}a: é b#c\n", Ok("é b#c"), YamlPlain),
        ("a:\n  b\n", Ok("b"), YamlPlain),
        ("a: +/=x==\n", Ok("+/=x=="), YamlPlain),
        ("a: http://x:y@z\n", Ok("http://x:y@z"), YamlPlain),
        ("a: 'b'  \n", Ok("b"), SingleQuoted),
        ("a: 'b''c' # why\r\n", Ok("b'c"), SingleQuoted),
        ("a: \"b\"\t\r\n", Ok("b"), DoubleQuoted),
        ("a: \"\\u0041\\/\"\n", Ok("A/"), DoubleQuoted),
        ("a: &x b\n", Ok("b"), YamlPlain),
        ("a: &x 'b'\n", Ok("b"), SingleQuoted),
        ("a: !!str &x \"b\"\n", Ok("b"), DoubleQuoted),
        ("a: &x\n  b\n", Ok("b"), YamlPlain),
        ("a: |\n  b\n", Ok("b"), YamlLiteral),
        ("a: |-\r\n    b\r\n", Ok("b"), YamlLiteral),
        ("a: &x |+ # why\n  b\n\n\n", Ok("b"), YamlLiteral),
        ("a: |2\n    b\n", Ok("  b"), YamlLiteral),
        ("a: |\n  b\n  c\n", Ok("b\nc"), Fixed),
        ("a: >\n  b\n", Err(Unclear::Folded), Fixed),
        ("a: b\n  c\n", Err(Unclear::Folded), Fixed),
        ("a: 'b\n  c'\n", Err(Unclear::Folded), Fixed),
        ("a: \"b\\\n  c\"\n", Err(Unclear::Folded), Fixed),
        ("a: &x # why\n  b\n", Err(Unclear::Folded), Fixed),
        ("a: !Sub b\n", Err(Unclear::Tagged), YamlPlain),
        ("a: !!binary |\n  b\n", Err(Unclear::Tagged), YamlLiteral),
        ("{a: b }", Ok("b"), YamlPlain),
        ("{\"a\":\"b\",}", Ok("b"), DoubleQuoted),
    ] {
        let all = told(text);
        assert_eq!(all[0], ("/a".to_owned(), said.map(str::to_owned), writing), "{text:?}");
    }
}

#[test]
fn every_scalar_has_its_pointer() {
    use Writing::YamlPlain;
    let plain = |place: &'static str, said: &'static str| (place, Ok(said), YamlPlain);
    let text = "a/b: 1\nc:\n- 2\n- {d~: 3, e: [4, [5]]}\n-\n  - 6\n? f\n: 7\n? [g]\n: 8\n&h i: &j 9\n*j : 10\n";
    tells(
        text,
        &[
            plain("/a~1b", "1"),
            plain("/c/0", "2"),
            plain("/c/1/d~0", "3"),
            plain("/c/1/e/0", "4"),
            plain("/c/1/e/1/0", "5"),
            plain("/c/2/0", "6"),
            plain("/f", "7"),
            plain("/i", "9"),
        ],
    );
    let stream = "%YAML 1.2\n---\na: 1\n...\n# why\n--- # and\n- 2\n---\nalone\n--- {}\n---\nb: 3\n";
    tells(stream, &[plain("/a", "1"), plain("/0 of document 2", "2"), plain("/b of document 5", "3")]);
}

#[test]
fn groups_are_of_one_document() {
    let fields = fields("a: {b: 1}\n---\na: {b: 1}\n").expect("YAML");
    let group = |document, pointer: &str| Group::Tree { document, pointer: pointer.to_owned() };
    assert_eq!((&fields[0].group, &fields[1].group), (&group(0, "/a"), &group(1, "/a")));
    assert_eq!(fields[0].name.as_deref(), Some("b"));
}

#[test]
fn a_null_is_no_text() {
    let fields = fields("a:\nb: ~\nc: null\nd: true\ne: ''\nf: nil\n").expect("YAML");
    let names: Vec<_> = fields.iter().filter_map(|field| field.name.as_deref()).collect();
    assert_eq!(names, ["e", "f"]);
}

#[test]
fn a_key_that_is_there_twice_is_marked_with_all_beneath_it() {
    let twice = |text: &str| -> Vec<bool> { fields(text).expect("YAML").iter().map(|field| field.twice).collect() };
    assert_eq!(twice("a: 1\n'a': 2\nb: 3\n"), [true, true, false]);
    assert_eq!(twice("a: {x: 1}\na: {y: 2}\nab: 3\n---\na: 4\n"), [true, true, false, false]);
    assert_eq!(twice("- a: 1\n- a: 2\n"), [false, false]);
}

#[test]
fn other_text_is_no_yaml() {
    for text in [
        "",
        "words",
        "words: and: more",
        "'quoted'",
        "- ",
        "{}",
        "{a: b",
        "a: b\n c: d\n",
        "a: *b\n",
        "a: &x 1\n---\nb: *x\n",
        "a: \"\\ud800\"\n",
        "a:\n\t- b\n",
        "a: b\u{0}\n",
        "# c\u{2028}a: b\n",
        "a: b\n\u{85}c: d\n",
    ] {
        assert!(text == "- " || fields(text).is_none(), "{text:?}");
    }
    assert!(fields(&"[".repeat(100_000)).is_none() && fields(&"- ".repeat(100_000)).is_none());
    assert!(fields(&"? ".repeat(100_000)).is_none() && fields(&"{a: ".repeat(100_000)).is_none());
}

/// The numbers of the scalars under `i` and `s`: equal where both may be changed together.
fn stand_together(text: &str) -> bool {
    let fields = fields(text).unwrap_or_else(|| panic!("YAML: {text:?}"));
    let alias_group =
        |name: &str| fields.iter().find(|field| field.name.as_deref() == Some(name)).expect("there").alias_group;
    alias_group("i") == alias_group("s")
}

#[test]
fn an_alias_of_a_whole_pair_is_one_group() {
    for text in [
        "a: {i: 1, s: 2}\n",
        "a: &x {i: 1, s: 2}\nb: *x\nc: [*x, *x]\n",
        "a: &x [{i: 1, s: 2}]\nb: *x\n",
        "a: &x {i: 1, s: 2}\nb: {<<: *x, other: 3}\nc: {<<: [*x], r: 3}\n",
        // Both are another's there.
        "a: &x {i: 1, s: 2}\nb: {<<: *x, i: 3, s: 4}\n",
        "a: &y {i: 3, s: 4}\nb: &x {i: 1, s: 2}\nc: {<<: [*y, *x]}\n",
        "a: &x {p: {i: 1, s: 2}}\nb: {<<: *x, p: 3}\n",
        "a: &x {i: 1, s: 2}\nb: &y {<<: *x, q: 3}\nc: {<<: *y, i: 4, s: 5}\n",
        "i: &i 1\ns: &s 2\nc: {access: *i, secret: *s}\nd: {access: *i, secret: *s}\n",
        "a: {i: &i 1, s: &s 2}\nb: [*s, *i]\n",
        "b: {<<: {i: 1, s: 2}, c: 3}\n",
        "a: &x {i: 1, s: 2, t: *x}\n",
    ] {
        assert!(stand_together(text), "{text}");
    }
}

#[test]
fn an_alias_of_half_a_pair_is_no_group() {
    for text in [
        "i: 1\ns: &s 2\npassword: *s\n",
        "i: &i 1\ns: 2\nuser: *i\n",
        "i: &i 1\ns: &s 2\nc: {access: *i, secret: *s}\nd: {password: *s}\n",
        "i: &i 1\ns: &s 2\nc: {access: *i, secret: *s, password: *s}\n",
        "a: &x {i: 1, s: 2}\nb: {<<: *x, i: 3}\n",
        "a: &x {i: 1, s: 2}\nb: {i: 3, <<: *x}\n",
        "a: &x {i: 1, p: &p {s: 2}}\nb: *p\n",
        "a: &y {s: 3}\nb: &x {i: 1, s: 2}\nc: {<<: [*y, *x]}\n",
        // However many merges are between.
        "a: &x {i: 1, s: 2}\nb: &y {<<: *x}\nc: &z {<<: *y}\nd: {<<: *z, s: 4}\n",
        "b: {<<: {i: 1, s: 2}, s: 3}\n",
        "? &i k\n: {i: &j 1, s: 2}\n? *j\n: 3\n",
    ] {
        assert!(!stand_together(text), "{text}");
    }
}

/// Each expands to more than any machine holds, or asks for more steps than any has.
#[test]
fn aliases_are_never_followed_and_merges_only_so_far() {
    let bomb: String = (1..60).map(|n| format!("b{n}: &b{n} [{}]\n", format!("*b{}, ", n - 1).repeat(10))).collect();
    assert!(stand_together(&format!("b0: &b0 {{i: 1, s: 2}}\n{bomb}")));
    let lattice: String = (1..40).map(|n| format!("b{n}: &b{n} {{<<: [*b{}, *b{}]}}\n", n - 1, n - 1)).collect();
    assert!(!stand_together(&format!("b0: &b0 {{i: 1, s: 2}}\n{lattice}")));
    let names = |from: usize| (from..from + 2000).map(|n| format!("k{n}: 0, ")).collect::<String>();
    let wide: String = (0..2000).map(|n| format!("c{n}: {{<<: [*x, *y]}}\n")).collect();
    let text = format!("x: &x {{{}i: 1, s: 2}}\ny: &y {{{}}}\n{wide}", names(0), names(1));
    let began = std::time::Instant::now();
    let _ = stand_together(&text);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert!(!stand_together("a: &x {<<: *x, i: 1, s: 2}\n"), "a circle");
}
