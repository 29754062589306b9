//! The real binary on storage that fails: its system calls killed or refused one by one (T8), disks that are full,
//! closed, cut or old (T12), and power that fails with writes unsynced (T13). Needs `strace`; never the network.

mod disk;
mod injected;
mod journal_files;
mod power;
mod power_control;
mod recording;
mod replay;
mod scenario;
