//! FLOOR 1: which entries hold access keys, how ids pair with secrets, how a new pair is spliced in, and whether a
//! value names an id. Pure: no async, no clock, no IO.
//!
//! Finding is not believing: [`discover`] offers candidates, and IAM's own list confirms each before anything
//! changes. What looks like a key and is not offered is reported with its reason, never passed over in silence.
//!
//! Nothing here puts stored text into a message, except key ids, entry names, and the names of keys and variables.

mod apart;
mod connection;
mod decode;
mod discover;
mod document;
mod dotenv;
mod entry;
mod escapes;
mod field;
mod json;
mod key_format;
mod label;
mod left_alone;
mod limits;
mod mentions;
mod nested;
mod pairing;
mod references;
mod relevance;
mod siblings;
mod signature;
mod skip_reason;
mod source;
mod splice;
mod sweep;
mod toml;
mod wiped;
mod yaml;

pub use decode::Unopened;
pub use discover::{Candidate, Discovered, Discovery, Findings, Values, discover};
pub use entry::StoredEntry;
pub use field::Unclear;
pub use left_alone::{Ambiguity, Instead, LeftAlone, WhyLeftAlone};
pub use limits::{LARGEST_DOCUMENT, MOST_PAIRS};
pub use mentions::{Mention, Mentions};
pub use references::{Needles, Searched, names};
pub use skip_reason::SkipReason;
pub use source::Source;
pub use splice::{PairSeen, ReadPairError, SpliceError, read_pair, read_pairs, rehearse_splice, splice_all};
pub use sweep::left_in_large;
