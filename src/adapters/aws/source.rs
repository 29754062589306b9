//! Where credentials come from, in words: the profile and what it names. The SDK's own errors quote files and what
//! programs printed, and are not shown.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

/// How long a chain of causes is followed.
const MOST_CAUSES: usize = 16;

/// Another provider's credentials, or its error with the source in words.
#[derive(Debug)]
pub(super) struct Described {
    inner: SharedCredentialsProvider,
    profile: String,
}

/// Why there are no credentials.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) words: String,
    cause: CredentialsError,
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
    /// `profile`: the one that is configured; else that of the environment.
    pub(super) fn new(inner: SharedCredentialsProvider, profile: Option<&str>) -> Self {
        let of_environment = || std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        let profile = profile.map(str::to_owned).or_else(of_environment);
        Self { inner, profile: profile.unwrap_or_else(|| "default".to_owned()) }
    }
}

impl ProvideCredentials for Described {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async {
            self.inner.provide_credentials().await.map_err(|cause| {
                let words = words(&self.profile, &keys_of(&self.profile), exit_of(&cause).as_deref());
                // The kind decides what is made of it.
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

/// How a program ended, out of the SDK's words: a number, or nothing.
fn exit_of(cause: &CredentialsError) -> Option<String> {
    let mut causes = std::iter::successors(Some(cause as &(dyn Error + 'static)), |&cause| cause.source());
    causes.by_ref().take(MOST_CAUSES).find_map(|cause| {
        let text = cause.to_string();
        let after = text.split_once("exited with code exit status: ")?.1;
        let number: String = after.chars().take_while(char::is_ascii_digit).collect();
        (!number.is_empty()).then_some(number)
    })
}

/// What a profile has, without any value.
struct Keys {
    files: Vec<PathBuf>,
    /// `None`: there is no such profile.
    names: Option<Vec<String>>,
}

impl Keys {
    fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.iter().any(|known| known.starts_with(name)))
    }
}

/// The names of the settings of a profile (<https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>).
fn keys_of(profile: &str) -> Keys {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let file = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        named.unwrap_or_else(|| home.join(".aws").join(name))
    };
    let files = vec![file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")];
    let mut names: Option<Vec<String>> = None;
    for text in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
        let mut is_inside = false;
        for line in text.lines() {
            if let Some(section) = line.trim_end().strip_prefix('[').and_then(|line| line.split_once(']')) {
                let section = section.0.trim();
                is_inside = section.strip_prefix("profile").map(str::trim) == Some(profile) || section == profile;
                if is_inside {
                    names.get_or_insert_default();
                }
            } else if let (true, Some((name, _))) = (is_inside, line.split_once('=')) {
                names.get_or_insert_default().push(name.trim().to_owned());
            }
        }
    }
    Keys { files, names }
}

/// What is missing, by what the profile names.
fn words(profile: &str, keys: &Keys, exit: Option<&str>) -> String {
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
    } else if keys.has("sso_") && !cfg!(feature = "sso") {
        format!(
            "it signs in by SSO, and this build of rotator has no sso; build it with the feature `sso`, or set \
             credential_process = aws configure export-credentials --profile {profile} in another profile and use that"
        )
    } else if keys.has("sso_") {
        format!("its SSO session is over or was never begun; run `aws sso login --profile {profile}`")
    } else if keys.has("web_identity_token_file") {
        "the role of its web_identity_token_file could not be assumed".to_owned()
    } else if keys.has("role_arn") {
        "its role_arn could not be assumed; check its source_profile or credential_source".to_owned()
    } else {
        "it names no source of credentials that could be used (aws_access_key_id with aws_secret_access_key, \
         credential_process, role_arn or sso_session)"
            .to_owned()
    };
    format!("the AWS profile `{profile}` gave no credentials: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Keys {
        Keys { files: vec!["c".into(), "d".into()], names: Some(names.iter().map(|name| (*name).to_owned()).collect()) }
    }

    #[test]
    fn profile_and_source_are_named() {
        let failed = words("dev", &keys(&["region", "credential_process"]), Some("3"));
        assert!(failed.contains("`dev`") && failed.contains("credential_process ended with 3"), "{failed}");
        let sso = words("dev", &keys(&["sso_session"]), None);
        assert!(sso.contains("`dev`") && sso.contains("sso"), "{sso}");
        assert!(words("dev", &keys(&["role_arn", "source_profile"]), None).contains("role_arn"));
        assert!(words("dev", &keys(&["region"]), None).contains("names no source"));
        let missing = words("dve", &Keys { files: vec!["c".into(), "d".into()], names: None }, None);
        assert!(missing.contains("no AWS profile `dve`") && missing.contains("neither c nor d"), "{missing}");
    }

    #[test]
    fn of_a_program_only_its_exit_is_told() {
        let printed = "external process exited with code exit status: 7. Stderr: AKIA SECRET";
        assert_eq!(exit_of(&CredentialsError::provider_error(printed)).as_deref(), Some("7"));
        assert_eq!(exit_of(&CredentialsError::provider_error("no program")), None);
    }
}
