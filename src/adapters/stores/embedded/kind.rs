//! The properties of a store file.

use crate::adapters::sqlite::Kind;

/// The properties of a store file.
pub(super) const KIND: Kind = Kind {
    what: "store",
    remedy: "restore it from a backup, together with its key",
    how_made: "check the path; `rotator init` or `rotator store import` makes one",
    // "rotS"
    application_id: 0x726f_7453,
    migrations: &[
        include_str!("../../../../migrations/store/0001_store.sql"),
        include_str!("../../../../migrations/store/0002_versions.sql"),
    ],
    read_from: 1,
    inspect: |_, _| Ok(()),
    // A replaced value is overwritten with zeros.
    more_settings: &[("secure_delete", "ON", "1")],
};
