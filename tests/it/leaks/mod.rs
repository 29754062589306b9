//! No secret leaves the store and IAM's one reply: not in an output, a log, a file, a core, a child's arguments or
//! environment, nor in the process's own memory once its rotation has settled. And whatever is planted is found.

mod channels;
mod commands;
mod echoing;
mod failures;
mod forms;
mod memory;
mod trawl;
