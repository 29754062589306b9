//! A description of the source of credentials: the profile and what it names. The SDK's own errors quote files and
//! program output, so they are not shown.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::profile_file::{self, Profile, signed_in_to};
use super::sso_session::end;
use crate::ports::identity::SessionEnd;
use crate::types::shell::quoted;
use crate::types::time::Timestamp;

/// The maximum number of causes to follow.
const MOST_CAUSES: usize = 16;

/// The source of the credentials in use; shared by all clients of one account.
#[derive(Debug, Clone)]
pub(super) struct Source {
    profile: String,
    latest: Arc<Mutex<Option<Latest>>>,
    /// The role that is assumed with these credentials.
    role: Option<String>,
    /// The MFA device whose code the last role asks for.
    device: Option<String>,
}

/// What the SDK reported about the latest credentials.
#[derive(Debug, Clone)]
struct Latest {
    features: Vec<AwsCredentialFeature>,
    expiry: Option<Timestamp>,
}

impl Source {
    /// The source with the configured `profile`, otherwise the profile of the environment.
    pub(super) fn new(profile: Option<&str>) -> Self {
        let profile = profile.map_or_else(profile_file::of_environment, str::to_owned);
        Self { profile, latest: Arc::default(), role: None, device: None }
    }

    /// The source of credentials that assume a role.
    pub(super) fn with_role(self, arn: &str) -> Self {
        Self { role: Some(arn.to_owned()), ..self }
    }

    /// The source of credentials whose last role asks for a code of this device.
    pub(super) fn with_device(self, device: Option<&str>) -> Self {
        Self { device: device.map(str::to_owned).or(self.device), ..self }
    }

    fn saw(&self, credentials: &Credentials) {
        let features = credentials.get_property::<Vec<AwsCredentialFeature>>().cloned().unwrap_or_default();
        let latest = Latest { features, expiry: credentials.expiry().map(Timestamp::from_system) };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
    }

    fn latest(&self) -> Option<Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A description for operators; none before the first credentials.
    pub(super) fn in_words(&self) -> Option<String> {
        let Latest { features, .. } = self.latest()?;
        let source = where_from(&self.profile, &signed_in_to(&self.profile, profile_file::read), &features);
        let role =
            self.role.as_ref().map_or_else(String::new, |role| format!(", with the role {role} assumed by them"));
        let device = self.device.as_ref();
        let device = device.map_or_else(String::new, |device| format!(", with a code of the MFA device {device}"));
        Some(format!("{source}{role}{device}"))
    }

    /// When the session of these credentials ends, if that is known and only an operator can begin another. What the SDK
    /// renews by itself does not end.
    pub(super) fn session_end(&self) -> Option<SessionEnd> {
        let Latest { features, expiry } = self.latest()?;
        let has = |feature: AwsCredentialFeature| features.contains(&feature);
        if has(AwsCredentialFeature::CredentialsEnvVars) {
            let at = std::env::var("AWS_CREDENTIAL_EXPIRATION").ok()?.parse().ok()?;
            let source = "the environment, AWS_ACCESS_KEY_ID".to_owned();
            return Some(SessionEnd { at, source, hint: "set other credentials in the environment".to_owned() });
        }
        if !has(AwsCredentialFeature::CredentialsSso) && !has(AwsCredentialFeature::CredentialsProfileSso) {
            return None;
        }
        let base = signed_in_to(&self.profile, profile_file::read);
        // The credentials of a role may outlive the session that they were made with.
        let at = end(&profile_file::read(&base))?.max(expiry?);
        let at = Timestamp::from_unix_seconds(at.as_unix_seconds());
        let source = format!("the AWS profile `{}` by SSO", self.profile);
        Some(SessionEnd {
            at,
            source,
            hint: format!("`aws sso login --profile {}` begins another session", quoted(&base)),
        })
    }
}

/// Describes what the SDK reports about credentials, with the last link of the chain at the end. `base` is the profile
/// that an operator signs in to.
fn where_from(profile: &str, base: &str, features: &[AwsCredentialFeature]) -> String {
    use AwsCredentialFeature as Of;
    let of_profile = |what: &str| format!("the AWS profile `{profile}`{what}");
    let has = |feature: Of| features.contains(&feature);
    if has(Of::CredentialsEnvVars) {
        "the environment, AWS_ACCESS_KEY_ID".to_owned()
    } else if has(Of::CredentialsEnvVarsStsWebIdToken) {
        "a web identity, AWS_WEB_IDENTITY_TOKEN_FILE".to_owned()
    } else if has(Of::CredentialsSso) || has(Of::CredentialsProfileSso) {
        of_profile(&format!(" by SSO; `aws sso login --profile {}` begins another session", quoted(base)))
    } else if has(Of::CredentialsLogin) || has(Of::CredentialsProfileLogin) {
        of_profile(&format!(" by `aws login`; `aws login --profile {}` begins another session", quoted(base)))
    } else if has(Of::CredentialsProcess) || has(Of::CredentialsProfileProcess) {
        of_profile(" by its credential_process")
    } else if has(Of::CredentialsStsAssumeRole) {
        of_profile(" by its role_arn")
    } else if has(Of::CredentialsProfileStsWebIdToken) || has(Of::CredentialsStsAssumeRoleWebId) {
        match std::env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").filter(|path| !path.is_empty()) {
            Some(_) => "a web identity, AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
            None => of_profile(" by its web_identity_token_file"),
        }
    } else if has(Of::CredentialsHttp) {
        "the container, AWS_CONTAINER_CREDENTIALS_*".to_owned()
    } else if has(Of::CredentialsImds) {
        "the metadata service of this machine".to_owned()
    } else {
        of_profile("")
    }
}

/// A credentials provider whose errors describe the source.
#[derive(Debug)]
pub(super) struct Described {
    inner: SharedCredentialsProvider,
    source: Source,
}

/// Why there are no credentials.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) words: String,
    cause: CredentialsError,
}

impl Trouble {
    pub(super) fn new(words: String) -> Self {
        Self { cause: CredentialsError::provider_error(words.clone()), words }
    }
}

/// What this adapter has already said about a failure of credentials.
pub(super) fn reported(error: &CredentialsError) -> Option<&Trouble> {
    let mut causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |&cause| cause.source());
    causes.by_ref().take(MOST_CAUSES).find_map(|cause| cause.downcast_ref::<Trouble>())
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for Trouble {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl Described {
    pub(super) fn new(inner: SharedCredentialsProvider, source: Source) -> Self {
        Self { inner, source }
    }
}

impl ProvideCredentials for Described {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async {
            let had = self.inner.provide_credentials().await;
            if let Ok(credentials) = &had {
                self.source.saw(credentials);
            }
            had.map_err(|cause| {
                let profile = &self.source.profile;
                let words = reported(&cause).map(|trouble| trouble.words.clone());
                let words = words.unwrap_or_else(|| words_of(profile, profile_file::read, exit_of(&cause).as_deref()));
                // The kind of the error determines how the caller handles it.
                match cause {
                    cause @ CredentialsError::CredentialsNotLoaded(_) => {
                        CredentialsError::not_loaded(Trouble { words, cause })
                    }
                    cause @ CredentialsError::InvalidConfiguration(_) => {
                        CredentialsError::invalid_configuration(Trouble { words, cause })
                    }
                    cause @ CredentialsError::ProviderTimedOut(_) => cause,
                    cause @ (CredentialsError::ProviderError(_) | CredentialsError::Unhandled(_) | _) => {
                        CredentialsError::provider_error(Trouble { words, cause })
                    }
                }
            })
        })
    }
}

/// The exit code of a credential program, extracted from the SDK's error; nothing else of the error is used.
fn exit_of(cause: &CredentialsError) -> Option<String> {
    let mut causes = std::iter::successors(Some(cause as &(dyn Error + 'static)), |&cause| cause.source());
    causes.by_ref().take(MOST_CAUSES).find_map(|cause| {
        let text = cause.to_string();
        let after = text.split_once("exited with code exit status: ")?.1;
        let number: String = after.chars().take_while(char::is_ascii_digit).collect();
        (!number.is_empty()).then_some(number)
    })
}

/// Describes what is missing, by what the profile names.
fn words_of(profile: &str, keys_of: impl Fn(&str) -> Profile, exit: Option<&str>) -> String {
    let keys = keys_of(profile);
    if keys.names.is_none() {
        let files: Vec<String> = keys.files.iter().map(|file| file.display().to_string()).collect();
        let files = files.join(" nor ");
        return if profile == "default" {
            format!(
                "there are no AWS credentials: not in the environment, not of this machine, and neither {files} has a \
                 profile default; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        } else {
            format!("there is no AWS profile `{profile}`: neither {files} has it; check its name (AWS_PROFILE)")
        };
    }
    let why = if keys.has("credential_process") {
        let how = exit.map_or_else(|| "failed".to_owned(), |exit| format!("ended with {exit}"));
        format!("its credential_process {how}; run the program by hand to see why (what it printed is not shown)")
    } else if let Some(session) = session(profile, &keys) {
        format!("its {session}")
    } else if keys.has("web_identity_token_file") {
        "the role of its web_identity_token_file could not be assumed".to_owned()
    } else if keys.has("role_arn") {
        let base = signed_in_to(profile, &keys_of);
        match session(&base, &keys_of(&base)) {
            Some(session) => format!("its role_arn could not be assumed by the profile `{base}`: the {session}"),
            None => "its role_arn could not be assumed; check its source_profile or credential_source".to_owned(),
        }
    } else {
        "it names no source of credentials that could be used (aws_access_key_id with aws_secret_access_key, \
         credential_process, role_arn, sso_session or login_session)"
            .to_owned()
    };
    format!("the AWS profile `{profile}` gave no credentials: {why}")
}

/// Describes the session of a profile that an operator signs in to. `None`: it is no such profile.
fn session(profile: &str, keys: &Profile) -> Option<String> {
    let (how, feature, is_built, command) = if keys.has("sso_") {
        ("SSO", "sso", cfg!(feature = "sso"), "aws sso login")
    } else if keys.has("login_session") {
        ("`aws login`", "login", cfg!(feature = "login"), "aws login")
    } else {
        return None;
    };
    let profile = quoted(profile);
    Some(if is_built {
        format!(
            "session of {how} is over or was never begun, or AWS did not answer; run `{command} --profile {profile}`"
        )
    } else {
        format!(
            "session of {how} cannot be used by this build of rotator; build it with the feature `{feature}`, or set \
             credential_process = aws configure export-credentials --profile {profile} in another profile and use that"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::types::shell::real::{HOSTILE, assert_says};

    fn keys(names: &[&str]) -> Profile {
        let names = Some(names.iter().map(|name| (*name).to_owned()).collect());
        Profile { files: vec!["c".into(), "d".into()], names, ..Profile::default() }
    }

    fn of_role(source: &str) -> Profile {
        let values = BTreeMap::from([("source_profile", source.to_owned())]);
        Profile { values, ..keys(&["role_arn", "source_profile"]) }
    }

    #[test]
    fn profile_and_source_are_named() {
        let failed = words_of("dev", |_| keys(&["region", "credential_process"]), Some("3"));
        assert!(failed.contains("`dev`") && failed.contains("credential_process ended with 3"), "{failed}");
        let sso = words_of("dev", |_| keys(&["sso_session"]), None);
        assert!(sso.contains("`dev`") && sso.contains("sso"), "{sso}");
        assert!(words_of("dev", |_| keys(&["role_arn", "source_profile"]), None).contains("role_arn"));
        assert!(words_of("dev", |_| keys(&["region"]), None).contains("names no source"));
        let missing = words_of("dve", |_| Profile { names: None, ..keys(&[]) }, None);
        assert!(missing.contains("no AWS profile `dve`") && missing.contains("neither c nor d"), "{missing}");
    }

    #[test]
    fn a_role_names_the_profile_to_sign_in_to() {
        let of = |profile: &str| match profile {
            "role" => of_role("between"),
            "between" => of_role("staff"),
            "itself" => of_role("itself"),
            "loop" => of_role("pool"),
            "pool" => of_role("loop"),
            _ => keys(&["login_session"]),
        };
        assert_eq!(signed_in_to("role", of), "staff");
        assert_eq!(signed_in_to("itself", of), "itself");
        let failed = words_of("role", of, None);
        assert!(failed.contains("by the profile `staff`"), "{failed}");
        for profile in ["itself", "loop"] {
            let failed = words_of(profile, of, None);
            assert!(failed.contains("check its source_profile"), "{failed}");
        }
        let told = where_from("role", "staff", &[AwsCredentialFeature::CredentialsProfileSso]);
        assert!(told.contains("`role` by SSO") && told.contains("--profile staff"), "{told}");
    }

    #[test]
    fn credentials_are_described_by_their_source() {
        use AwsCredentialFeature as Of;
        let told = |features: &[Of]| where_from("dev", "dev", features);
        assert!(told(&[Of::CredentialsEnvVars]).contains("AWS_ACCESS_KEY_ID"));
        assert_eq!(told(&[Of::CredentialsProfile]), "the AWS profile `dev`");
        let sso = told(&[Of::CredentialsSso, Of::CredentialsProfile]);
        assert!(sso.contains("`dev` by SSO") && sso.contains("aws sso login --profile dev"), "{sso}");
        let login = told(&[Of::CredentialsProfileLogin, Of::CredentialsProfile]);
        assert!(login.contains("by `aws login`") && login.contains("`aws login --profile dev`"), "{login}");
        assert!(told(&[Of::CredentialsProcess, Of::CredentialsProfile]).ends_with("credential_process"));
        assert!(told(&[Of::CredentialsProfile, Of::CredentialsStsAssumeRole]).ends_with("role_arn"));
        assert!(told(&[Of::CredentialsHttp]).contains("container"));
        assert!(told(&[Of::CredentialsImds]).contains("metadata"));
        let source = Source::new(Some("dev"));
        assert_eq!(source.in_words(), None, "none were had");
        source.saw(&Credentials::new("AKIAAAAAAAAAAAAAAAAA", "x", None, None, "test"));
        let source = source.with_role("arn:aws:iam::1:role/x");
        assert_eq!(
            source.in_words().as_deref(),
            Some("the AWS profile `dev`, with the role arn:aws:iam::1:role/x assumed by them")
        );
    }

    #[test]
    fn the_command_names_the_profile_whatever_its_name() {
        let end = |is_built| if is_built { "`" } else { " in another profile" };
        for profile in HOSTILE {
            let told = where_from("dev", profile, &[AwsCredentialFeature::CredentialsSso]);
            assert_says(&told, "` begins another session", &["aws", "sso", "login", "--profile", profile]);
            for (setting, is_built, login) in [
                ("sso_session", cfg!(feature = "sso"), &["sso", "login"][..]),
                ("login_session", cfg!(feature = "login"), &["login"]),
            ] {
                let command = if is_built { login } else { &["configure", "export-credentials"] };
                let failed = words_of(profile, |_| keys(&[setting]), None);
                assert_says(&failed, end(is_built), &[&["aws"], command, &["--profile", profile]].concat());
            }
        }
    }

    #[test]
    fn only_the_exit_code_of_a_program_is_reported() {
        let printed = "external process exited with code exit status: 7. Stderr: AKIA SECRET";
        assert_eq!(exit_of(&CredentialsError::provider_error(printed)).as_deref(), Some("7"));
        assert_eq!(exit_of(&CredentialsError::provider_error("no program")), None);
    }
}
