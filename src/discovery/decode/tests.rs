//! Tests that an id is found in every form, that what is not read to its end is reported, and that the cost is
//! bounded.

use std::io::Write as _;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::discovery::{Needles, StoredEntry, discover, key_format};
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::secret::SecretValue;

pub(super) const ID: &str = "AKIAABCDEFGHIJ234567";

fn found(bytes: &[u8]) -> bool {
    let id = AccessKeyId::new(ID).expect("valid");
    !Needles::new([&id]).search(&bytes).named.is_empty()
}

/// So small that a test plays many of them.
pub(super) const SMALL: Windows =
    Windows { size: 32 * 1024, overlap: 8 * 1024, wide_overlap: 24 * 1024, surely_zlib: 1024 };

/// As a file: nothing of it is in memory.
pub(super) struct Elsewhere(pub(super) Vec<u8>);

impl Source for Elsewhere {
    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        // Less at once than is asked for, as a file may give.
        let most = into.len().min(5_000);
        self.0.as_slice().read_at(at, &mut into[..most])
    }
}

/// Whether the id is found by small windows, and why there may be more.
pub(super) fn by_small_windows(value: &dyn Source) -> (bool, Option<Unopened>) {
    let mut found = false;
    let unopened = decoder_of(value, &SMALL, &mut |met| {
        found |= memchr::memmem::find(met, ID.as_bytes()).is_some();
    })
    .unopened;
    (found, unopened)
}

/// Bytes that nothing can be made of, the same for the same seed.
pub(super) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(count)
    .collect()
}

fn unopened(bytes: &[u8]) -> Option<Unopened> {
    decode(&bytes, &mut |_| {})
}

/// One way to encode bytes. A byte that encodes a character is that of Latin-1.
#[derive(Debug, Clone)]
pub(super) enum Layer {
    /// Little-endian or not, with a mark or not.
    Utf16 {
        little: bool,
        mark: bool,
    },
    /// In quotes, these letters as `\u0041`, `\x41` (YAML) or `\U00000041`.
    Escaped {
        which: u8,
        ways: Vec<u8>,
    },
    /// These bytes as `%41`.
    Percents {
        ways: Vec<u8>,
    },
    /// By which alphabet, with this number of characters of base 64 before it and in lines of this width.
    Base64 {
        engine: u8,
        before: usize,
        width: usize,
    },
    Gzip,
    Zlib,
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'%')
}

impl Layer {
    pub(super) fn around(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Utf16 { little, mark } => {
                let units = mark.then_some(0xfeff).into_iter().chain(bytes.iter().map(|byte| u16::from(*byte)));
                units.flat_map(|unit| if *little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
            }
            Self::Escaped { which, ways } => {
                let escape = |byte: u8| match which % 3 {
                    0 => format!("\\u{byte:04x}"),
                    1 => format!("\\x{byte:02X}"),
                    _ => format!("\\U{byte:08x}"),
                };
                let letters = bytes.iter().zip(ways.iter().cycle()).map(|(byte, way)| match byte {
                    b'\n' if way % 2 == 0 => "\\n".to_owned(),
                    b'\\' | b'"' if way % 2 == 0 => format!("\\{}", char::from(*byte)),
                    byte if is_plain(*byte) && way % 2 == 0 => char::from(*byte).to_string(),
                    byte => escape(*byte),
                });
                format!("{{\"k\": \"{}\"}}", letters.collect::<String>()).into_bytes()
            }
            Self::Percents { ways } => {
                let letters = bytes.iter().zip(ways.iter().cycle()).map(|(byte, way)| {
                    if is_plain(*byte) && way % 2 == 0 { char::from(*byte).to_string() } else { format!("%{byte:02x}") }
                });
                format!("s3://{}@bucket", letters.collect::<String>()).into_bytes()
            }
            Self::Base64 { engine, before, width } => {
                let text = match engine % 4 {
                    0 => STANDARD.encode(bytes),
                    1 => STANDARD_NO_PAD.encode(bytes),
                    2 => URL_SAFE.encode(bytes),
                    _ => URL_SAFE_NO_PAD.encode(bytes),
                };
                let text = format!("{}{text}", "x".repeat(*before));
                let lines: Vec<&[u8]> = text.as_bytes().chunks(*width).collect();
                lines.join(if engine % 8 < 4 { "\n" } else { "\r\n  " }.as_bytes())
            }
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).expect("in memory");
                encoder.finish().expect("in memory")
            }
            Self::Zlib => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).expect("in memory");
                encoder.finish().expect("in memory")
            }
        }
    }

    /// Whether it is taken off together with what it lies around.
    const fn is_free(&self) -> bool {
        matches!(self, Self::Utf16 { .. })
    }
}

pub(super) fn layer() -> impl Strategy<Value = Layer> {
    let ways = || proptest::collection::vec(any::<u8>(), 1..6);
    prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(little, mark)| Layer::Utf16 { little, mark }),
        (any::<u8>(), ways()).prop_map(|(which, ways)| Layer::Escaped { which, ways }),
        ways().prop_map(|ways| Layer::Percents { ways }),
        (any::<u8>(), 0..5_usize, 1..90_usize).prop_map(|(engine, before, width)| Layer::Base64 {
            engine,
            before,
            width
        }),
        Just(Layer::Gzip),
        Just(Layer::Zlib),
    ]
}

/// UTF-16 (the free layer) encodes text, so it cannot be around a layer that gives binary data.
pub(super) fn is_possible(layers: &[Layer]) -> bool {
    let binary = |layer: &Layer| matches!(layer, Layer::Gzip | Layer::Zlib | Layer::Utf16 { .. });
    layers.windows(2).all(|two| !(two[1].is_free() && binary(&two[0])))
        && layers.iter().filter(|layer| !layer.is_free()).count() <= DEEPEST
}

pub(super) fn wrapped(layers: &[Layer], innermost: &[u8]) -> Vec<u8> {
    layers.iter().fold(innermost.to_vec(), |bytes, layer| layer.around(&bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_id_is_found_in_every_composition_of_encodings(
        // Without what is an escape by itself, and so one more encoding.
        before in "[ -$&-\\[\\]-~\n]{0,20}",
        after in "[ -$&-\\[\\]-~\n]{0,20}",
        layers in proptest::collection::vec(layer(), 0..=7).prop_filter("UTF-16 of what is no text", |all| is_possible(all)),
    ) {
        let bytes = wrapped(&layers, format!("{before} {ID} {after}").as_bytes());
        prop_assert!(found(&bytes), "{layers:?}");
        // Near the bound a reading that takes off the wrong encoding may seem to have one more in it: that only holds back.
        if layers.len() + 2 <= DEEPEST {
            prop_assert!(unopened(&bytes).is_none(), "{layers:?}");
        }
    }

    #[test]
    fn the_search_finds_every_pair_that_discovery_reports(
        layers in proptest::collection::vec(layer(), 0..=3).prop_filter("UTF-16 of what is no text", |all| is_possible(all)),
        form in 0..5_usize,
        in_name in any::<bool>(),
    ) {
        const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE";
        let text = match form {
            0 => format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"),
            1 => format!("{{\"accessKeyId\":\"{ID}\",\"secretAccessKey\":\"{SECRET}\"}}"),
            2 => format!("aws:\n  access_key_id: \"\\x41{}\"\n  secret_access_key: {SECRET}\n", &ID[1..]),
            3 => format!("s3://%41{}:{}@bucket", &ID[1..], SECRET.replace('/', "%2F")),
            _ => format!("# once {ID}\n"),
        };
        let name = if in_name { "shop/live/%41KIAABCDEFGHIJ234567.env" } else { "shop/live/env" };
        let (store, name) = (StoreName::new("s").expect("valid"), EntryName::new(name).expect("valid"));
        let entry = StoredEntry { store, name, value: SecretValue::new(wrapped(&layers, text.as_bytes())) };
        let entries = [entry];
        let findings = discover(&entries);
        let reported = findings.candidates.iter().map(|found| &found.key_id);
        let reported: Vec<_> = reported.chain(findings.left_alone.iter().filter_map(|left| left.key_id.as_ref())).collect();
        prop_assert!(reported.iter().any(|id| id.as_str() == ID), "discovery sees it: {findings:?}");
        for id in reported {
            let needles = Needles::new([id]);
            let named = needles.search(&entries[0].value).named.len() + needles.in_name(&entries[0].name).len();
            prop_assert!(named > 0, "{id} is reported and not found");
        }
    }

    #[test]
    fn noise_is_read_to_its_end_and_names_nothing(bytes in any::<Vec<u8>>(), text in "[ -~\n]{0,400}") {
        for value in [bytes.as_slice(), text.as_bytes()] {
            let mut ids = 0;
            prop_assert_eq!(decode(&value, &mut |met| ids += key_format::ids_within(met).count()), None);
            prop_assert_eq!(ids, 0);
        }
    }
}

#[test]
fn the_forms_that_writers_are_known_to_leave() {
    let utf16 = |text: &str| Layer::Utf16 { little: true, mark: true }.around(text.as_bytes());
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes).into_bytes();
    let dotenv = format!("AWS_ACCESS_KEY_ID={ID}\r\n");
    let helm =
        Layer::Gzip.around(format!("{{\"manifest\":\"data:\\n  env: {}\\n\"}}", STANDARD.encode(&dotenv)).as_bytes());
    for (what, bytes) in [
        ("PowerShell's redirection", utf16(&dotenv)),
        ("PowerShell's -EncodedCommand", base64(&Layer::Utf16 { little: true, mark: false }.around(dotenv.as_bytes()))),
        ("base 64 twice", base64(&base64(dotenv.as_bytes()))),
        ("a Secret of Helm's", base64(&base64(&helm))),
        ("YAML's escapes", format!("note: \"\\x41{}\"", &ID[1..]).into_bytes()),
        ("YAML, on two lines", format!("note: \"{}\\\n    {}\"", &ID[..9], &ID[9..]).into_bytes()),
        ("TOML's escapes", format!("note = \"\\U00000041{}\"", &ID[1..]).into_bytes()),
        ("a shell's escapes", format!("note=$'\\101{}'", &ID[1..]).into_bytes()),
        ("JavaScript's escapes", format!("\"\\u{{41}}{}\"", &ID[1..]).into_bytes()),
        ("bytes that are no text", [b"\0\xff\xfe".as_slice(), ID.as_bytes(), b"\x80"].concat()),
        ("two members of gzip", [Layer::Gzip.around(b"one"), Layer::Gzip.around(dotenv.as_bytes())].concat()),
        ("gzip behind something else", [b"head".as_slice(), &Layer::Gzip.around(dotenv.as_bytes())].concat()),
        ("zlib in base 64", base64(&Layer::Zlib.around(dotenv.as_bytes()))),
    ] {
        assert!(found(&bytes), "{what}");
        assert_eq!(unopened(&bytes), None, "{what}");
    }
}

#[test]
fn another_id_is_another_id() {
    let other = AccessKeyId::new("AKIAABCDEFGHIJ234566").expect("valid");
    for before in ["", "a", "ab"] {
        let value = STANDARD.encode(format!("{before}{ID}"));
        assert!(Needles::new([&other]).search(&value.as_bytes()).named.is_empty());
    }
    assert!(!found(b"") && !found(b"AKIA ABCDEFGHIJ234567") && !found(b"AKIA-ABCDEFGHIJ234567"));
}

#[test]
fn an_unopened_part_is_reported_wherever_it_is() {
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0rest".as_slice();
    let damaged = &Layer::Gzip.around(&[7; 4000])[..20];
    for (kind, bytes) in [
        ("zip", zip),
        ("zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("xz", b"\xfd7zXZ\0\0\x04"),
        ("zstd", b"\x28\xb5\x2f\xfd\x24\x05"),
        ("bzip2", b"BZh91AY&SY...."),
        ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        ("lz4", b"\x04\x22\x4d\x18\x64\x40"),
        ("rar", b"Rar!\x1a\x07\x01\0"),
        ("lzip", b"LZIP\x01\x0c"),
        // A letter, and the code that clears the table.
        ("compress", b"\x1f\x9d\x90\x61\x00\x02"),
        ("PDF", b"%PDF-1.7\n"),
        ("damaged gzip", damaged),
    ] {
        let wrapped = Layer::Base64 { engine: 0, before: 0, width: 76 }.around(&[bytes, &[0x80; 20]].concat());
        let quoted = Layer::Escaped { which: 0, ways: vec![0] }.around(&wrapped);
        for bytes in [bytes, &wrapped, &quoted] {
            assert_eq!(unopened(bytes), Some(Unopened::Archive(kind)), "{kind}");
        }
    }
    // Behind other things, as in a tar file.
    assert_eq!(unopened(&[&[0; 512], zip].concat()), Some(Unopened::Archive("zip")));
    assert!(Unopened::Archive("zip").to_string().contains("zip"));
}

/// The base 64 of each has the first three bytes of what `compress` writes. Among two million there were seven.
#[test]
fn a_random_secret_is_no_archive() {
    for secret in [
        "92H50MJ/nilrAlPzLApdIvjIU8B/wuyaeUjglXkA",
        "qyH52PdAw8VnXCO4v5FYlnhs+Sg+ncWHkUtkgj8C",
        "NH52Q6EUdvWn9N1SVRw+8FummQJpLj1XQ9mwXSL+",
    ] {
        assert_eq!(unopened(secret.as_bytes()), None, "{secret}");
    }
}

#[test]
fn images_keystores_and_what_is_encrypted_hold_nothing_back() {
    let noise = noise(88_172_645_463_325_252, 60_000);
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0rest".as_slice();
    for start in [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBP",
        b"\xfe\xed\xfe\xed\0\0\0\x02",
        b"age-encryption.org/v1\n",
    ] {
        assert_eq!(unopened(&[start, zip, &noise].concat()), None, "{start:?}");
    }
    for (what, value) in [
        ("PKCS#12", [b"\x30\x82\x0a\x01\x02\x01\x03".as_slice(), &noise].concat()),
        ("OpenPGP", [b"\x85\x01\x0c\x03".as_slice(), &noise].concat()),
        ("armour", format!("-----BEGIN PGP MESSAGE-----\n\n{}\n-----END", STANDARD.encode(&noise)).into_bytes()),
        ("Ansible", format!("$ANSIBLE_VAULT;1.1;AES256\n{}", "6162633132330a".repeat(400)).into_bytes()),
        ("sops", format!("k: ENC[AES256_GCM,data:{},iv:", STANDARD.encode(&noise)).into_bytes()),
    ] {
        assert_eq!(unopened(&value), None, "{what}");
    }
}

#[test]
fn a_part_that_is_nested_too_deeply_is_reported() {
    let layers = [
        Layer::Escaped { which: 0, ways: vec![0, 1, 0, 0] },
        Layer::Percents { ways: vec![0, 1] },
        Layer::Base64 { engine: 0, before: 0, width: 76 },
        Layer::Gzip,
    ];
    for layer in &layers {
        // As often as can be taken off, and once more.
        let around = |times: usize| wrapped(&vec![layer.clone(); times], ID.as_bytes());
        assert!(found(&around(1)) && unopened(&around(1)).is_none());
        assert!(found(&around(DEEPEST)), "{layer:?}");
        assert_eq!(unopened(&around(DEEPEST)), None, "{layer:?}");
        assert!(!found(&around(DEEPEST + 1)), "{layer:?}");
        assert_eq!(unopened(&around(DEEPEST + 1)), Some(Unopened::TooDeep), "{layer:?}");
    }
    // Nested quotes alone hide nothing.
    let nested = (0..9).fold("a \"word\" b".to_owned(), |text, _| serde_json::to_string(&text).expect("a string"));
    assert_eq!(unopened(nested.as_bytes()), None);
}

#[test]
fn the_work_is_bounded_whatever_the_value() {
    let mut bomb = Layer::Gzip.around(&vec![b'a'; MOST_INFLATED + 1]);
    assert_eq!(unopened(&bomb), Some(Unopened::TooMuch));
    bomb = Layer::Gzip.around(&Layer::Gzip.around(&vec![0; MOST_INFLATED + 1]));
    assert_eq!(unopened(&bomb), Some(Unopened::TooMuch));
}

#[test]
fn an_ordinary_value_takes_a_small_part_of_what_it_may() {
    let taken = |bytes: &[u8]| {
        let may = READ_AT_LEAST + bytes.len() * READ_FOR_EACH_BYTE;
        (may - decoder_of(&bytes, &Windows::OF_VALUES, &mut |_| {}).budget) / bytes.len()
    };
    let dotenv = format!("# comment\nAWS_ACCESS_KEY_ID={ID}\nURL=https://user:p%40ss@host/?a=b\n").repeat(2000);
    let json = serde_json::to_string(&serde_json::to_string(&dotenv).expect("a string")).expect("a string");
    let base64 = STANDARD.encode(&json);
    for (what, text) in [("dotenv", &dotenv), ("JSON in JSON", &json), ("base 64", &base64)] {
        let taken = taken(text.as_bytes());
        assert!(taken < READ_FOR_EACH_BYTE / 2, "{what}: {taken}");
    }
}

/// The escaped line ends are letters of base 64 to the reading that does not know them. That reading sees the header of
/// gzip and no more.
#[test]
fn gzip_that_one_reading_cuts_behind_its_header_is_opened_by_another() {
    let layers = [
        Layer::Gzip,
        Layer::Percents { ways: vec![0] },
        Layer::Base64 { engine: 0, before: 0, width: 47 },
        Layer::Escaped { which: 0, ways: vec![50] },
    ];
    let bytes = wrapped(&layers, format!(" {ID} ").as_bytes());
    assert!(found(&bytes));
    assert_eq!(unopened(&bytes), None);
}

/// By its size it fits into no window as it is compressed, or into few.
#[test]
fn a_compressed_part_is_opened_across_windows_or_reported() {
    // Its compressed form ends in the id.
    let of_size = |size: usize| [noise(7, size), format!("\n{ID}\n").into_bytes()].concat();
    for layer in [Layer::Gzip, Layer::Zlib] {
        // By itself it may have any size.
        let plain = layer.around(&of_size(200_000));
        for before in [0, 20_000, 31_990] {
            let value = [vec![b'.'; before], plain.clone()].concat();
            assert_eq!(by_small_windows(&value.as_slice()), (true, None), "{layer:?} after {before}");
            assert_eq!(by_small_windows(&Elsewhere(value)), (true, None), "{layer:?} after {before}");
        }
        // In an encoding a window has to hold it.
        let wrapped = |size: usize| STANDARD.encode(layer.around(&of_size(size))).into_bytes();
        for before in (0..60_000).step_by(7_001) {
            let value = |size: usize| [vec![b'.'; before], wrapped(size), vec![b'.'; 40_000]].concat();
            assert_eq!(by_small_windows(&value(15_000).as_slice()), (true, None), "{layer:?} after {before}");
            let (_, unopened) = by_small_windows(&value(60_000).as_slice());
            assert_eq!(unopened, Some(Unopened::TooMuch), "{layer:?} after {before}");
        }
    }
}

#[test]
fn a_large_image_holds_nothing_back() {
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0rest".as_slice();
    let image = [b"\x89PNG\r\n\x1a\n".as_slice(), &noise(3, 50_000), zip, &noise(4, 50_000)].concat();
    assert_eq!(by_small_windows(&image.as_slice()), (false, None));
    assert_eq!(by_small_windows(&&image[1..]), (false, Some(Unopened::Archive("zip"))));
}

#[test]
fn a_part_that_cannot_be_read_any_more_is_reported() {
    struct Gone;
    impl Source for Gone {
        fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
            if at > 0 { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(into.len().min(100)) }
        }
    }
    assert_eq!(by_small_windows(&Gone), (false, Some(Unopened::Unread)));
}
