//! All integration tests in one binary: each binary would link the whole SDK.

mod moto_limits;
mod sandbox_conformance;
mod sandbox_faults;
mod support;
