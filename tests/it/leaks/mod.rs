//! A secret appears in the store and in IAM's one reply only: not in an output, a log, a file, a core, the arguments or
//! the environment of a child, nor in the memory of the process after its rotation has settled. Control tests plant
//! secrets and find them.

mod channels;
mod commands;
mod echoing;
mod failures;
mod forms;
mod memory;
mod trawl;
