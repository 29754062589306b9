//! The clients of Secrets Manager and Parameter Store, with the rules of the IAM client: no retries, all time-outs,
//! https or loopback.

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{Region, SdkConfig};

use super::client::{Aws, ConnectError, Probe, is_plain, one_pool, placeholder};
use super::settings::time_outs;

impl Aws {
    pub(super) async fn secrets_manager(
        &self,
        region: Option<&str>,
    ) -> Result<aws_sdk_secretsmanager::Client, ConnectError> {
        let settings = self.settings;
        let (retries, time_outs) = (RetryConfig::disabled(), time_outs(settings));
        let chain = in_region(&self.chain, region);
        let probe = Probe::default();
        let asked = aws_sdk_secretsmanager::Client::new(&chain).list_secrets().customize();
        let placeholders = aws_sdk_secretsmanager::config::Builder::new()
            .credentials_provider(placeholder())
            .retry_config(retries.clone());
        // The probe fails every call.
        let _ = Box::pin(asked.config_override(placeholders).interceptor(probe.clone()).send()).await;
        let plain = is_plain("SECRETS_MANAGER", probe.uri().as_deref())?;
        let config = aws_sdk_secretsmanager::config::Builder::from(&chain)
            .http_client(one_pool(settings, plain, !plain)?)
            .retry_config(retries)
            .timeout_config(time_outs)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(aws_sdk_secretsmanager::Client::from_conf(config))
    }

    pub(super) async fn parameter_store(&self, region: Option<&str>) -> Result<aws_sdk_ssm::Client, ConnectError> {
        let settings = self.settings;
        let (retries, time_outs) = (RetryConfig::disabled(), time_outs(settings));
        let chain = in_region(&self.chain, region);
        let probe = Probe::default();
        let asked = aws_sdk_ssm::Client::new(&chain).get_parameter().name("nothing").customize();
        let placeholders =
            aws_sdk_ssm::config::Builder::new().credentials_provider(placeholder()).retry_config(retries.clone());
        // The probe fails every call.
        let _ = Box::pin(asked.config_override(placeholders).interceptor(probe.clone()).send()).await;
        let plain = is_plain("SSM", probe.uri().as_deref())?;
        let config = aws_sdk_ssm::config::Builder::from(&chain)
            .http_client(one_pool(settings, plain, !plain)?)
            .retry_config(retries)
            .timeout_config(time_outs)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(aws_sdk_ssm::Client::from_conf(config))
    }
}

fn in_region(chain: &SdkConfig, region: Option<&str>) -> SdkConfig {
    match region {
        Some(region) => chain.to_builder().region(Region::new(region.to_owned())).build(),
        None => chain.clone(),
    }
}
