//! The examples of each command: for `--help` and for the manual pages. A test parses every one of rotator.

/// A command line that can be pasted, and what it does.
pub(in crate::cli) struct Example {
    pub(in crate::cli) line: &'static str,
    pub(in crate::cli) does: &'static str,
}

const fn example(line: &'static str, does: &'static str) -> Example {
    Example { line, does }
}

/// The examples of each command, by its words behind `rotator`. The first is the program without a command.
const EXAMPLES: [(&str, &[Example]); 32] = [
    (
        "",
        &[
            example("rotator demo", "see a crash in the middle of a rotation, and the recovery"),
            example("rotator init", "look for stores that hold keys, and write rotator.toml"),
            example("rotator doctor", "check the configuration, the stores, the credentials and the permissions"),
            example("rotator plan --older-than 80d", "show which keys are due, and change nothing"),
            example("rotator run --older-than 80d --overlap 1h --quarantine 7d", "rotate them, with a way back"),
            example("rotator status", "show what is in flight"),
        ],
    ),
    (
        "run",
        &[
            example("rotator run --overlap 1h --quarantine 7d", "rotate what is due, and keep a way back for a week"),
            example("rotator run --only 'shop/*' --limit 5", "begin with five keys of one application"),
            example("rotator run --waiting-ok --yes", "in a timer: waiting for a known time is no failure"),
            example("rotator run --dry-run --output json", "only show the plan, for a program"),
        ],
    ),
    (
        "rotate",
        &[
            example("rotator rotate alice", "rotate the key of this user, however young it is"),
            example("rotator rotate AKIAIOSFODNN7EXAMPLE --now", "for a leaked key: replace it, and delete it at once"),
        ],
    ),
    (
        "resume",
        &[
            example("rotator resume", "continue everything that is in flight, for example after a crash"),
            example("rotator resume shop-live --wait", "continue one rotation, and wait until it has ended"),
        ],
    ),
    (
        "status",
        &[
            example("rotator status shop-live", "show one rotation, and the command that resolves its block"),
            example("rotator status --watch", "show all of them again every two seconds"),
            example("rotator status --exit-code --waiting-ok", "in monitoring: ends with 4 if an operator is needed"),
        ],
    ),
    (
        "plan",
        &[
            example("rotator plan --older-than 80d", "show the keys of at least this age"),
            example("rotator plan --store file:.env --output json", "look into one file, for a program"),
        ],
    ),
    ("store", &[example("rotator store list --store sqlite:secrets.db", "list the names in this embedded store")]),
    ("store list", &[example("rotator store list", "list the names of the entries")]),
    (
        "store get",
        &[
            example("rotator store get shop/live/AWS_SECRET_ACCESS_KEY", "print the bytes of one value"),
            example("rotator store get --previous shop/live/AWS_SECRET_ACCESS_KEY", "print the value before that"),
        ],
    ),
    (
        "store set",
        &[example(
            "printf %s \"$SECRET\" | rotator store set shop/live/AWS_SECRET_ACCESS_KEY",
            "set one entry without a secret in the arguments",
        )],
    ),
    ("store import", &[example("rotator store import secrets.json", "set all entries of a JSON object")]),
    ("store rekey", &[example("rotator store rekey", "seal all entries under a new key")]),
    ("store rm", &[example("rotator store rm shop/live/OLD_NAME", "remove one entry")]),
    (
        "abort",
        &[
            example("rotator abort shop-live", "discard the new key of this user; the old one stays"),
            example("rotator abort shop-live --undo", "not after all: continue, with both keys until the overlap ends"),
        ],
    ),
    ("reactivate", &[example("rotator reactivate shop-live", "a service still needs the old key: switch it on again")]),
    (
        "resolve",
        &[
            example("rotator resolve shop-live --delete-key AKIAIOSFODNN7EXAMPLE", "nothing needs this key: delete it"),
            example("rotator resolve shop-live --keep-key AKIAIOSFODNN7EXAMPLE", "something else uses it: keep it"),
            example("rotator resolve shop-live --finish", "delete the old key now, after the same final checks"),
        ],
    ),
    (
        "doctor",
        &[
            example("rotator doctor", "check everything that can be checked without a change"),
            example("rotator doctor --output json", "the same, for a program"),
        ],
    ),
    (
        "policy",
        &[
            example("rotator policy --found", "print the IAM policy for the users and entries that hold keys now"),
            example("rotator policy --read-only", "print the IAM policy of an audit, which changes nothing"),
            example("rotator policy --vault", "print the policy for the Vault stores"),
            example("rotator policy --kubernetes | kubectl apply -f -", "apply the roles for the Kubernetes stores"),
        ],
    ),
    (
        "init",
        &[
            example("rotator init", "look for stores here and in ~/.aws, and write rotator.toml"),
            example("rotator init --store vault:kv shop.toml", "write a file for this store"),
        ],
    ),
    ("allow", &[example("rotator allow", "show what the rotator.toml of this folder reaches, and trust it")]),
    ("demo", &[example("rotator demo", "kill rotator in the middle of a rotation, and let it recover")]),
    (
        "sandbox",
        &[
            example(
                "rotator sandbox --seed shop/production --store sqlite:trial.db",
                "simulate IAM with one user, and store the key of this user",
            ),
            example(
                "curl -H content-type:application/json \"$AWS_ENDPOINT_URL/_sandbox/deny\" \\\n    \
                 -d '{\"user\": \"rotator-admin\", \"action\": \"iam:DeleteAccessKey\"}'",
                "take a right away from rotator, to see what it does without it",
            ),
        ],
    ),
    (
        "completions",
        &[example(
            "rotator completions bash > /etc/bash_completion.d/rotator",
            "install them for every user of this machine",
        )],
    ),
    (
        "schema",
        &[
            example("rotator schema config > rotator.schema.json", "let an editor check rotator.toml"),
            example("rotator schema run", "print the form of the document that `run` and `status` print"),
        ],
    ),
    ("schema config", &[example("rotator schema config > rotator.schema.json", "let an editor check rotator.toml")]),
    ("schema run", &[example("rotator schema run", "print the form of what `run --output json` prints")]),
    ("schema plan", &[example("rotator schema plan", "print the form of what `plan --output json` prints")]),
    ("schema doctor", &[example("rotator schema doctor", "print the form of what `doctor --output json` prints")]),
    ("schema allow", &[example("rotator schema allow", "print the form of what `allow --output json` prints")]),
    (
        "schema store-list",
        &[example("rotator schema store-list", "print the form of what `store list --output json` prints")],
    ),
    ("schema error", &[example("rotator schema error", "print the form of a failure under `--output json`")]),
    (
        "man",
        &[
            example("rotator man | man -l -", "read the manual page of the program"),
            example("rotator man --dir ~/.local/share/man/man1", "write it and a page for each command"),
        ],
    ),
];

/// The examples of a command, by its words behind `rotator`.
pub(in crate::cli) fn of(command: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// Every example with its command.
#[cfg(test)]
pub(in crate::cli) fn all() -> impl Iterator<Item = (&'static str, &'static Example)> {
    EXAMPLES.iter().flat_map(|(name, examples)| examples.iter().map(move |example| (*name, example)))
}
