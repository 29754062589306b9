//! States are distinguished by 128 bits: two lanes of SplitMix64.

use std::hash::{Hash, Hasher};

use super::world::ModelState;

/// 128 bits of a state: two lanes of SplitMix64, so that two states among millions are not taken for one.
pub(super) struct Fingerprint(u64, u64);

impl Fingerprint {
    pub(super) fn of(state: &ModelState) -> u128 {
        let mut this = Self(0x9e37_79b9_7f4a_7c15, 0xd134_2543_de82_ef95);
        state.hash(&mut this);
        (u128::from(this.0) << 64) | u128::from(this.1)
    }

    const fn mix(mut z: u64) -> u64 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = Self::mix(self.0 ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.1 = Self::mix(self.1.rotate_left(23) ^ value.wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_add(1);
    }
}
