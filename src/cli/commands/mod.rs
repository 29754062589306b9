//! The commands, one file each: what each command does and prints, and its exit code. No step of a rotation is
//! decided here.

pub mod abort;
pub mod allow;
mod ask;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod init;
mod leaked_key;
mod lost_key;
pub mod man;
mod named_rotation;
mod operator_request;
pub mod plan;
pub mod policy;
pub mod reactivate;
pub mod resolve;
pub mod resume;
pub mod rotate;
pub mod run;
pub mod sandbox;
pub mod schema;
pub mod status;
mod still_active;
pub mod store;
