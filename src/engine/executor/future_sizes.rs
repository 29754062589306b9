//! The sizes of the futures of a rotation. A thousand rotations wait at once, each with these on the heap, and an `async`
//! block or a large value across an await doubles one without a word.

use super::advance;
use super::state::Executor;
use crate::journal::write_ahead::Journal;

fn of_three<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

fn of_two<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
    size_of::<F>()
}

/// Before they were made smaller, these had 3,664, 3,336, 6,464 and 2,480 bytes.
#[test]
fn the_futures_of_a_rotation_are_small() {
    let sizes = [
        ("advance", of_three(advance), 2_600),
        ("step", of_two(Executor::step), 2_400),
        ("remove", of_three(Executor::remove), 3_000),
        ("open", of_three(Journal::open), 1_300),
    ];
    for (name, size, most) in sizes {
        assert!(size <= most, "{name} has {size} bytes, and may have {most}: {sizes:?}");
    }
}
