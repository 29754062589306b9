//! The commands, one file each: what each does, prints and ends with. Steps of a rotation are decided elsewhere.

pub mod allow;
pub mod demo;
pub mod doctor;
pub mod init;
pub mod man;
pub mod plan;
pub mod policy;
pub mod resolve;
pub mod run;
pub mod sandbox;
pub mod status;
pub mod store;
