//! When a session of IAM Identity Center ends, as `aws sso login` has noted it. The token in the same file is not kept.

use super::profile_file::Profile;
use crate::types::time::Timestamp;

/// When the session of this profile ends. `None`: the profile has no session, or the SDK can renew it, so that its end is
/// known only to Identity Center.
#[cfg(feature = "sso")]
pub(super) fn end(profile: &Profile) -> Option<Timestamp> {
    use std::path::PathBuf;

    use sha1::{Digest, Sha1};
    use zeroize::Zeroizing;

    // <https://docs.aws.amazon.com/sdkref/latest/guide/understanding-sso.html>: the name of the file is this hash.
    let session = profile.get("sso_session").or_else(|| profile.get("sso_start_url"))?;
    let name = base16ct::lower::encode_string(&Sha1::digest(session.as_bytes()));
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let file = home.join(".aws/sso/cache").join(format!("{name}.json"));
    end_in(&Zeroizing::new(std::fs::read_to_string(file).ok()?))
}

/// A build without Identity Center has no session.
#[cfg(not(feature = "sso"))]
pub(super) fn end(_: &Profile) -> Option<Timestamp> {
    None
}

/// The end of a session that cannot be renewed.
#[cfg(feature = "sso")]
fn end_in(text: &str) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cached {
        expires_at: String,
        client_id: Option<serde::de::IgnoredAny>,
        client_secret: Option<serde::de::IgnoredAny>,
        refresh_token: Option<serde::de::IgnoredAny>,
        registration_expires_at: Option<serde::de::IgnoredAny>,
    }

    let cached: Cached = serde_json::from_str(text).ok()?;
    let renews = cached.client_id.is_some()
        && cached.client_secret.is_some()
        && cached.refresh_token.is_some()
        && cached.registration_expires_at.is_some();
    // Older versions of the command line wrote `UTC` for `Z`.
    let end = cached.expires_at.replace("UTC", "Z").parse().ok()?;
    (!renews).then_some(end)
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "sso")]
    #[test]
    fn a_session_that_the_sdk_renews_has_no_known_end() {
        let end = "2026-11-27T22:30:00Z".parse().ok();
        assert_eq!(super::end_in(r#"{"accessToken": "x", "expiresAt": "2026-11-27T22:30:00Z"}"#), end);
        assert_eq!(super::end_in(r#"{"expiresAt": "2026-11-27T22:30:00UTC", "refreshToken": "x"}"#), end);
        let renewed = r#"{"expiresAt": "2026-11-27T22:30:00Z", "refreshToken": "x", "clientId": "x", "clientSecret": "x",
                          "registrationExpiresAt": "2027-02-27T22:30:00Z"}"#;
        assert_eq!(super::end_in(renewed), None);
        assert_eq!(super::end_in("{}"), None);
    }
}
