//! Secret stores, one module each; none knows another.
