//! Memory for what is decoded: overwritten before it is freed.

use std::ops::{Deref, DerefMut};

/// Bytes that are overwritten when they are dropped, many at a time: [`zeroize::Zeroizing`] overwrites one by one.
#[derive(Default)]
pub(super) struct Wiped(Vec<u8>);

impl Wiped {
    /// The capacity must suffice: what a vector leaves behind when it grows is not overwritten.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// As many zeros.
    pub(super) fn zeros(count: usize) -> Self {
        Self(vec![0; count])
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        // What was in it before it was cleared, too.
        self.0.clear();
        self.0.resize(self.0.capacity(), 0);
        // The compiler must assume that the zeros are read.
        std::hint::black_box(self.0.as_mut_slice());
    }
}
