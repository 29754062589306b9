//! Tests that the decoder meets what the reference meets, text by text, and reports the same.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::tests::{Elsewhere, Layer, SMALL, layer, noise};
use super::*;

const ID: &str = "AKIAABCDEFGHIJ234567";

/// What one decoder makes of a value.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    /// The texts that it met, in their order, without the break behind the last one.
    met: Vec<Vec<u8>>,
    unopened: Option<Unopened>,
    budget: usize,
}

fn bare(text: &[u8]) -> Vec<u8> {
    text.strip_suffix(&[BREAK]).unwrap_or(text).to_vec()
}

fn by_reference(value: &dyn Source, windows: &Windows) -> Made {
    let mut met = Vec::new();
    let (unopened, budget) = {
        let mut see = |text: &[u8]| met.push(bare(text));
        let decoder = reference::decoder_of(value, windows, &mut see);
        (decoder.unopened, decoder.budget)
    };
    Made { met, unopened, budget }
}

fn by_decoder(value: &dyn Source, windows: &Windows) -> Made {
    let mut met = Vec::new();
    let (unopened, budget) = {
        let mut see = |text: &[u8]| met.push(bare(text));
        let decoder = decoder_of(value, windows, &mut see);
        (decoder.unopened, decoder.budget)
    };
    Made { met, unopened, budget }
}

fn assert_same(value: &[u8]) {
    for windows in [&Windows::OF_VALUES, &SMALL, &TINY] {
        assert!(by_decoder(&value, windows) == by_reference(&value, windows), "{value:?}");
    }
    let elsewhere = Elsewhere(value.to_vec());
    assert!(by_decoder(&elsewhere, &TINY) == by_reference(&elsewhere, &TINY), "{value:?}");
}

/// So small that most values have several.
const TINY: Windows = Windows { size: 1024, overlap: 256, wide_overlap: 768, surely_zlib: 600 };

/// What values are made of.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let wrapped = |inner: Vec<u8>, layers: Vec<Layer>| layers.iter().fold(inner, |bytes, layer| layer.around(&bytes));
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes).into_bytes();
    prop_oneof![
        3 => any::<Vec<u8>>(),
        3 => "[ -~\n\t]{0,300}".prop_map(String::into_bytes),
        3 => "[A-Za-z0-9+/=_ \n-]{0,300}".prop_map(String::into_bytes),
        // Letters by which text and zlib data are recognised in base 64.
        3 => "[eJxnhicjaH3X4wNzg A\n]{0,200}".prop_map(String::into_bytes),
        2 => "([a-z]{1,8} ){0,60}".prop_map(String::into_bytes),
        1 => Just(format!(" {ID} ").into_bytes()),
        1 => any::<Vec<u8>>().prop_map(move |bytes| base64(&bytes)),
        3 => ("[ -~\n]{0,80}", proptest::collection::vec(layer(), 0..=4))
            .prop_map(move |(text, layers)| wrapped(format!("{text}{ID}").into_bytes(), layers)),
        2 => (any::<Vec<u8>>(), proptest::collection::vec(layer(), 0..=3))
            .prop_map(move |(bytes, layers)| wrapped(bytes, layers)),
        // A beginning of something, by itself or in base 64 of some alignment, and in lines.
        4 => (signature(), any::<Vec<u8>>(), 0..9_usize, 1..90_usize, any::<bool>(), any::<bool>()).prop_map(
            |(begin, rest, before, width, plain, cut)| {
                let inside = [&noise(before as u64 + 1, before), begin.as_slice(), &rest].concat();
                if plain {
                    return inside;
                }
                let text = if cut { URL_SAFE_NO_PAD.encode(inside) } else { STANDARD.encode(inside) };
                let text = format!("{}{text}", "x".repeat(before % 4));
                text.as_bytes().chunks(width).collect::<Vec<_>>().join(b"\n".as_slice())
            }
        ),
        1 => (0..40_usize).prop_map(|count| vec![0; count]),
        1 => any::<u16>().prop_map(|seed| noise(u64::from(seed), 1500)),
        1 => any::<u16>().prop_map(|seed| STANDARD.encode(noise(u64::from(seed), 900)).into_bytes()),
    ]
}

/// How compressed data and archives begin, and what resembles them.
fn signature() -> impl Strategy<Value = Vec<u8>> {
    let zlib = |first: std::ops::RangeInclusive<u8>| {
        (0..4_usize, first).prop_map(|(second, first)| vec![0x78, signature::ZLIB_SECOND[second], first])
    };
    let gzip = (0..40_u8, 0..5_u8, any::<u8>())
        .prop_map(|(flags, extra, system)| vec![0x1f, 0x8b, 0x08, flags, 1, 2, 3, 4, extra, system]);
    prop_oneof![
        2 => zlib(0..=7),
        2 => zlib(0..=255),
        1 => gzip,
        2 => (0..9_usize, any::<Vec<u8>>()).prop_map(|(number, rest)| {
            let begin = signature::long_ones().nth(number + 1).expect("nine");
            [begin, rest.as_slice()].concat()
        }),
        1 => Just(b"BZh91AY&SY".to_vec()),
        1 => Just(b"%PDF-1.4".to_vec()),
        1 => Just(vec![0x1f, 0x9d, 0x90]),
        1 => Just(b"\x89PNG\r\n\x1a\nPK\x03\x04\x14\0".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decoder_meets_what_the_reference_meets(pieces in proptest::collection::vec(piece(), 0..6)) {
        assert_same(&pieces.concat());
    }
}

/// A block of zlib data whose second header is cut off behind sizes that are too large: a decompressor fails there, and does
/// not wait for more.
#[test]
fn a_header_that_is_wrong_before_it_ends() {
    assert_same(b"{G8-RGw6b6uB-XR4XgqnXgY7h75irO1dBaDeiA}");
}
