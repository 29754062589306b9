//! Large values, which are read by windows: an id across the end of any of them is found.

use proptest::prelude::*;

use super::tests::{Elsewhere, ID, SMALL, by_small_windows, is_possible, layer, wrapped};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_id_is_found_wherever_the_windows_of_a_large_value_end(
        layers in proptest::collection::vec(layer(), 0..=3).prop_filter("UTF-16 of what is no text", |all| is_possible(all)),
        before in 20_000..80_000_usize,
        after in 0..20_000_usize,
    ) {
        // At one end of a window or another, and not always near one.
        let before = if before % 2 == 0 { before / 24_576 * 24_576 + before % 4_096 } else { before };
        let inner = wrapped(&layers, format!(" {ID} ").as_bytes());
        prop_assume!(inner.len() < SMALL.overlap / 2);
        let around = |count: usize| ". ".repeat(count / 2);
        let value = [around(before).as_bytes(), &inner, around(after).as_bytes()].concat();
        prop_assert_eq!(by_small_windows(&value.as_slice()), (true, None), "{:?}", &layers);
        prop_assert_eq!(by_small_windows(&Elsewhere(value)), (true, None), "{:?}", &layers);
    }
}

/// Windows begin after each step, and would begin after each size if they did not overlap.
#[test]
fn an_id_across_the_end_of_any_window_is_found() {
    let step = SMALL.size - SMALL.overlap;
    let ends = (1..=3).flat_map(|number| [number * SMALL.size, number * step, number * step + SMALL.overlap]);
    for end in ends {
        for inside in [1, ID.len() / 2, ID.len() - 1] {
            let value = [". ".repeat(end).as_bytes()[..end - inside].to_vec(), format!("{ID} .").into_bytes()].concat();
            assert_eq!(by_small_windows(&value.as_slice()), (true, None), "{inside} characters before {end}");
            assert_eq!(by_small_windows(&Elsewhere(value)), (true, None), "{inside} characters before {end}");
        }
    }
}
