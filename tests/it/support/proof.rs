//! A proof counts the cases that it played and the hits of each dangerous window. A run that never hits a window proves
//! nothing about it, so too few hits are a failure.
//!
//! `ROTATOR_TEST_FULL=1` plays the long version, `ROTATOR_TEST_SEED` draws other cases, `ROTATOR_TEST_COUNT` plays that
//! many, `ROTATOR_TEST_PART=3/10` the third of ten parts of the drawn ones, `ROTATOR_TEST_CASE` the one of this number, and
//! `ROTATOR_TEST_REPORT` names a file to which each proof adds one line of JSON (`scripts/torture --full` makes its table
//! of them).

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::time::Instant;

/// Each window must be hit at least this number of times.
const LEAST_HITS: u64 = 30;
/// Each kind of fault must happen at least this number of times; in full 1,000 times in all proofs together.
const LEAST_OF_A_KIND: u64 = 10;
/// In fewer cases than this, kinds of faults are only counted.
const CASES_FOR_KINDS: u64 = 300;

/// One proof under way.
#[derive(Debug)]
pub(crate) struct Proof {
    test: &'static str,
    what: &'static str,
    cases: u64,
    windows: BTreeMap<&'static str, u64>,
    kinds: BTreeMap<&'static str, u64>,
    counts: BTreeMap<&'static str, u64>,
    began: Instant,
}

impl Proof {
    /// `test` by its number ("T6"), `what` it plays in a few words, and the windows it has to hit.
    pub(crate) fn of(test: &'static str, what: &'static str, windows: &[&'static str]) -> Self {
        let windows = windows.iter().map(|window| (*window, 0)).collect();
        let (kinds, counts) = (BTreeMap::new(), BTreeMap::new());
        Self { test, what, cases: 0, windows, kinds, counts, began: Instant::now() }
    }

    /// The kinds of faults that must occur in it.
    pub(crate) fn of_kinds(mut self, kinds: &[&'static str]) -> Self {
        self.kinds = kinds.iter().map(|kind| (*kind, 0)).collect();
        self
    }

    /// Adds the windows, the kinds of faults and other events of one case.
    pub(crate) fn met(&mut self, met: BTreeMap<&'static str, u64>) {
        for (what, times) in met {
            let declared = self.windows.get_mut(what).or_else(|| self.kinds.get_mut(what));
            *declared.unwrap_or_else(|| self.counts.entry(what).or_default()) += times;
        }
    }

    /// One more case was played, and every promise held.
    pub(crate) fn case(&mut self) {
        self.cases += 1;
    }

    /// A window was hit `times` times more.
    pub(crate) fn hit(&mut self, window: &'static str, times: u64) {
        *self.windows.get_mut(window).unwrap_or_else(|| panic!("the window {window} was not declared")) += times;
    }

    /// Something worth telling that is no window.
    pub(crate) fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// Whether the case `number`, counted from 1, is still to be played: all up to `least` are, and then more of them, up to
    /// three times as many, as long as a window was hit too rarely. Where the scheduler decides which window is hit, a fixed
    /// number of cases is too few now and then.
    pub(crate) fn needs(&self, number: u64, least: u64) -> bool {
        let is_short = self.windows.values().any(|hits| *hits < LEAST_HITS);
        let is_one = self::number("ROTATOR_TEST_CASE").is_some();
        number <= least || (is_short && !is_one && number <= 3 * least)
    }

    /// Prints and reports what was counted, and fails if a window was hit too rarely.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "the counts are what the proof is worth")]
    pub(crate) fn conclude(self) {
        let line = serde_json::json!({
            "test": self.test,
            "what": self.what,
            "cases": self.cases,
            "windows": self.windows,
            "kinds": self.kinds,
            "counts": self.counts,
            "violations": 0,
            "seed": seed(),
            "seconds": self.began.elapsed().as_secs(),
        });
        println!("{line}");
        if let Some(path) = std::env::var_os("ROTATOR_TEST_REPORT") {
            let mut file = std::fs::File::options().create(true).append(true).open(path).expect("the report opens");
            file.write_all(format!("{line}\n").as_bytes()).expect("the report is written");
        }
        assert!(self.cases > 0, "{} played nothing", self.test);
        if number("ROTATOR_TEST_CASE").is_some() {
            return;
        }
        let least = if self.cases < CASES_FOR_KINDS { 0 } else { LEAST_OF_A_KIND };
        let rare: Vec<_> = self.kinds.iter().filter(|(_, times)| **times < least).collect();
        assert!(rare.is_empty(), "{}: these came about fewer than {least} times: {rare:?}", self.test);
        let rare: Vec<_> = self.windows.iter().filter(|(_, hits)| **hits < LEAST_HITS).collect();
        assert!(rare.is_empty(), "{}: these windows were hit fewer than {LEAST_HITS} times: {rare:?}", self.test);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Whether the long version is to be played.
pub(crate) fn is_full() -> bool {
    std::env::var_os("ROTATOR_TEST_FULL").is_some_and(|value| value != "0")
}

/// Returns the number of cases: of CI, of the full run, or from `ROTATOR_TEST_COUNT`.
pub(crate) fn cases(in_ci: u64, in_full: u64) -> u64 {
    number("ROTATOR_TEST_COUNT").unwrap_or(if is_full() { in_full } else { in_ci })
}

/// Returns the drawn cases that are played: all, a part of them, or one.
pub(crate) fn part(cases: Range<u64>) -> Range<u64> {
    if let Some(case) = number("ROTATOR_TEST_CASE") {
        return case..case + 1;
    }
    let Ok(text) = std::env::var("ROTATOR_TEST_PART") else { return cases };
    let numbers =
        text.split_once('/').and_then(|(part, of)| Some((part.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
    let Some((part, of)) = numbers.filter(|(part, of)| (1..=*of).contains(part)) else {
        panic!("ROTATOR_TEST_PART={text} is no part: 3/10 is");
    };
    let count = cases.end - cases.start;
    cases.start + count * (part - 1) / of..cases.start + count * part / of
}

/// Whether this case of a list that is too long for CI is played: in full all of them, else one in `often`.
pub(crate) fn plays(case: u64, often: u64) -> bool {
    is_full() || Draw::new(seed(), case).below(often) == 0
}

/// The seed that cases are drawn from.
pub(crate) fn seed() -> u64 {
    number("ROTATOR_TEST_SEED").unwrap_or(20_261_123)
}

/// Draws that are the same everywhere (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Draws of the case `case` under `seed`.
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        let mut mixed = Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        mixed.bits();
        mixed
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 up to `bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// One of these.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.below(choices.len() as u64)).expect("small")]
    }
}
