//! Killed after a write and before it was read back. The previous version in the store shows that the write had taken
//! effect.

use PlaceContent::{New, Old};

use super::*;

/// The previous version holds the new pair, so another writer wrote after rotator: rotator does not overwrite that.
#[test]
fn killed_after_the_write_and_the_old_pair_put_back_meanwhile() {
    for shows in [vec![Old], vec![New, Old], vec![Old, Old]] {
        for secret in [false, true] {
            let mut story = in_doubt_over(1, &Intent::StoreNew).hand(secret, false).places(&shows);
            story.known.put_back = vec!["place 1".to_owned()];
            let still_new = if shows.contains(&New) { vec!["place 0".to_owned()] } else { Vec::new() };
            let places = vec!["place 1".to_owned()];
            story.concludes(&Event::Blocked(BlockReason::Reverted { places, still_new, new_key_gone: false }));
            // The way back that the message names, and no other.
            story.rotation.abort_asked = true;
            let cannot =
                Event::Blocked(BlockReason::CannotAbort { places: vec!["place 0".to_owned()], new_key_gone: false });
            story.concludes(&if shows.contains(&New) { cannot } else { not_done() });
        }
    }
}
