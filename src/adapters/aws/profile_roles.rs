//! The roles of a profile, if one of them asks for MFA. The SDK would call without the code, so rotator builds such a
//! chain of roles itself: https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::credentials_source::{Described, Source};
use super::mfa::{Kept, MfaRole, MfaSessions, RoleWithMfa, SESSION};
use super::profile_file::{self, MOST_PROFILES, Profile};
use super::settings::AwsSettings;

/// A profile on the way from a role to the credentials that an operator has.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    profile: String,
    arn: String,
    external_id: Option<String>,
    session_name: Option<String>,
    device: Option<String>,
    duration: Option<Duration>,
}

/// What the first role of a chain is assumed with.
#[derive(Debug, PartialEq, Eq)]
enum Base {
    /// The long-lived key of this profile.
    Key(String),
    /// A profile without a role.
    Profile(String),
    /// A `credential_source`.
    Source(String),
}

/// The roles of a profile, the last one first, and what the first one is assumed with. `None`: the profile has no role, no
/// role of it asks for MFA, or the chain is not valid, so that the SDK reports it.
fn chain(profile: &str, read: impl Fn(&str) -> Profile) -> Option<(Vec<Link>, Base)> {
    let (mut links, mut name) = (Vec::new(), profile.to_owned());
    let base = loop {
        let settings = read(&name);
        let is_role = settings.get("role_arn").is_some() && !settings.has("web_identity_token_file");
        // As in the SDK, a source_profile that has a key is that key.
        if !links.is_empty() && settings.has("aws_access_key_id") {
            break Base::Key(name);
        }
        if !is_role {
            break Base::Profile(name);
        }
        if links.len() == MOST_PROFILES {
            return None;
        }
        let text = |key: &str| settings.get(key).map(str::to_owned);
        links.push(Link {
            profile: name.clone(),
            arn: text("role_arn")?,
            external_id: text("external_id"),
            session_name: text("role_session_name"),
            device: text("mfa_serial"),
            duration: settings.get("duration_seconds").and_then(|text| text.parse().ok()).map(Duration::from_secs),
        });
        match (text("source_profile"), text("credential_source")) {
            (Some(source), None) if source == name => break Base::Key(name),
            (Some(source), None) => name = source,
            (None, Some(source)) => break Base::Source(source),
            (Some(_), Some(_)) | (None, None) => return None,
        }
    };
    links.iter().any(|link| link.device.is_some()).then_some((links, base))
}

/// The credentials of a profile whose roles ask for MFA.
pub(super) struct ProfileRoles {
    pub(super) provider: SharedCredentialsProvider,
    /// The roles that ask for MFA, in the order in which they are assumed.
    pub(super) roles: Vec<Arc<RoleWithMfa>>,
}

/// Builds the credentials of a profile, if a role of it asks for MFA. `config` has the region and the client for STS.
pub(super) async fn of_profile(
    profile: &str,
    config: &SdkConfig,
    settings: AwsSettings,
    sessions: &Arc<MfaSessions>,
) -> Option<ProfileRoles> {
    let (links, base) = chain(profile, profile_file::read)?;
    let mut provider = of_base(base, config)?;
    let mut roles = Vec::new();
    for link in links.into_iter().rev() {
        let config = config.to_builder().credentials_provider(provider).build();
        let session_name = link.session_name.unwrap_or_else(|| SESSION.to_owned());
        let Some(device) = link.device else {
            let mut role = AssumeRoleProvider::builder(link.arn).session_name(session_name).configure(&config);
            if let Some(external_id) = link.external_id {
                role = role.external_id(external_id);
            }
            provider = SharedCredentialsProvider::new(role.build().await);
            continue;
        };
        let role = MfaRole {
            whose: format!("the AWS profile `{}`", link.profile),
            arn: link.arn,
            device,
            external_id: link.external_id,
            session_name,
            duration: link.duration,
            setting: "duration_seconds of the profile",
        };
        let role = Arc::new(RoleWithMfa::new(role, config, settings, sessions));
        provider = Kept::shared(&role);
        roles.push(role);
    }
    Some(ProfileRoles { provider, roles })
}

/// Whether the SDK's chain would use the profile of the environment, and not a key of the environment.
pub(super) async fn is_profile_in_use() -> bool {
    EnvironmentVariableCredentialsProvider::new().provide_credentials().await.is_err()
}

fn of_base(base: Base, config: &SdkConfig) -> Option<SharedCredentialsProvider> {
    let mut own = ProviderConfig::default().with_region(config.region().cloned());
    if let Some(client) = config.http_client() {
        own = own.with_http_client(client);
    }
    Some(match base {
        Base::Key(profile) => SharedCredentialsProvider::new(profile_file::static_key(&profile)?),
        Base::Profile(profile) => {
            let provider = ProfileFileCredentialsProvider::builder().configure(&own).profile_name(&profile).build();
            let described = Described::new(SharedCredentialsProvider::new(provider), Source::new(Some(&profile)));
            SharedCredentialsProvider::new(described)
        }
        Base::Source(source) => match source.to_ascii_lowercase().as_str() {
            "environment" => SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()),
            "ec2instancemetadata" => {
                SharedCredentialsProvider::new(ImdsCredentialsProvider::builder().configure(&own).build())
            }
            "ecscontainer" => SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&own).build()),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: (&str, &str) = ("mfa_serial", "arn:aws:iam::1:mfa/me");

    fn profile(values: &[(&'static str, &str)], others: &[&str]) -> Profile {
        let names = values.iter().map(|(name, _)| *name).chain(others.iter().copied()).map(str::to_owned);
        Profile {
            names: Some(names.collect()),
            values: values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ..Profile::default()
        }
    }

    fn of(name: &str) -> Profile {
        match name {
            "direct" => {
                profile(&[("role_arn", "a"), ("source_profile", "staff"), DEVICE, ("duration_seconds", "7200")], &[])
            }
            "above" => profile(&[("role_arn", "b"), ("source_profile", "direct"), ("external_id", "x")], &[]),
            "itself" => profile(&[("role_arn", "a"), ("source_profile", "itself"), DEVICE], &["aws_access_key_id"]),
            "source" => profile(&[("role_arn", "a"), ("credential_source", "Environment"), DEVICE], &[]),
            "keyed" => profile(&[("role_arn", "a"), ("source_profile", "key"), DEVICE], &[]),
            "key" => profile(&[("role_arn", "z"), ("source_profile", "staff")], &["aws_access_key_id"]),
            "plain" => profile(&[("role_arn", "a"), ("source_profile", "staff")], &[]),
            "loop" => profile(&[("role_arn", "a"), ("source_profile", "pool"), DEVICE], &[]),
            "pool" => profile(&[("role_arn", "a"), ("source_profile", "loop"), DEVICE], &[]),
            "both" => profile(
                &[("role_arn", "a"), ("source_profile", "staff"), ("credential_source", "Environment"), DEVICE],
                &[],
            ),
            "web" => profile(&[("role_arn", "a"), DEVICE], &["web_identity_token_file"]),
            "staff" => profile(&[], &["aws_access_key_id"]),
            _ => Profile::default(),
        }
    }

    #[test]
    fn a_chain_of_roles_ends_where_the_sdk_ends_it() {
        let found = |name: &str| {
            let (links, base) = chain(name, of)?;
            Some((links.into_iter().map(|link| (link.arn, link.device.is_some())).collect::<Vec<_>>(), base))
        };
        let link = |arn: &str, asks| (arn.to_owned(), asks);
        let key = |profile: &str| Base::Key(profile.to_owned());
        assert_eq!(found("direct"), Some((vec![link("a", true)], key("staff"))));
        assert_eq!(found("above"), Some((vec![link("b", false), link("a", true)], key("staff"))));
        assert_eq!(found("itself"), Some((vec![link("a", true)], key("itself"))));
        assert_eq!(found("source"), Some((vec![link("a", true)], Base::Source("Environment".to_owned()))));
        assert_eq!(found("keyed"), Some((vec![link("a", true)], key("key"))), "a key of the source comes first");
        for none in ["plain", "loop", "both", "web", "staff", "missing"] {
            assert_eq!(found(none), None, "{none}");
        }
        let (links, _) = chain("direct", of).expect("a role");
        assert_eq!(links[0].duration, Some(Duration::from_secs(7200)));
    }
}
