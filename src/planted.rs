//! Faults planted on purpose, one at a time, to see that the general tests find them (`scripts/planted`). Without
//! the feature `planted-faults`, as in every release, [`is`] is `false` to the compiler and nothing of this is left.
//! No knowledge of the product lives here: each fault is one `if` where the product would go wrong.

#[cfg(all(feature = "planted-faults", not(debug_assertions)))]
compile_error!("planted faults are for tests: no release may be built with the feature `planted-faults`");

/// Which fault a test has planted, by its name.
#[cfg(feature = "planted-faults")]
pub const VARIABLE: &str = "ROTATOR_TEST_PLANTED_FAULT";

macro_rules! faults {
    ($($(#[doc = $what:literal])+ $fault:ident = $name:literal,)+) => {
        /// A way in which the product could be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Planted {
            $($(#[doc = $what])+ $fault,)+
        }

        impl Planted {
            /// Every fault.
            #[cfg(feature = "planted-faults")]
            pub const ALL: &[Self] = &[$(Self::$fault,)+];

            /// What it is called in [`VARIABLE`].
            #[cfg(feature = "planted-faults")]
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)+
                }
            }
        }
    };
}

faults! {
    /// The SDK tries `CreateAccessKey` again by itself.
    SdkRetries = "sdk-retries",
    /// After a lost reply, whatever key was not there before is deleted at once: no marks, no deactivation.
    ReapByDifference = "reap-by-difference",
    /// A key whose secret is lost is discarded although a write of it may still land.
    NoFence = "no-fence",
    /// The embedded store overwrites whatever version it finds.
    NoCompareAndSet = "no-compare-and-set",
    /// The old key is removed without another look at what the places hold.
    NoReread = "no-reread",
    /// An intent is journaled with its outcome, not before the effect.
    IntentNotDurable = "intent-not-durable",
    /// SQLite does not wait for the disk.
    SynchronousOff = "synchronous-off",
    /// What IAM does not list is not there.
    NoSettle = "no-settle",
    /// Every pair counts as proved.
    ProofSkipped = "proof-skipped",
    /// A pair that answers as somebody else counts as proved.
    WrongUserAccepted = "wrong-user-accepted",
    /// One place that holds the new pair is enough.
    OnePlaceIsEnough = "one-place-is-enough",
    /// Times are told by this machine's wall clock.
    LocalClock = "local-clock",
    /// Two processes may write one journal.
    NoLock = "no-lock",
    /// The entry with the id is written before the one with the secret.
    SecretWrittenLast = "secret-written-last",
    /// An entry that cannot be read counts as one that names no key.
    UnreadableIgnored = "unreadable-ignored",
    /// A delete of what is gone already has failed.
    NoSuchEntityIsFailure = "no-such-entity-is-failure",
    /// A key is removed without a scan for entries that name it.
    NoScan = "no-scan",
    /// A key that turned up late is taken for a spare one and deleted.
    LateKeyTaken = "late-key-taken",
    /// A value that somebody else wrote is taken for the old pair, and replaced.
    ForeignOverwritten = "foreign-overwritten",
    /// A rotation goes on with the credentials of another account.
    AccountNotChecked = "account-not-checked",
    /// An error that is put on record quotes the new secret.
    SecretInError = "secret-in-error",
    /// A `CreateAccessKey` whose reply was lost is taken for one that did not happen.
    UnknownIsRefused = "unknown-is-refused",
    /// The overlap is not waited for.
    NoOverlap = "no-overlap",
    /// The quarantine is not waited for.
    NoQuarantine = "no-quarantine",
    /// A write is believed without reading it back.
    WriteBelieved = "write-believed",
    /// A removal is sent however old the facts are that it rests on.
    StaleFacts = "stale-facts",
    /// A removal takes its turn in the queue only after its final check, and nothing is asked again behind the queue.
    PermitAfterCheck = "permit-after-check",
    /// A rotation is opened although its old pair did not answer as its user.
    OldPairNotProven = "old-pair-not-proven",
    /// The old key goes although a sink may still hold it.
    SinkNotAwaited = "sink-not-awaited",
    /// A key held on evidence goes although its last use was asked for only before it was deactivated.
    StaleEvidence = "stale-evidence",
    /// A deactivation whose reply was lost is repeated although an operator has made the key active again.
    DeactivationRepeated = "deactivation-repeated",
    /// One `Date` is believed, however far it is from the others.
    OneDateBelieved = "one-date-believed",
    /// A refusal for lack of a right is treated as one that another run may not meet.
    RefusalIsTransient = "refusal-is-transient",
    /// A write that met the lock of another program counts as any other refusal.
    LockIsForgotten = "lock-is-forgotten",
    /// Another pair is written to a sink while the one before may still land there.
    SinkWrittenEarly = "sink-written-early",
    /// The search for a key reads values as they are: discovery sees encodings that it does not.
    NarrowSearch = "narrow-search",
    /// The parts by which a large value is searched do not overlap: what stands across two of them is not found.
    WindowsApart = "windows-apart",
    /// rotator's own credentials are used again after they have failed, and the failure counts as any other.
    DeadCredentialsUsed = "dead-credentials-used",
    /// A user that IAM does not find is gone, whatever name it may have now.
    RenameNotFollowed = "rename-not-followed",
    /// That there is no such user counts as the end of the key that was to be deleted.
    NoSuchUserIsNoSuchKey = "no-such-user-is-no-such-key",
    /// A copy of the old pair that turned up late is left to an operator.
    LateCopyLeft = "late-copy-left",
    /// What another writer put back after a write whose end is not on record is overwritten.
    PutBackOverwritten = "put-back-overwritten",
    /// What another program says is shown whatever it quotes.
    ForeignWordsShown = "foreign-words-shown",
    /// A campaign stays open for what only an operator can bring on.
    CampaignKeptOpen = "campaign-kept-open",
}

/// Whether this fault is planted: never, but in a test that asks for it.
#[cfg(not(feature = "planted-faults"))]
#[inline]
#[must_use]
pub const fn is(_: Planted) -> bool {
    false
}

/// Whether this fault is planted.
///
/// # Panics
/// If [`VARIABLE`] names no fault: a test that plants nothing would prove nothing.
#[cfg(feature = "planted-faults")]
#[must_use]
pub fn is(fault: Planted) -> bool {
    static PLANTED: std::sync::LazyLock<Option<Planted>> = std::sync::LazyLock::new(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let known = Planted::ALL.iter().copied().find(|fault| fault.name() == name);
        Some(known.unwrap_or_else(|| panic!("{VARIABLE}={name} is no fault that can be planted")))
    });
    *PLANTED == Some(fault)
}
