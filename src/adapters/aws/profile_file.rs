//! The settings of a profile in the files of the AWS command line that the SDK does not report: which profile a role
//! begins with, and whether it asks for MFA.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_credential_types::Credentials;
use zeroize::Zeroizing;

/// The maximum number of profiles to follow from a role to the profile that an operator signs in to.
pub(super) const MOST_PROFILES: usize = 8;

/// The settings whose values are kept. None of them is a secret.
const KEPT: [&str; 9] = [
    "credential_source",
    "duration_seconds",
    "external_id",
    "mfa_serial",
    "role_arn",
    "role_session_name",
    "source_profile",
    "sso_session",
    "sso_start_url",
];

/// The settings of a profile.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) files: Vec<PathBuf>,
    /// The names of all settings. `None` if the profile does not exist.
    pub(super) names: Option<Vec<String>>,
    pub(super) values: BTreeMap<&'static str, String>,
}

impl Profile {
    /// Whether a setting begins with this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.iter().any(|known| known.starts_with(name)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The profile of the environment.
pub(super) fn of_environment() -> String {
    std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned())
}

/// Reads the settings of a profile (<https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>).
pub(super) fn read(profile: &str) -> Profile {
    let mut read = Profile { files: files(), ..Profile::default() };
    for text in read.files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
        let Some(settings) = settings(profile, &text) else { continue };
        let names = read.names.get_or_insert_default();
        for (name, value) in settings {
            names.push(name.to_owned());
            if let Some(kept) = KEPT.iter().find(|kept| **kept == name) {
                read.values.insert(kept, value.to_owned());
            }
        }
    }
    read
}

/// The long-lived key of a profile, if the profile has one.
pub(super) fn static_key(profile: &str) -> Option<Credentials> {
    let (mut id, mut secret, mut token) = (None, None, None);
    for text in files().iter().filter_map(|file| std::fs::read_to_string(file).ok()).map(Zeroizing::new) {
        for (name, value) in settings(profile, &text).into_iter().flatten() {
            match name {
                "aws_access_key_id" => id = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(value.to_owned()),
                "aws_session_token" => token = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    Some(Credentials::new(id?, secret?, token, None, "rotator"))
}

fn files() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let file = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        named.unwrap_or_else(|| home.join(".aws").join(name))
    };
    vec![file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
}

/// The settings of a profile in the text of one file. `None`: it has no such profile.
fn settings<'t>(profile: &str, text: &'t str) -> Option<Vec<(&'t str, &'t str)>> {
    let (mut found, mut is_inside) = (None, false);
    for line in text.lines() {
        if let Some(section) = line.trim_end().strip_prefix('[').and_then(|line| line.split_once(']')) {
            let section = section.0.trim();
            is_inside = section.strip_prefix("profile").map(str::trim) == Some(profile) || section == profile;
            if is_inside {
                found.get_or_insert_with(Vec::new);
            }
        } else if let (true, Some((name, value))) = (is_inside, line.split_once('=')) {
            let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|comment| value.find(comment)).min();
            let value = &value[..end.unwrap_or(value.len())];
            found.get_or_insert_with(Vec::new).push((name.trim(), value.trim()));
        }
    }
    found
}

/// The profile that an operator signs in to: this one, or the one whose credentials assume its role in the end.
pub(super) fn signed_in_to(profile: &str, read: impl Fn(&str) -> Profile) -> String {
    let source =
        |profile: &String| read(profile).get("source_profile").filter(|source| source != profile).map(str::to_owned);
    let profiles = std::iter::successors(Some(profile.to_owned()), source);
    profiles.take(MOST_PROFILES).last().unwrap_or_else(|| profile.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_profile_are_those_below_its_name() {
        let text = "[default]\nregion = us-east-1\n[profile ops]\nrole_arn = arn:x # the role\nmfa_serial=arn:y\n\
                    [other]\nmfa_serial = arn:z\n";
        assert_eq!(settings("ops", text), Some(vec![("role_arn", "arn:x"), ("mfa_serial", "arn:y")]));
        assert_eq!(settings("other", text), Some(vec![("mfa_serial", "arn:z")]));
        assert_eq!(settings("missing", text), None);
        assert_eq!(settings("empty", "[empty]\n"), Some(Vec::new()));
    }
}
