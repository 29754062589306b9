//! The TOML reader finds every string with its range of bytes, and rejects invalid TOML.

use super::*;

/// Pointer, group, name and what it says.
type Parsed = (String, String, Option<String>, String);

/// Parses the text, and checks that the bytes inside the quotes encode each string.
fn parsed(text: &str) -> Option<Vec<Parsed>> {
    let fields = fields(text)?;
    Some(
        fields
            .into_iter()
            .map(|field| {
                let Location::Toml { pointer } = field.location else { unreachable!("TOML only") };
                let Group::Tree { document: 0, pointer: group } = field.group else { unreachable!("a tree") };
                let said = field.text.expect("strings say something").to_string();
                if field.writing != Writing::Fixed && !text[field.span.clone()].contains('\\') {
                    assert_eq!(said, text[field.span], "{text:?}");
                }
                (pointer, group, field.name, said)
            })
            .collect(),
    )
}

#[test]
fn every_string_has_its_pointer() {
    let text = "\u{feff}# é\r\nb = \"1\" # why\r\na.\"x/y\".c = '2'\r\nn = 1979-05-27\r\n[t.u]\r\nd = { e = \"\\u0033\", f.g = [ \
                '4', [\"\"\"5\"\"\"], ], }\r\n[[v]]\r\nh = '''6'''\r\n[[v]]\r\nh = \"\"\"\r\n7\r\n8\"\"\"\r\n";
    let expected = [
        ("/b", "", Some("b"), "1"),
        ("/a/x~1y/c", "/a/x~1y", Some("c"), "2"),
        ("/t/u/d/e", "/t/u/d", Some("e"), "3"),
        ("/t/u/d/f/g/0", "/t/u/d/f/g", None, "4"),
        ("/t/u/d/f/g/1/0", "/t/u/d/f/g/1", None, "5"),
        ("/v/0/h", "/v/0", Some("h"), "6"),
        ("/v/1/h", "/v/1", Some("h"), "7\r\n8"),
    ];
    let expected = expected.map(|(pointer, group, name, said)| {
        (pointer.to_owned(), group.to_owned(), name.map(str::to_owned), said.to_owned())
    });
    let parsed = parsed(text).expect("TOML");
    assert_eq!(parsed[..6], expected[..6]);
    assert_eq!(parsed[6].3.replace("\r\n", "\n"), "7\n8");
    assert_eq!(parsed.len(), 7);
}

#[test]
fn the_form_of_quotes_is_recognised() {
    for (text, writing) in [
        ("a = \"b\"", Writing::DoubleQuoted),
        ("a = \"\\u0041\"", Writing::DoubleQuoted),
        ("a = 'b'", Writing::SingleQuoted),
        ("a = \"\"\"b\"\"\"", Writing::DoubleQuoted),
        ("a = \"\"\"\\u0041\"\"\"", Writing::DoubleQuoted),
        ("a = '''b'''", Writing::SingleQuoted),
        ("a = ''", Writing::SingleQuoted),
        ("a = '''\nb'''", Writing::Fixed),
        ("a = \"\"\"\\\n  b\"\"\"", Writing::Fixed),
    ] {
        assert_eq!(fields(text).expect("TOML")[0].writing, writing, "{text:?}");
    }
}

#[test]
fn other_text_is_no_toml() {
    for text in [
        "",
        "words",
        "# only a comment",
        "[table]",
        "n = 1",
        "a = b",
        "A='1'\nexport B='2'",
        "a = 'b'\na = 'c'",
        "a = 'b'\n[a]\nc = 'd'",
        "a: b\nc = 'd'",
        "a = \"b",
    ] {
        assert!(fields(text).is_none(), "{text:?}");
    }
    for (open, close) in [("[", "]"), ("{a=", "}"), ("{a.b.c=", "}")] {
        let deep = format!("a = {}'b'{}", open.repeat(50_000), close.repeat(50_000));
        assert!(fields(&deep).is_none());
    }
    assert!(fields(&format!("{}a = 'b'", "a.".repeat(50_000))).is_none());
    assert!(fields(&format!("[{}a]\nb = 'c'", "a.".repeat(50_000))).is_none());
}
