//! Secret stores, one module each; none knows another.

pub mod embedded;
