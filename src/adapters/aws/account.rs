//! The accounts that the configuration names: each with the credentials of a profile, and a role assumed with them.

use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::connect::{Aws, AwsSettings, ConnectError, LAST_RESORT_REGION, late};

/// What the session of a role is called where the configuration does not say; CloudTrail shows it.
const SESSION: &str = "rotator";

/// A role to assume (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy may ask for; no secret, as AWS says itself.
    pub external_id: Option<String>,
    /// What CloudTrail calls the session.
    pub session_name: Option<String>,
}

/// How an account is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The profile whose credentials are used; those of the SDK's default chain otherwise.
    pub profile: Option<String>,
    /// The region of its STS endpoint, and with that the partition.
    pub region: Option<String>,
    /// The role to assume with them.
    pub role: Option<Role>,
}

impl Access {
    /// The region that is used where neither this nor the chain names one. IAM is global within a partition.
    fn last_resort(&self) -> &'static str {
        match self.role.as_ref().and_then(|role| role.arn.split(':').nth(1)) {
            Some("aws-cn") => "cn-north-1",
            Some("aws-us-gov") => "us-gov-west-1",
            Some(_) | None => LAST_RESORT_REGION,
        }
    }
}

impl Aws {
    /// Clients of an account. Makes no call to AWS's services yet; a role is assumed with the first call, and again
    /// before its credentials end.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn of_account(access: &Access, settings: AwsSettings) -> Result<Self, ConnectError> {
        let of_profile = |profile: &String| DefaultRegionChain::builder().profile_name(profile).build();
        let default = access.profile.as_ref().map_or_else(|| DefaultRegionChain::builder().build(), of_profile);
        let region = RegionProviderChain::first_try(access.region.clone().map(Region::new))
            .or_else(default)
            .or_else(Region::from_static(access.last_resort()));
        let mut chain = aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(late());
        if let Some(profile) = &access.profile {
            chain = chain.profile_name(profile);
        }
        let source = chain.load().await;
        // Also where a role is assumed: its credentials come from the same endpoint.
        let aws = Self::with_chain(&source, settings).await?;
        let Some(role) = &access.role else { return Ok(aws) };
        let mut assume = AssumeRoleProvider::builder(&role.arn)
            .session_name(role.session_name.as_deref().unwrap_or(SESSION))
            .configure(&source);
        if let Some(external_id) = &role.external_id {
            assume = assume.external_id(external_id);
        }
        let assumed = SharedCredentialsProvider::new(assume.build().await);
        let chain = source.to_builder().credentials_provider(assumed).build();
        let aws = Self::with_chain(&chain, settings).await?;
        Ok(Self { assumed_with: source.credentials_provider(), ..aws })
    }
}
