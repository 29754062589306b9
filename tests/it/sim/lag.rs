//! The delay and the inconsistency with which IAM shows changes.

/// Spans of time after a key was made, in milliseconds, in which something does not hold yet, or not any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans(pub(crate) Vec<(i64, i64)>);

impl Spans {
    /// From the beginning until `end`.
    pub(crate) fn until(end: i64) -> Self {
        Self(if end > 0 { vec![(0, end)] } else { Vec::new() })
    }

    pub(crate) fn hold(&self, age: i64) -> bool {
        self.0.iter().any(|(from, to)| (*from..*to).contains(&age))
    }

    pub(crate) fn end(&self) -> i64 {
        self.0.iter().map(|(_, to)| *to).max().unwrap_or_default()
    }
}

/// The delays with which IAM and STS show new keys and changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visibility {
    /// The times at which lists lack a new key.
    pub(crate) unlisted: Spans,
    /// The times at which a new key does not authenticate.
    pub(crate) unaccepted: Spans,
    /// The time during which lists still show a deleted key, in milliseconds.
    pub(crate) ghost: i64,
    /// The time during which lists show a former status, in milliseconds.
    pub(crate) stale_status: i64,
    /// For how long changes and deletes do not find a new key, in milliseconds.
    pub(crate) unknown: i64,
    /// The delay until a use of a key is shown, in milliseconds.
    pub(crate) last_used: i64,
}

impl Visibility {
    /// Makes lists and authentication lag by these numbers of milliseconds.
    pub(crate) fn lagging(listed: i64, accepted: i64) -> Self {
        Self { unlisted: Spans::until(listed), unaccepted: Spans::until(accepted), ..Self::default() }
    }

    /// Whether lists are ever behind.
    pub(crate) fn lists_lag(&self) -> bool {
        self.unlisted.end() > 0 || self.ghost > 0 || self.stale_status > 0
    }
}
