//! The time-outs of calls to AWS.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;

/// The time-outs of calls to AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwsSettings {
    /// The maximum duration of a call, including its credentials.
    pub call_timeout: Duration,
    /// The maximum duration of connecting.
    pub connect_timeout: Duration,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self { call_timeout: Duration::from_secs(10), connect_timeout: Duration::from_millis(3100) }
    }
}

/// Every time-out of the SDK. By default the SDK sets no read time-out and no operation time-out: a call was still
/// waiting after 90 s.
pub(super) fn time_outs(settings: AwsSettings) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.call_timeout)
        .operation_attempt_timeout(settings.call_timeout)
        .operation_timeout(settings.call_timeout)
        .build()
}
