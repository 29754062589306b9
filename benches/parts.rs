//! How fast the inner parts are, in bytes a second: the search of stored values, discovery, and the writing of a new pair.
//!
//! Run with `cargo bench --bench parts`. If `ROTATOR_BENCH_RECORDS` names a file, the records are written to it as a JSON
//! list, for another program to search, and nothing is measured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use divan::Bencher;
use divan::counter::BytesCount;
use rotator::discovery::{Needles, StoredEntry, discover, splice_all};
use rotator::types::name::{AccessKeyId, EntryName, StoreName};
use rotator::types::secret::{SecretKey, SecretValue};

fn main() {
    match std::env::var_os("ROTATOR_BENCH_RECORDS") {
        None => divan::main(),
        Some(file) => {
            let records = records(&KINDS);
            let texts: Vec<&str> =
                records.iter().filter_map(|record| std::str::from_utf8(record.expose()).ok()).collect();
            std::fs::write(file, serde_json::to_vec(&texts).expect("JSON")).expect("the file can be written");
        }
    }
}

/// How many records there are of each kind.
const RECORDS: usize = 1000;

/// How long a record is, about.
const LENGTH: usize = 1024;

/// Kinds of stored values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    EscapedJson,
    Dotenv,
    Yaml,
    Base64,
    Pem,
    English,
}

const KINDS: [Kind; 7] =
    [Kind::Json, Kind::EscapedJson, Kind::Dotenv, Kind::Yaml, Kind::Base64, Kind::Pem, Kind::English];

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("31 bits") % most
    }

    fn id(&mut self) -> String {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letters = (0..16).map(|_| char::from(BASE32[self.below(32)]));
        format!("AKIA{}", letters.collect::<String>())
    }

    fn base64(&mut self, bytes: usize) -> String {
        STANDARD.encode((0..bytes).map(|_| self.below(256).to_le_bytes()[0]).collect::<Vec<u8>>())
    }

    fn prose(&mut self, length: usize) -> String {
        const PROSE: &str = include_str!("../docs/operations.md");
        let words: Vec<&str> = PROSE.split_ascii_whitespace().filter(|word| word.is_ascii()).collect();
        let mut text = String::new();
        for word in &words[self.below(words.len() - length)..] {
            if text.len() > length {
                break;
            }
            text.push_str(word);
            text.push(if text.len() % 80 < 8 { '\n' } else { ' ' });
        }
        text
    }

    fn name(&mut self) -> String {
        const NAMES: [&str; 8] =
            ["database_url", "region", "timeout", "replicas", "endpoint", "username", "queue", "owner"];
        format!("{}_{}", NAMES[self.below(NAMES.len())], self.below(1000))
    }

    fn value(&mut self) -> String {
        match self.below(5) {
            0 => self.below(100_000).to_string(),
            1 => "https://api.example.com/v1/items".to_owned(),
            2 => "eu-west-1".to_owned(),
            3 => self.prose(30).replace(['\n', '"', ':', '\\', '#'], " ").trim().to_owned(),
            _ => self.base64(18),
        }
    }
}

fn record(kind: Kind, random: &mut Random, with_pair: bool) -> String {
    let (id, secret) = (random.id(), random.base64(30));
    let mut text = String::new();
    let mut fields = |begin: &str, line: &dyn Fn(&str, &str) -> String| {
        text.push_str(begin);
        if with_pair {
            text.push_str(&line("aws_access_key_id", &id));
            text.push_str(&line("aws_secret_access_key", &secret));
        }
        while text.len() < LENGTH {
            let (name, value) = (random.name(), random.value());
            text.push_str(&line(&name, &value));
        }
    };
    match kind {
        Kind::Json => {
            fields("{", &|name, value| format!("\"{name}\":\"{value}\","));
            text.push_str("\"end\":1}");
        }
        Kind::EscapedJson => {
            fields("", &|name, value| format!("{name}=\"{value}\"\n"));
            text = serde_json::json!({ "env": text }).to_string();
        }
        Kind::Dotenv => fields("# settings\n", &|name, value| format!("{}='{value}'\n", name.to_uppercase())),
        Kind::Yaml => fields("app:\n", &|name, value| format!("  {name}: {value}\n")),
        Kind::Base64 => text = random.base64(LENGTH * 3 / 4),
        Kind::Pem => {
            let body = random.base64(LENGTH * 3 / 4);
            let lines: Vec<&[u8]> = body.as_bytes().chunks(64).collect();
            let body = String::from_utf8(lines.join(b"\n".as_slice())).expect("ASCII");
            text = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        }
        Kind::English => text = random.prose(LENGTH),
    }
    if with_pair && !text.contains(&id) && kind != Kind::EscapedJson {
        text.push_str(&format!(" {id} "));
    }
    text
}

/// Records, of which one in ten has a pair or an id.
fn records(kinds: &[Kind]) -> Vec<SecretValue> {
    let mut random = Random(88_172_645_463_325_252);
    let number = |number: usize| {
        SecretValue::new(record(kinds[number % kinds.len()], &mut random, number.is_multiple_of(10)).into())
    };
    (0..RECORDS).map(number).collect()
}

fn entries() -> Vec<StoredEntry> {
    let entry = |(number, value)| StoredEntry {
        store: StoreName::new("store").expect("a name"),
        name: EntryName::new(format!("app{number}/live/config")).expect("a name"),
        value,
    };
    records(&KINDS).into_iter().enumerate().map(entry).collect()
}

fn bytes<'v>(values: impl IntoIterator<Item = &'v SecretValue>) -> BytesCount {
    BytesCount::new(values.into_iter().map(|value| value.expose().len()).sum::<usize>())
}

fn needles(count: usize) -> Needles {
    let mut random = Random(7);
    let ids: Vec<AccessKeyId> = (0..count).map(|_| AccessKeyId::new(random.id()).expect("an id")).collect();
    Needles::new(&ids)
}

#[divan::bench(args = KINDS)]
fn decode_and_scan(bencher: Bencher<'_, '_>, kind: Kind) {
    let (records, needles) = (records(&[kind]), needles(10));
    let search = || records.iter().map(|record| needles.search(record).named.len()).sum::<usize>();
    bencher.counter(bytes(&records)).bench_local(search);
}

#[divan::bench(args = [10, 10_000])]
fn decode_and_scan_all_kinds(bencher: Bencher<'_, '_>, ids: usize) {
    let (records, needles) = (records(&KINDS), needles(ids));
    let search = || records.iter().map(|record| needles.search(record).named.len()).sum::<usize>();
    bencher.counter(bytes(&records)).bench_local(search);
}

#[divan::bench]
fn discover_all_kinds(bencher: Bencher<'_, '_>) {
    let entries = entries();
    bencher.counter(bytes(entries.iter().map(|entry| &entry.value))).bench_local(|| discover(&entries));
}

#[divan::bench]
fn splice(bencher: Bencher<'_, '_>) {
    let entries = entries();
    let candidates = discover(&entries).candidates;
    let value = |name: &EntryName| entries.iter().find(|entry| entry.name == *name).map(|entry| &entry.value);
    let (id, secret) = (AccessKeyId::new("AKIAABCDEFGHIJ234567").expect("an id"), SecretKey::new("s".repeat(40)));
    let places: Vec<Vec<_>> = candidates.iter().map(|candidate| candidate.places.iter().collect()).collect();
    let written = places.iter().flatten().filter_map(|place| value(&place.id.entry));
    bencher.counter(bytes(written)).bench_local(|| {
        for places in &places {
            divan::black_box(splice_all(places, value, &id, &secret).expect("a new value"));
        }
    });
}
