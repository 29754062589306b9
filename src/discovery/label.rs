//! What a name says of the value under it: an id, a secret, a session token, and of which pair.
//!
//! Names only; values are looked at elsewhere.

/// The part of a set of credentials that a name denotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// The access key id.
    Id,
    /// The secret access key.
    Secret,
    /// The session token of a temporary key.
    Token,
}

/// How much a name says, longest first. An id and a secret named in the same way are each other's first choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wording {
    /// `access key id`, `secret access key`.
    Full,
    /// `access key`, `secret key`.
    Short,
    /// `key`, `secret`: says something only together with the value.
    Bare,
}

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) half: Half,
    pub(super) wording: Wording,
    /// The rest of the name, in small letters, numbers last: both halves of a pair have the same.
    pub(super) stem: Vec<String>,
    /// Capitals or not, and which separators: tells two pairs apart that differ in nothing else.
    pub(super) spelling: String,
}

/// What consecutive words show. The first that occurs decides, so the order matters.
const PHRASES: [(&[&str], Half, Wording); 14] = [
    (&["access", "key", "id"], Half::Id, Wording::Full),
    (&["secret", "access", "key"], Half::Secret, Wording::Full),
    (&["access", "key", "secret"], Half::Secret, Wording::Full),
    (&["access", "secret", "key"], Half::Secret, Wording::Full),
    (&["session", "token"], Half::Token, Wording::Full),
    (&["security", "token"], Half::Token, Wording::Full),
    (&["key", "id"], Half::Id, Wording::Short),
    (&["access", "id"], Half::Id, Wording::Short),
    (&["secret", "key"], Half::Secret, Wording::Short),
    (&["secret", "access"], Half::Secret, Wording::Short),
    (&["access", "secret"], Half::Secret, Wording::Short),
    (&["access", "key"], Half::Id, Wording::Short),
    (&["secret"], Half::Secret, Wording::Bare),
    (&["key"], Half::Id, Wording::Bare),
];

/// Last words of names that denote something *about* the key: its location or its name.
const ABOUT: [&str; 7] = ["arn", "file", "name", "path", "ref", "uri", "url"];

/// Words that say whose key it is: AWS's.
const OF_AWS: [&str; 4] = ["aws", "amazon", "iam", "s3"];

/// Words that say that a key or a secret belongs to something else than AWS, unless the rest of the name says AWS.
/// `SECRET_KEY_BASE` and `APP_SECRET_KEY` are what web frameworks sign with.
const OF_OTHERS: [&str; 77] = [
    "algolia",
    "app",
    "auth",
    "base",
    "basic",
    "braintree",
    "captcha",
    "checksum",
    "client",
    "cloudflare",
    "commit",
    "consumer",
    "cookie",
    "csrf",
    "database",
    "datadog",
    "db",
    "digest",
    "django",
    "email",
    "encryption",
    "etag",
    "facebook",
    "flask",
    "github",
    "gitlab",
    "google",
    "gpg",
    "hash",
    "hmac",
    "jwt",
    "kafka",
    "laravel",
    "ldap",
    "license",
    "mail",
    "mailgun",
    "mailer",
    "mongo",
    "mongodb",
    "mysql",
    "nextauth",
    "nonce",
    "oauth",
    "otp",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "paypal",
    "pg",
    "postgres",
    "postgresql",
    "private",
    "pusher",
    "pwd",
    "rails",
    "recaptcha",
    "redis",
    "salt",
    "secure",
    "sendgrid",
    "sentry",
    "session",
    "sha",
    "sha1",
    "signature",
    "signing",
    "slack",
    "smtp",
    "ssh",
    "stripe",
    "telegram",
    "token",
    "twilio",
    "vapid",
    "webhook",
];

/// Words of [`OF_OTHERS`] that denote the password of a user.
const PASSWORDS: [&str; 4] = ["pass", "passwd", "password", "pwd"];

/// Last words that say how a value is kept and not what it is: sops leaves in the clear what ends in `_unencrypted`.
const KEPT: [&str; 5] = ["unencrypted", "encrypted", "enc", "plain", "plaintext"];

/// Words that are also written without a boundary between them: `accesskeyid`.
const JOINED: [&str; 7] = ["access", "aws", "id", "key", "secret", "session", "token"];

impl Label {
    /// Reads the last segment of an entry's name, or the name of a key or variable.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (numbers, mut words): (Vec<String>, Vec<String>) =
            words(name).into_iter().partition(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        words.pop_if(|last| KEPT.contains(&last.as_str()));
        if words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) {
            return None;
        }
        let (at, phrase, half, wording) = PHRASES.iter().find_map(|(phrase, half, wording)| {
            let at = words.windows(phrase.len()).rposition(|window| window == *phrase)?;
            // `secret_id`, `key_size`: one word alone means something only as the last.
            (*wording != Wording::Bare || at + 1 == words.len()).then_some((at, *phrase, *half, *wording))
        })?;
        let mut stem: Vec<String> = words;
        stem.drain(at..at + phrase.len());
        if wording != Wording::Full && is_of_another(&stem) {
            return None;
        }
        stem.extend(numbers);
        Some(Self { half, wording, stem, spelling: spelling(name) })
    }

    /// The same of the last segment of an entry's name, in which a slash of the store's own name is written `%2F`.
    pub(super) fn of_entry(secret_name: &str) -> Option<Self> {
        Self::of(&secret_name.replace("%2F", "/"))
    }

    /// Whether the name alone says that this is AWS's, so that half a pair is worth a report.
    pub(super) fn is_certain(&self) -> bool {
        match self.wording {
            Wording::Full => true,
            Wording::Short => self.stem.iter().any(|word| OF_AWS.contains(&word.as_str())),
            Wording::Bare => false,
        }
    }

    /// The stem without the words that say no more than "AWS".
    pub(super) fn loose_stem(&self) -> Vec<&str> {
        self.stem.iter().map(String::as_str).filter(|word| !matches!(*word, "aws" | "amazon")).collect()
    }
}

/// Whether a name says that its value belongs to something other than AWS. The name `SECRET_KEY` alone says so: Django
/// and many others use it for the key that they sign with.
pub(super) fn is_about_another_secret(name: &str) -> bool {
    let words = words(name);
    is_of_another(&words) || words == ["secret", "key"]
}

/// Whether the names are those of a login, `user` and `password`, of the same thing.
pub(super) fn are_a_login(user: &str, password: &str) -> bool {
    const USERS: [&str; 4] = ["id", "login", "user", "username"];
    let one = |name: &str, of: &[&str]| matches!(words(name).as_slice(), [word] if of.contains(&word.as_str()));
    one(user, &USERS) && one(password, &PASSWORDS)
}

/// Whether two names differ in one word only: `u` and `p`, `deploy_user` and `deploy_secret`.
pub(super) fn differ_in_one_word(one: &str, other: &str) -> bool {
    let (one, other) = (words(one), words(other));
    one.len() == other.len() && one.iter().zip(&other).filter(|(one, other)| one != other).count() <= 1
}

fn is_of_another(words: &[String]) -> bool {
    words.iter().any(|word| OF_OTHERS.contains(&word.as_str()))
        && !words.iter().any(|word| OF_AWS.contains(&word.as_str()))
}

/// The words of a name in small letters: split at separators, at camelCase, and where known words are joined.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split(|letter: char| !letter.is_alphanumeric()) {
        let letters: Vec<char> = part.chars().collect();
        let mut word = String::new();
        for (index, letter) in letters.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| letters.get(before));
            let after = letters.get(index + 1);
            // `accessKey`, `s3Key`; `AWSKey` has its boundary before the last capital.
            let begins = letter.is_uppercase()
                && (before.is_some_and(|before| !before.is_uppercase())
                    || (before.is_some() && after.is_some_and(|after| after.is_lowercase())));
            if begins {
                push_word(&mut words, &word);
                word.clear();
            }
            word.extend(letter.to_lowercase());
        }
        push_word(&mut words, &word);
    }
    words
}

/// Adds a word, taken apart where known words are joined (`accesskeyid2`).
fn push_word(words: &mut Vec<String>, word: &str) {
    let letters = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let mut rest = letters;
    let mut parts = Vec::new();
    while let Some(part) = JOINED.iter().find(|part| rest.starts_with(**part)) {
        parts.push((*part).to_owned());
        rest = &rest[part.len()..];
    }
    if parts.is_empty() || !rest.is_empty() {
        if !word.is_empty() {
            words.push(word.to_owned());
        }
        return;
    }
    words.append(&mut parts);
    if letters.len() < word.len() {
        words.push(word[letters.len()..].to_owned());
    }
}

/// How a name is written, whatever it says.
fn spelling(name: &str) -> String {
    let mut separators: Vec<char> = name.chars().filter(|letter| !letter.is_alphanumeric()).collect();
    separators.sort_unstable();
    separators.dedup();
    let capitals = name.chars().any(char::is_uppercase);
    let small = name.chars().any(char::is_lowercase);
    let case = match (capitals, small) {
        (true, true) => "mixed",
        (true, false) => "capitals",
        (false, _) => "small",
    };
    format!("{case}{}", separators.into_iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<(Half, Wording, String)> {
        Label::of(name).map(|label| (label.half, label.wording, label.stem.join(" ")))
    }

    #[test]
    fn ids_by_name() {
        for (name, stem) in [
            ("AWS_ACCESS_KEY_ID", "aws"),
            ("aws-access-key-id", "aws"),
            ("aws.access.key.id", "aws"),
            ("awsAccessKeyId", "aws"),
            ("AWSAccessKeyId", "aws"),
            ("AWSACCESSKEYID", "aws"),
            ("AccessKeyId", ""),
            ("accessKeyID", ""),
            ("aws_accesskeyid", "aws"),
            ("S3_ACCESS_KEY_ID", "s3"),
            ("S3AccessKeyId", "s3"),
            ("AWS_ACCESS_KEY_ID_2", "aws 2"),
            ("AWS_ACCESS_KEY_ID2", "aws 2"),
            ("AWS_2_ACCESS_KEY_ID", "aws 2"),
            ("AWS_ACCESS_KEY_2_ID", "aws 2"),
            ("BACKUP_AWS_ACCESS_KEY_ID", "backup aws"),
            ("AWS_ACCESS_KEY_ID_BACKUP", "aws backup"),
            ("app-secret-access-key-id", "app secret"),
        ] {
            assert_eq!(told(name), Some((Half::Id, Wording::Full, stem.to_owned())), "{name}");
        }
        for (name, wording, stem) in [
            ("AWS_ACCESS_KEY", Wording::Short, "aws"),
            ("aws_key_id", Wording::Short, "aws"),
            ("access_key", Wording::Short, ""),
            ("accesskey", Wording::Short, ""),
            ("S3_KEY", Wording::Bare, "s3"),
        ] {
            assert_eq!(told(name), Some((Half::Id, wording, stem.to_owned())), "{name}");
        }
    }

    #[test]
    fn secrets_by_name() {
        for (name, wording, stem) in [
            ("AWS_SECRET_ACCESS_KEY", Wording::Full, "aws"),
            ("aws-secret-access-key", Wording::Full, "aws"),
            ("secretAccessKey", Wording::Full, ""),
            ("awssecretaccesskey", Wording::Full, "aws"),
            ("AWS_SECRET_ACCESS_KEY_2", Wording::Full, "aws 2"),
            ("BACKUP_AWS_SECRET_ACCESS_KEY", Wording::Full, "backup aws"),
            ("accessKeySecret", Wording::Full, ""),
            ("AWS_SECRET_KEY", Wording::Short, "aws"),
            ("secret_key", Wording::Short, ""),
            ("AWS_SECRET", Wording::Bare, "aws"),
        ] {
            assert_eq!(told(name), Some((Half::Secret, wording, stem.to_owned())), "{name}");
        }
        assert_eq!(told("AWS_SESSION_TOKEN"), Some((Half::Token, Wording::Full, "aws".to_owned())));
        assert_eq!(told("security_token"), Some((Half::Token, Wording::Full, String::new())));
    }

    #[test]
    fn a_field_that_sops_leaves_in_the_clear_has_the_same_name() {
        assert_eq!(told("secret_access_key_unencrypted"), told("secret_access_key"));
        assert_eq!(told("AWS_ACCESS_KEY_ID_UNENCRYPTED"), told("AWS_ACCESS_KEY_ID"));
        assert_eq!(told("unencrypted"), None);
    }

    #[test]
    fn a_slash_separates_words() {
        assert_eq!(Label::of_entry("prod%2Faws%2Faccess_key_id"), Label::of("prod/aws/access_key_id"));
        assert_eq!(told("prod/aws/access_key_id"), Some((Half::Id, Wording::Full, "prod aws".to_owned())));
    }

    #[test]
    fn a_field_of_another_program_is_no_half_of_a_pair() {
        for name in
            ["STRIPE_SECRET_KEY", "SECRET_KEY_BASE", "JWT_SECRET_KEY", "DB_SECRET", "SMTP_KEY", "APP_SECRET_KEY"]
        {
            assert_eq!(told(name), None, "{name}");
            assert!(is_about_another_secret(name), "{name}");
        }
        for name in ["SECRET_KEY", "PASSWORD", "DB_PASSWORD", "smtpPassword"] {
            assert!(is_about_another_secret(name), "{name}");
        }
        for name in
            ["APP_AWS_SECRET_KEY", "DJANGO_AWS_SECRET_ACCESS_KEY", "DB_BACKUP_SECRET_ACCESS_KEY", "s3/app/secret_key"]
        {
            assert!(told(name).is_some(), "{name}");
        }
    }

    #[test]
    fn other_names_say_nothing() {
        for name in [
            "",
            "_",
            "DATABASE_URL",
            "AWS_REGION",
            "AWS_SECRET_ID",
            "AWS_SECRET_ACCESS_KEY_FILE",
            "AWS_ACCESS_KEY_ID_PATH",
            "keyboard",
            "secretary",
            "KEY_SIZE",
            "monkey",
            "ключ",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_alone_is_certain_only_where_it_says_aws() {
        for (name, certain) in [
            ("ACCESS_KEY_ID", true),
            ("SECRET_ACCESS_KEY", true),
            ("AWS_SECRET_KEY", true),
            ("S3_ACCESS_KEY", true),
            ("SECRET_KEY", false),
            ("BACKUP_SECRET_KEY", false),
            ("AWS_SECRET", false),
        ] {
            assert_eq!(Label::of(name).map(|label| label.is_certain()), Some(certain), "{name}");
        }
    }

    #[test]
    fn spelling_tells_twins_apart() {
        assert_ne!(spelling("AWS_ACCESS_KEY_ID"), spelling("aws_access_key_id"));
        assert_ne!(spelling("aws-access-key-id"), spelling("aws_access_key_id"));
        assert_eq!(spelling("AWS_ACCESS_KEY_ID"), spelling("AWS_SECRET_ACCESS_KEY"));
    }
}
