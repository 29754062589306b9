//! What the manual page of the program says beyond its options. The tests of `manual` compare it with the documents.

/// Terms, each with its meaning.
pub(super) type Section = [(&'static str, &'static str)];

pub(super) const FILES: [(&str, &str); 8] = [
    (
        "rotator.toml",
        "The configuration in the working directory. It is read if neither --config nor ROTATOR_CONFIG names \
         another file, and only if it can be trusted; see rotator-allow(1).",
    ),
    (
        "~/.config/rotator/rotator.toml",
        "The configuration that is read if the working directory has no rotator.toml. $XDG_CONFIG_HOME replaces \
         ~/.config.",
    ),
    ("/etc/rotator/rotator.toml", "The configuration that is read if there is no other."),
    (
        "~/.local/state/rotator/journal.db",
        "The journal: it records every step before the step is taken. Back it up; without it, a rotation in \
         flight cannot be continued. $XDG_STATE_HOME replaces ~/.local/state. For root: \
         /var/lib/rotator/journal.db.",
    ),
    (
        "~/.local/state/rotator/allowed",
        "The configuration files that rotator-allow(1) has recorded. For root: /var/lib/rotator/allowed.",
    ),
    (
        "~/.local/share/rotator/store.db",
        "The embedded store, if no other store is configured. $XDG_DATA_HOME replaces ~/.local/share. For \
         root: /var/lib/rotator/store.db.",
    ),
    (
        "~/.local/share/rotator/store.db.key",
        "The key that seals the embedded store. Without it the store cannot be opened.",
    ),
    (
        "~/.aws/config, ~/.aws/credentials",
        "The profiles of the AWS SDK. Keys in the second file are rotated only if it is a store, as after \
         rotator-init(1).",
    ),
];

pub(super) const STATES: [(&str, &str); 10] = [
    ("opened", "The rotation is in the journal. Every place held the old pair, and there is no new key yet."),
    ("created-new", "IAM holds the new key. No place is known to hold it. The old key is as it was."),
    ("stored-new", "Every place holds the new pair. The old key is as it was, and during the overlap both keys work."),
    (
        "deactivated-old",
        "The old key is inactive. Until the quarantine ends, rotator-reactivate(1) makes it active again.",
    ),
    ("deleted-old", "The end: every place holds the new pair, and the old key is deleted."),
    ("aborted", "The end: the new key, if there was one, is discarded. The old key is as it was."),
    ("gone", "The end: the user or the old key was deleted by another program before rotator changed anything."),
    ("in doubt", "The last step may or may not have taken effect, for example after a crash. The next run finds out."),
    ("blocked: REASON", "An operator is needed. rotator-status(1) prints the reason and the command."),
    ("waiting until", "The rotation continues by itself at this time, when rotator is started."),
];

/// The same text as in docs/cli.md.
pub(super) const EXIT_STATUS: [(&str, &str); 7] = [
    ("0", "Nothing is in flight, no due key was left unrotated, and nothing needs an operator."),
    (
        "1",
        "Failed outside any rotation: a store or AWS cannot be reached, rotator's own credentials have \
         failed, the journal has failed, or the answer to the prompt was no.",
    ),
    (
        "2",
        "Usage or configuration. Also: a pattern of --only matches no key, or nothing says when old keys are \
         deleted.",
    ),
    (
        "3",
        "Something continues by itself: it waits, failed for now, ended aborted by itself, or is due and not \
         opened. Run it again.",
    ),
    (
        "4",
        "Nothing continues by itself, and something needs an operator: a blocked rotation, or a due key that \
         is skipped.",
    ),
    ("5", "Another rotator holds the journal. The message names its process."),
    (
        "129, 130, 143",
        "Interrupted by SIGHUP, SIGINT or SIGTERM. rotator resume continues later. SIGHUP is ignored under \
         nohup.",
    ),
];

pub(super) const ENVIRONMENT: [(&str, &str); 14] = [
    ("ROTATOR_CONFIG", "The configuration file, as --config."),
    ("ROTATOR_STORE", "The stores, one URI a line, as --store."),
    ("ROTATOR_JOURNAL", "The journal, as --journal."),
    (
        "ROTATOR_POLICY_*, ROTATOR_OWNER_*, ROTATOR_AWS_*, ROTATOR_TRUSTED_GROUPS",
        "Each setting of the configuration file: ROTATOR_POLICY_OVERLAP=1h is overlap = \"1h\" below \
         [policy]. Flags override variables, and variables override the file.",
    ),
    ("ROTATOR_STORE_KEY", "The key of the embedded store, instead of the key file."),
    ("ROTATOR_STORE_NEW_KEY", "The new key for rotator store rekey."),
    ("ROTATOR_LOG, RUST_LOG", "Which log lines are shown, such as debug. The first that is set decides."),
    (
        "AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL",
        "These and the other variables of the AWS SDK say with which credentials rotator works, and where.",
    ),
    ("VAULT_ADDR, VAULT_TOKEN, BAO_ADDR, BAO_TOKEN", "The server and the token of vault: stores."),
    ("KUBECONFIG", "The cluster of kubernetes: stores."),
    ("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", "The proxy. It is never used for this machine itself."),
    ("SSL_CERT_FILE", "Further certificate authorities."),
    ("NO_COLOR, TERM", "No colour, if the first is set or the second is dumb."),
    ("CLICOLOR_FORCE", "Colour also where the output is no terminal."),
];
