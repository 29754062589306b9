//! How much of one value is taken apart.

/// A value with more pairs, or more ids of keys, is searched and not taken apart: none of its pairs is rotated.
pub const MOST_PAIRS: usize = 1000;

/// A larger value is searched and not taken apart. The largest that a store other than a file gives is 1 MiB, as a rule.
pub const LARGEST_DOCUMENT: usize = 4 * 1024 * 1024;
