//! The options of the commands about rotations: which keys or rotations are meant, and how far a command goes.

use clap::Args;

use crate::types::name::{AccessKeyId, SinkName};

/// The options that select keys and set the policy.
#[derive(Debug, Clone, Default, Args)]
pub struct ChoiceArgs {
    /// Rotate only keys whose entry, app/environment, user or id matches (repeatable; * and ? as in file names)
    #[arg(long, value_name = "PATTERN")]
    pub only: Vec<String>,
    /// Rotate no key whose entry, app/environment, user or id matches (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Open at most this many rotations, the oldest keys first
    #[arg(long, value_name = "N")]
    pub limit: Option<String>,
    /// Rotate only keys at least this old, such as 80d
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Leave a key alone that is due and that no program has used for longer than this, such as 45d, or never
    #[arg(long, value_name = "TIME")]
    pub unused_for: Option<String>,
    /// How an entry names its IAM user, such as {app}-{environment}
    #[arg(long, value_name = "TEMPLATE")]
    pub owner_template: Option<String>,
    /// How long both keys stay active after the new one is stored
    #[arg(long, value_name = "TIME")]
    pub overlap: Option<String>,
    /// How long the old key stays inactive before it is deleted
    #[arg(long, value_name = "TIME")]
    pub quarantine: Option<String>,
    /// How long to wait before a key missing from the list of IAM counts as absent
    #[arg(long, value_name = "TIME")]
    pub settle: Option<String>,
    /// How many times in a row a new pair must prove itself
    #[arg(long, value_name = "N")]
    pub confirmations: Option<String>,
    /// The time over which these proofs are spread
    #[arg(long, value_name = "TIME")]
    pub proof_span: Option<String>,
    /// When to discard a new pair that does not prove itself
    #[arg(long, value_name = "TIME")]
    pub proof_timeout: Option<String>,
    /// How many calls to AWS, and how many to the stores, may be in flight at the same time
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,
}

/// The options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Wait for overlaps and quarantines to end, instead of leaving rotations in flight
    #[arg(long)]
    pub wait: bool,
    /// For timers: a rotation that waits for a known time does not cause exit code 3, and what needs an operator
    /// comes first
    #[arg(long)]
    pub waiting_ok: bool,
    /// Only show the plan, as `rotator plan` does
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask first; without a terminal, accept that old keys are deleted at once if no overlap or quarantine is
    /// set
    #[arg(short, long)]
    pub yes: bool,
}

/// The options of `rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The keys: key ids, users, entries or app/environment. `exclude` still leaves keys out
    #[arg(value_name = "KEY|USER", required = true)]
    pub names: Vec<String>,
    /// For a key that has leaked: delete the old key as soon as every place holds the new one and it works, without
    /// overlap, quarantine or a wait for the last use; also ends the wait of a rotation in flight
    #[arg(long)]
    pub now: bool,
    /// How long both keys stay active after the new one is stored
    #[arg(long, value_name = "TIME", conflicts_with = "now")]
    pub overlap: Option<String>,
    /// How long the old key stays inactive before it is deleted
    #[arg(long, value_name = "TIME", conflicts_with = "now")]
    pub quarantine: Option<String>,
    /// Wait for overlaps and quarantines to end
    #[arg(long, conflicts_with = "now")]
    pub wait: bool,
    /// Do not ask first
    #[arg(short, long)]
    pub yes: bool,
}

/// The options of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Resume only these rotations, each named by its user, one of its keys, its id, or a beginning that fits only one
    #[arg(value_name = "ROTATION")]
    pub rotations: Vec<String>,
    /// Wait for overlaps and quarantines to end
    #[arg(long)]
    pub wait: bool,
    /// For timers: a rotation that waits for a known time does not cause exit code 3, and what needs an operator
    /// comes first
    #[arg(long)]
    pub waiting_ok: bool,
    /// How many calls to AWS, and how many to the stores, may be in flight at the same time
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,
}

/// The options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show this rotation, named by its user, one of its keys, its id, or a beginning that fits only one; the latest
    /// closed one if none is in flight
    #[arg(value_name = "ROTATION", conflicts_with = "all")]
    pub rotation: Option<String>,
    /// Show closed rotations, too
    #[arg(long)]
    pub all: bool,
    /// Show the status again every two seconds
    #[arg(long)]
    pub watch: bool,
    /// End with the exit code of the state that is shown
    #[arg(long)]
    pub exit_code: bool,
    /// With --exit-code, as for `run`
    #[arg(long)]
    pub waiting_ok: bool,
}

/// The options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub choice: ChoiceArgs,
}

/// The options of `abort`.
#[derive(Debug, Args)]
pub struct AbortArgs {
    #[command(flatten)]
    pub one: OneRotation,
    /// Take back an abort that was asked for and is not done yet: the rotation continues as before, with its overlap and
    /// quarantine
    #[arg(long)]
    pub undo: bool,
}

/// The argument of `abort` and `reactivate`.
#[derive(Debug, Args)]
pub struct OneRotation {
    /// The rotation: its user, one of its keys, its id, or the first characters of its id, at least 8
    #[arg(value_name = "ROTATION")]
    pub rotation: String,
}

/// The options of `resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The rotation: its user, one of its keys, its id, or the first characters of its id, at least 8
    #[arg(value_name = "ROTATION")]
    pub rotation: String,
    #[command(flatten)]
    pub resolution: Resolution,
}

/// An operator's decision about one key, one sink or the rotation itself.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Resolution {
    /// Delete this key: nothing needs it
    #[arg(long, value_name = "KEY_ID")]
    pub delete_key: Option<AccessKeyId>,
    /// Keep this key, and never ask about it again: something else uses it
    #[arg(long, value_name = "KEY_ID")]
    pub keep_key: Option<AccessKeyId>,
    /// Delete the old key now, without waiting for the overlap, the quarantine or its last use. Every place, the new
    /// pair and all entries are checked as before any removal
    #[arg(long)]
    pub finish: bool,
    /// Do not wait for this sink: nothing reads it any more, or an operator has put the new key there
    #[arg(long, value_name = "SINK")]
    pub leave_sink: Option<SinkName>,
}
