//! All integration tests in one binary: each binary would link the whole SDK.

mod sandbox_conformance;
mod sandbox_faults;
mod sim;
mod support;
