//! Generates realistic stored documents from a tape of bytes, which proptest and libFuzzer supply and can shorten. The
//! same tape gives the same documents. This file has no tests; the fuzz targets share it.

use rotator::discovery::StoredEntry;
use rotator::types::name::{EntryName, StoreName};
use rotator::types::secret::SecretValue;

/// Bytes to choose by; when it has run out every choice is the first one.
pub(crate) struct Tape<'t>(&'t [u8]);

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const ID_NAMES: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "aws_access_key_id",
    "awsAccessKeyId",
    "S3_ACCESS_KEY_ID",
    "access-key-id",
    "AWS_ACCESS_KEY_ID_2",
    "id",
];
const SECRET_NAMES: [&str; 7] = [
    "AWS_SECRET_ACCESS_KEY",
    "aws_secret_access_key",
    "awsSecretAccessKey",
    "S3_SECRET_ACCESS_KEY",
    "secret-access-key",
    "AWS_SECRET_ACCESS_KEY_2",
    "secret",
];
const ODD: [&str; 16] = [
    "",
    "plain",
    "ünïcödé ✓",
    "\u{feff}",
    "\t",
    "a=b",
    "\"",
    "'",
    "\\",
    "# not a comment",
    "$HOME",
    "`id`",
    "%41%4B",
    "\u{0}",
    "\u{202e}",
    "[default]",
];

impl<'t> Tape<'t> {
    pub(crate) const fn new(bytes: &'t [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn one_of<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }

    /// One time in `of`; never when the tape has run out.
    fn now_and_then(&mut self, of: usize) -> bool {
        self.below(of) == of - 1
    }

    fn letters(&mut self, alphabet: &[u8], length: usize) -> String {
        // Few bytes of the tape make many letters, each its own.
        let mut state = u64::from(self.byte()) << 8 | u64::from(self.byte());
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(alphabet[(state >> 33) as usize % alphabet.len()])
            })
            .collect()
    }

    fn id(&mut self) -> String {
        match self.below(8) {
            7 => format!("ASIA{}", self.letters(BASE32, 16)),
            6 => self.letters(b"abcdefghij0123456789", 20),
            5 => "AKIAIOSFODNN7EXAMPLE".to_owned(),
            _ => format!("AKIA{}", self.letters(BASE32, 16)),
        }
    }

    fn secret(&mut self) -> String {
        match self.below(8) {
            7 => self.letters(b"0123456789abcdef", 40),
            6 => "short".to_owned(),
            _ => self.letters(BASE64, 40),
        }
    }

    /// A few entries of one or two environments.
    pub(crate) fn entries(&mut self) -> Vec<StoredEntry> {
        let mut entries: Vec<StoredEntry> = Vec::new();
        let mut pair = (self.id(), self.secret());
        for number in 0..=self.below(3) {
            if self.now_and_then(3) {
                pair = (self.id(), self.secret());
            }
            let scope = self.one_of(&["app/production", "app/production", "app/staging"]);
            let named: Vec<(String, String)> = match self.below(9) {
                0 => vec![(format!("doc{number}.json"), self.json(&pair))],
                1 => vec![(format!("env{number}"), self.lines(&pair, false))],
                2 => vec![(format!("ini{number}"), self.lines(&pair, true))],
                3 => self.two(&pair),
                4 | 5 => vec![(format!("doc{number}.yaml"), self.yaml(&pair))],
                6 => vec![(format!("doc{number}.toml"), self.toml(&pair))],
                7 => vec![(format!("url{number}"), self.connection(&pair))],
                _ => vec![(format!("any{number}"), self.prose(&pair))],
            };
            for (name, text) in named {
                let Ok(name) = EntryName::new(format!("{scope}/{name}")) else { continue };
                if entries.iter().all(|entry| entry.name != name) {
                    let value = SecretValue::new(self.spoil(text));
                    entries.push(StoredEntry { store: StoreName::new("sqlite:x").expect("valid"), name, value });
                }
            }
        }
        entries
    }

    /// Two entries, their values with what editors and shells leave around them.
    fn two(&mut self, pair: &(String, String)) -> Vec<(String, String)> {
        let which = self.below(ID_NAMES.len());
        let around = self.one_of(&["", "\n", "\r\n", " ", "\t\n"]);
        let before = self.one_of(&["", "", " ", "\u{feff}"]);
        let value = |text: &str| format!("{before}{text}{around}");
        vec![(ID_NAMES[which].to_owned(), value(&pair.0)), (SECRET_NAMES[which].to_owned(), value(&pair.1))]
    }

    /// A JSON string of the text, with more escapes than it needs.
    fn string(&mut self, text: &str) -> String {
        let style = self.below(4);
        let inner: String = text
            .chars()
            .map(|letter| match (letter, style) {
                ('"' | '\\', _) => format!("\\{letter}"),
                (letter, _) if u32::from(letter) < 32 => format!("\\u{:04x}", u32::from(letter)),
                ('/', 1) => "\\/".to_owned(),
                (letter, 2) if letter.is_ascii() => format!("\\u{:04X}", u32::from(letter)),
                (letter, _) => letter.to_string(),
            })
            .collect();
        format!("\"{inner}\"")
    }

    fn json(&mut self, pair: &(String, String)) -> String {
        let which = self.below(ID_NAMES.len());
        let mut members = vec![
            format!("{}: {}", self.string(ID_NAMES[which]), self.string(&pair.0)),
            format!("{}:{}", self.string(SECRET_NAMES[which]), self.string(&pair.1)),
        ];
        for _ in 0..self.below(4) {
            let name = self.one_of(&ODD);
            let value = match self.below(6) {
                0 => "-1.5E+3".to_owned(),
                1 => "[null, true, {}]".to_owned(),
                2 => "{\"a\\u0000b\": [[]]}".to_owned(),
                3 => self.string(&pair.0),
                _ => {
                    let text = self.other(pair);
                    self.string(&text)
                }
            };
            let at = self.below(members.len() + 1);
            members.insert(at, format!("{} : {value}", self.string(name)));
        }
        if self.now_and_then(6) {
            let again = members[self.below(members.len())].clone();
            members.push(again);
        }
        let gap = self.one_of(&["", " ", "\n  ", "\r\n\t"]);
        let mut text = format!("{{{gap}{}{gap}}}", members.join(&format!(",{gap}")));
        for _ in 0..self.below(6) {
            text = match self.below(4) {
                0 => format!("[{text}]"),
                1 => format!("{{{}: {text}}}", self.string("deeper")),
                2 => format!("[{text}, {text}]"),
                _ => format!("{{{}:{text},\"z\":[0,{}]}}", self.string("a/b~c"), self.string("~1")),
            };
        }
        if self.now_and_then(12) {
            let depth = 100 + self.below(100);
            text = format!("{}{text}{}", "[".repeat(depth), "]".repeat(depth));
        }
        format!("{}{text}{gap}", self.one_of(&["", "", "\u{feff}", "\n"]))
    }

    fn lines(&mut self, pair: &(String, String), sections: bool) -> String {
        let which = self.below(ID_NAMES.len());
        let mut lines = Vec::new();
        if sections {
            lines.push(self.one_of(&["[default]", "[ profile a ]", "[x] # why", "[]"]).to_owned());
        }
        for (name, text) in [(ID_NAMES[which], &pair.0), (SECRET_NAMES[which], &pair.1)] {
            lines.push(self.line(name, text));
            if self.now_and_then(3) {
                lines.push(
                    self.one_of(&["# a comment", "; another", "", "   ", "\u{a0}", "not an assignment"]).to_owned(),
                );
            }
        }
        for _ in 0..self.below(5) {
            let at = self.below(lines.len() + 1);
            let other = match self.below(8) {
                0 => format!("# was {}", pair.0),
                1 => "[other]".to_owned(),
                2 => lines[self.below(lines.len())].clone(),
                _ => {
                    let (name, text) = (self.one_of(&["PATH", "x.y-z", "_", "ÜBER", "two words"]), self.other(pair));
                    self.line(name, &text)
                }
            };
            lines.insert(at, other);
        }
        if self.now_and_then(16) {
            lines.extend((0..500).map(|number| format!("FILLER_{number}={number}")));
        }
        let end = self.one_of(&["\n", "\r\n", "\n", "\r"]);
        format!("{}{}{}", self.one_of(&["", "", "\u{feff}"]), lines.join(end), self.one_of(&[end, "", "\n\n"]))
    }

    fn line(&mut self, name: &str, text: &str) -> String {
        let quote = self.one_of(&["", "'", "\"", ""]);
        let before = self.one_of(&["", "export ", "  ", "export\t"]);
        let equals = self.one_of(&["=", " = ", "= ", "\t=\t"]);
        let after = self.one_of(&["", "", "  ", " # why", " ;x", "\t"]);
        format!("{before}{name}{equals}{quote}{text}{quote}{after}")
    }

    /// A text beside a pair: sometimes a connection string, with the same pair or another.
    fn other(&mut self, pair: &(String, String)) -> String {
        match self.below(7) {
            6 => {
                let another = (self.id(), self.secret());
                format!("[x]\naws_access_key_id = {}\naws_secret_access_key = {}\n", another.0, another.1)
            }
            5 => {
                let another = (self.id(), self.secret());
                self.connection(&another)
            }
            4 => self.connection(pair),
            _ => self.one_of(&ODD).to_owned(),
        }
    }

    fn connection(&mut self, pair: &(String, String)) -> String {
        let encode = |text: &str| text.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
        let (id, mut secret) = (&pair.0, pair.1.clone());
        if self.now_and_then(4) {
            secret = secret.replace('/', "x");
        } else if !self.now_and_then(4) {
            secret = encode(&secret);
        }
        match self.below(6) {
            0 => format!("s3://{id}:{secret}@bucket/path"),
            1 => format!("sqs://{id}:{secret}@"),
            2 => format!("https://host/p?x=y%2F&access_key={id}&secret_key={secret}#z"),
            3 => {
                format!("s3::https://host?AWS_SECRET_ACCESS_KEY={secret}&AWS_ACCESS_KEY_ID={id}&AWS_ACCESS_KEY_ID_2=z")
            }
            4 => format!("Endpoint=x;AccessKeyId={id};SecretAccessKey={};", pair.1),
            _ => format!("User = {id} ; Password = {} ; Other=a=b", pair.1),
        }
    }

    /// A YAML scalar of the text, as a value beneath a key that is not indented.
    fn scalar(&mut self, text: &str) -> String {
        let properties = self.one_of(&["", "", "", "", "", "&s ", "!!str ", "!t "]);
        let body = match self.below(7) {
            0 | 6 => text.to_owned(),
            1 => format!("'{}'", text.replace('\'', "''")),
            2 => format!("\"{text}\""),
            3 => self.string(text),
            4 => format!("{}\n    {text}", self.one_of(&["|", "|-", "|+", "| # why"])),
            _ => format!("{}\n    {text}", self.one_of(&[">", ">-", ""])),
        };
        format!("{properties}{body}")
    }

    fn yaml(&mut self, pair: &(String, String)) -> String {
        let which = self.below(ID_NAMES.len());
        let mut members = Vec::new();
        for (name, text) in [(ID_NAMES[which], &pair.0), (SECRET_NAMES[which], &pair.1)] {
            let after = self.one_of(&["", "", "  ", " # why", "\t"]);
            members.push(format!("{name}: {}{after}", self.scalar(text)));
        }
        for _ in 0..self.below(4) {
            let other = match self.below(9) {
                0 => format!("# was {}", pair.0),
                1 => "empty:".to_owned(),
                2 => "z: *s".to_owned(),
                3 => members[self.below(members.len())].clone(),
                4 => format!("list: [a, {{b: {}}}, \"c\"]", self.one_of(&ODD)),
                5 => format!("{}: &s {}", self.one_of(&["w", "password"]), pair.1),
                _ => {
                    let text = self.other(pair);
                    format!("{}: {}", self.one_of(&["o", "url", "'p q'", "? r"]), self.scalar(&text))
                }
            };
            let at = self.below(members.len() + 1);
            members.insert(at, other);
        }
        let mut text = if self.now_and_then(5) {
            format!("{{{}}}", members.join(", ").replace('\n', " "))
        } else {
            members.join("\n")
        };
        for _ in 0..self.below(5) {
            text = self.yaml_around(&text);
        }
        let end = self.one_of(&["\n", "\n", "\r\n", "\r"]);
        let before = self.one_of(&["", "", "\u{feff}", "%YAML 1.2\n---\n"]);
        format!("{before}{}{}", text.replace('\n', end), self.one_of(&[end, ""]))
    }

    /// Surrounds the YAML with mappings, sequences, anchors with their uses, and further documents.
    fn yaml_around(&mut self, text: &str) -> String {
        let indented = text.replace('\n', "\n  ");
        match self.below(8) {
            0 => format!("deeper:\n  {indented}"),
            1 => format!("- {indented}\n-   x"),
            2 => format!("a: &a\n  {indented}\nb: *a\nc: [*a, *a]"),
            3 => format!("a: &a\n  {indented}\nb:\n  <<: *a\n  {}: other", self.one_of(&ID_NAMES)),
            4 => format!("a: &a\n  {indented}\nb: {{<<: [*a], y: 1}}"),
            5 => format!("{text}\n--- # next\n{}", self.one_of(&["x: y", "- z", "...", "{}", "w"])),
            6 => format!("# \u{e9}\n--- \n{text}\n..."),
            _ => format!("? {indented}\n: x"),
        }
    }

    /// A TOML string of the text.
    fn toml_string(&mut self, text: &str) -> String {
        match self.below(7) {
            0 | 6 => format!("\"{text}\""),
            1 => format!("'{text}'"),
            2 => self.string(text),
            3 => format!("'''{text}'''"),
            4 => format!("\"\"\"{}{text}\"\"\"", self.one_of(&["", "\n", "\\\n  "])),
            _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }

    fn toml(&mut self, pair: &(String, String)) -> String {
        let which = self.below(ID_NAMES.len());
        let dotted = self.one_of(&["", "", "a.", "\"\u{e9}/~\". b ."]);
        let mut members = Vec::new();
        for (name, text) in [(ID_NAMES[which], &pair.0), (SECRET_NAMES[which], &pair.1)] {
            members.push(format!("{dotted}{name} = {}", self.toml_string(text)));
        }
        let before = self.one_of(&["", "t = \"x\"", "n = [1, [\"a\"]]", "d = 1979-05-27 # \u{e9}", "# why\n\n"]);
        let mut text = if self.now_and_then(3) {
            format!("{before}\ninline = {{ {} }}", members.join(" , "))
        } else {
            for _ in 0..self.below(4) {
                let other = match self.below(6) {
                    0 => format!("# was {}", pair.0),
                    1 => members[self.below(members.len())].clone(),
                    2 => "list = [\n  \"a\", # b\n]".to_owned(),
                    _ => {
                        let (name, text) = (self.one_of(&["x", "y.z", "'p q'", "url"]), self.other(pair));
                        format!("{name} = {}", self.toml_string(&text))
                    }
                };
                let at = self.below(members.len() + 1);
                members.insert(at, other);
            }
            let header = self.one_of(&["", "[t]", "[ t . \"u v\" ] # why", "[[v]]\nw = 1\n[[v]]"]);
            format!("{before}\n{header}\n{}", members.join(self.one_of(&["\n", " # why\n", "\t\n\n"])))
        };
        if self.now_and_then(3) {
            text.push_str("\n[last]\nm = '''\n'''");
        }
        let end = self.one_of(&["\n", "\r\n"]);
        format!("{}{}", text.replace('\n', end), self.one_of(&[end, ""]))
    }

    fn prose(&mut self, pair: &(String, String)) -> String {
        match self.below(5) {
            0 => format!("user {} has {}", pair.0, pair.1),
            1 => format!("smtp://{}:{}@host", pair.0, pair.1.replace('/', "%2F")),
            2 => format!("note: the key is {}\n  and so on: {}\n", pair.0, pair.1),
            3 => self.string(&pair.0),
            _ => self.one_of(&ODD).to_owned(),
        }
    }

    /// Now and then what an accident makes of it: cut off, doubled, a byte changed, no UTF-8 any more.
    fn spoil(&mut self, text: String) -> Vec<u8> {
        let mut bytes = text.into_bytes();
        if !self.now_and_then(4) || bytes.is_empty() {
            return bytes;
        }
        let at = (self.below(256) << 8 | self.below(256)) % bytes.len();
        match self.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] = self.byte(),
            2 => bytes.insert(at, self.byte()),
            3 => drop(bytes.remove(at)),
            4 => bytes.extend_from_within(at..),
            _ => bytes.insert(at, 0xff),
        }
        bytes
    }
}
