//! The configured accounts: each has the credentials of a profile, and a role that is assumed with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_config::meta::region::{ProvideRegion, RegionProviderChain};
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::types::name::AccessKeyId;

use super::client::{Aws, ConnectError, LAST_RESORT_REGION, described, late};
use super::mfa::{Kept, MfaRole, MfaSessions, RoleWithMfa, SESSION};
use super::profile_file::of_environment;
use super::profile_roles::{is_profile_in_use, of_profile};
use super::settings::AwsSettings;
use super::signing_keys::SigningKeys;

/// A role to assume (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    /// A value that the trust policy of the role may require; according to AWS it is not a secret.
    pub external_id: Option<String>,
    /// The name of the session in CloudTrail.
    pub session_name: Option<String>,
    /// The MFA device whose code the role asks for.
    pub mfa_serial: Option<String>,
    /// How long the session lasts; by default as long as AWS decides.
    pub session_duration: Option<Duration>,
}

/// How an account is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The account, for messages.
    pub label: String,
    /// The profile with the credentials; by default the SDK's default chain is used.
    pub profile: Option<String>,
    /// The region of the STS endpoint, which determines the partition.
    pub region: Option<String>,
    /// The role to assume with these credentials.
    pub role: Option<Role>,
}

impl Access {
    /// The region of the account: the configured one, that of the profile, one of the role's partition, or that of
    /// the chain. IAM is global within a partition.
    async fn region(&self) -> Region {
        if let Some(region) = &self.region {
            return Region::new(region.clone());
        }
        if let Some(profile) = &self.profile {
            let of_profile = ProfileFileRegionProvider::builder().profile_name(profile).build();
            if let Some(region) = of_profile.region().await {
                return region;
            }
        }
        match self.role.as_ref().and_then(|role| role.arn.split(':').nth(1)) {
            Some("aws-cn") => Region::from_static("cn-north-1"),
            Some("aws-us-gov") => Region::from_static("us-gov-west-1"),
            Some(_) | None => {
                let chain = RegionProviderChain::default_provider().region().await;
                chain.unwrap_or(Region::from_static(LAST_RESORT_REGION))
            }
        }
    }
}

/// The credentials of a role. A role that asks for MFA is added to `roles`.
async fn assumed(
    role: &Role,
    label: &str,
    source: &SdkConfig,
    settings: AwsSettings,
    sessions: &Arc<MfaSessions>,
    roles: &mut Vec<Arc<RoleWithMfa>>,
) -> SharedCredentialsProvider {
    let session_name = role.session_name.as_deref().unwrap_or(SESSION);
    if let Some(device) = &role.mfa_serial {
        let role = MfaRole {
            whose: format!("the account {label}"),
            arn: role.arn.clone(),
            device: device.clone(),
            external_id: role.external_id.clone(),
            session_name: session_name.to_owned(),
            duration: role.session_duration,
            setting: "session_duration of the [[account]]",
        };
        let role = Arc::new(RoleWithMfa::new(role, source.clone(), settings, sessions));
        let assumed = Kept::shared(&role);
        roles.push(role);
        return assumed;
    }
    let mut assume = AssumeRoleProvider::builder(&role.arn).session_name(session_name).configure(source);
    if let Some(external_id) = &role.external_id {
        assume = assume.external_id(external_id);
    }
    if let Some(duration) = role.session_duration {
        assume = assume.session_length(duration);
    }
    SharedCredentialsProvider::new(assume.build().await)
}

impl Aws {
    /// Builds the clients of an account, without a call. A role is assumed with the first call, and again before its
    /// credentials expire.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn of_account(
        access: &Access,
        settings: AwsSettings,
        sessions: &Arc<MfaSessions>,
    ) -> Result<Self, ConnectError> {
        let region = access.region().await;
        let signers = SigningKeys::default();
        let client = late(&signers);
        let mut chain =
            aws_config::defaults(BehaviorVersion::latest()).region(region.clone()).http_client(client.clone());
        if let Some(profile) = &access.profile {
            // The SDK's chain would prefer the environment to the profile.
            let own = ProviderConfig::default().with_region(Some(region)).with_http_client(client);
            let of_profile = ProfileFileCredentialsProvider::builder().configure(&own).profile_name(profile).build();
            chain = chain.profile_name(profile).credentials_provider(of_profile);
        }
        let loaded = chain.load().await;
        let profile = match &access.profile {
            Some(profile) => Some(profile.clone()),
            None => is_profile_in_use().await.then(of_environment),
        };
        let roles = match profile {
            Some(profile) => Box::pin(of_profile(&profile, &loaded, settings, sessions)).await,
            None => None,
        };
        let (source, from, mut roles) = described(&loaded, access.profile.as_deref(), roles);
        // This checks the settings even if a role is assumed, since both use the same endpoint.
        let with_source = Self::with_chain(&source, settings).await?;
        let aws = Self { signers: signers.clone(), source: Some(from.clone()), roles: roles.clone(), ..with_source };
        let Some(role) = &access.role else { return Ok(aws) };
        let assumed = assumed(role, &access.label, &source, settings, sessions, &mut roles).await;
        let chain = source.to_builder().credentials_provider(assumed).build();
        let aws = Self::with_chain(&chain, settings).await?;
        let from = Some(from.with_role(&role.arn).with_device(role.mfa_serial.as_deref()));
        Ok(Self { assumed_with: source.credentials_provider(), signers, source: from, roles, ..aws })
    }

    /// The key that signs the calls of this account: that of its credentials, or the one that its role is assumed
    /// with. None if there are no credentials, since nothing is signed then.
    pub async fn signing_key(&self) -> Option<AccessKeyId> {
        let source = self.assumed_with.clone().or_else(|| self.chain.credentials_provider())?;
        AccessKeyId::new(source.provide_credentials().await.ok()?.access_key_id()).ok()
    }

    /// The keys that signed the calls for credentials: those at the start of each chain (`source_profile`,
    /// `credential_source`), and the one that the role is assumed with. They are known once credentials have been
    /// requested.
    #[must_use]
    pub fn keys_behind(&self) -> BTreeSet<AccessKeyId> {
        self.signers.seen()
    }
}
