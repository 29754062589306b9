//! Roles that ask for MFA. aws-config ignores `mfa_serial`, so rotator assumes such a role itself, with a one-time code.
//!
//! One code serves one call (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html>).
//! The session is begun before the first call with it, is kept in memory for the whole process, and is never renewed in
//! the middle of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use zeroize::Zeroizing;

use super::credentials_source::{Trouble, reported};
use super::error::{AwsCallError, Call};
use super::refusal_text::MfaRefusal;
use super::response_check::ResponseCheck;
use super::settings::{AwsSettings, time_outs};
use crate::types::time::Timestamp;

/// The default name of a role session, which CloudTrail shows.
pub(super) const SESSION: &str = "rotator";

/// How many codes an operator may enter for one session.
const MOST_CODES: usize = 3;

/// A one-time code of an MFA device.
#[derive(Clone)]
pub struct MfaCode(Zeroizing<String>);

impl MfaCode {
    /// The code in this text: six digits, with or without spaces.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let digits: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
        (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(Self(digits))
    }
}

impl fmt::Debug for MfaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaCode(…)")
    }
}

/// What a code is asked for.
#[derive(Debug)]
pub struct CodeRequest<'a> {
    /// The profile or the account whose role is assumed.
    pub whose: &'a str,
    /// The ARN or the serial number of the device.
    pub device: &'a str,
    /// Why the previous code did not serve.
    pub refused: Option<&'a str>,
}

/// Where codes come from.
#[async_trait]
pub trait AskCode: fmt::Debug + Send + Sync {
    /// Returns a code of the device.
    ///
    /// # Errors
    /// Why the code is missing, and what to do; it follows "needs a code of the MFA device …: ".
    async fn code(&self, request: &CodeRequest<'_>) -> Result<MfaCode, String>;

    /// Returns whether an operator can be asked, so that another code may come.
    fn can_ask(&self) -> bool;
}

/// What a session is begun with. Two profiles or accounts with the same values have the same session.
type Key = (String, String, String, String);

#[derive(Debug)]
enum Session {
    Begun(Credentials),
    /// Why it did not begin.
    Failed(String),
}

/// The sessions of this process.
#[derive(Debug)]
pub struct MfaSessions {
    codes: Box<dyn AskCode>,
    sessions: Mutex<BTreeMap<Key, Session>>,
}

impl MfaSessions {
    #[must_use]
    pub fn new(codes: impl AskCode + 'static) -> Self {
        Self { codes: Box::new(codes), sessions: Mutex::default() }
    }

    /// Forgets why sessions did not begin, so that they are tried again.
    pub fn forget_failures(&self) {
        self.locked().retain(|_, session| matches!(session, Session::Begun(_)));
    }

    /// Whether a session is missing or has ended, and no operator can be asked for a code.
    #[must_use]
    pub fn lacks_a_code(&self) -> bool {
        let is_usable = |session: &Session| matches!(session, Session::Begun(credentials) if !is_over(credentials));
        !self.codes.can_ask() && !self.locked().values().all(is_usable)
    }

    /// The number of roles that a code was asked for. One code serves one role.
    #[must_use]
    pub fn roles(&self) -> usize {
        self.locked().len()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(credentials: &Credentials) -> bool {
    credentials.expiry().is_some_and(|end| end <= SystemTime::now())
}

/// A role that asks for MFA.
#[derive(Debug, Clone)]
pub(super) struct MfaRole {
    /// The profile or the account, for messages.
    pub(super) whose: String,
    pub(super) arn: String,
    pub(super) device: String,
    pub(super) external_id: Option<String>,
    pub(super) session_name: String,
    /// How long the session is to last; by default as long as AWS decides, one hour.
    pub(super) duration: Option<Duration>,
    /// The setting that decides how long the session lasts.
    pub(super) setting: &'static str,
}

impl MfaRole {
    fn key(&self) -> Key {
        let external_id = self.external_id.clone().unwrap_or_default();
        (self.arn.clone(), self.device.clone(), self.session_name.clone(), external_id)
    }
}

/// The credentials of a role that asks for MFA.
#[derive(Debug)]
pub(super) struct RoleWithMfa {
    pub(super) role: MfaRole,
    /// The chain with the credentials that assume the role.
    base: SdkConfig,
    settings: AwsSettings,
    sessions: Arc<MfaSessions>,
}

/// Why the role was not assumed.
struct NotAssumed {
    words: String,
    is_code: bool,
}

impl RoleWithMfa {
    pub(super) fn new(role: MfaRole, base: SdkConfig, settings: AwsSettings, sessions: &Arc<MfaSessions>) -> Self {
        Self { role, base, settings, sessions: Arc::clone(sessions) }
    }

    /// Begins the session, unless it has begun or could not begin. This is the only place that asks for a code.
    pub(super) async fn begin(&self) {
        let key = self.role.key();
        match self.sessions.locked().get(&key) {
            Some(Session::Begun(credentials)) if !is_over(credentials) => return,
            Some(Session::Begun(_)) if !self.sessions.codes.can_ask() => return,
            Some(Session::Failed(_)) => return,
            Some(Session::Begun(_)) | None => {}
        }
        let session = match self.try_to_begin().await {
            Ok(credentials) => Session::Begun(credentials),
            Err(words) => Session::Failed(words),
        };
        self.sessions.locked().insert(key, session);
    }

    async fn try_to_begin(&self) -> Result<Credentials, String> {
        let MfaRole { whose, device, .. } = &self.role;
        // No code is asked for in vain.
        if let Some(base) = self.base.credentials_provider() {
            base.provide_credentials().await.map_err(|error| {
                let why = reported(&error).map(|trouble| trouble.words.clone());
                why.unwrap_or_else(|| format!("{whose} has no credentials to assume its role with"))
            })?;
        }
        let mut refused: Option<String> = None;
        for _ in 0..MOST_CODES {
            let request = CodeRequest { whose, device, refused: refused.as_deref() };
            let code = match self.sessions.codes.code(&request).await {
                Ok(code) => code,
                Err(why) => {
                    return Err(
                        refused.unwrap_or_else(|| format!("{whose} needs a code of the MFA device {device}: {why}"))
                    );
                }
            };
            match self.assume(&code).await {
                Ok(credentials) => return Ok(credentials),
                Err(NotAssumed { words, is_code: true }) => refused = Some(words),
                Err(NotAssumed { words, is_code: false }) => return Err(words),
            }
        }
        Err(refused.unwrap_or_default())
    }

    /// Assumes the role. A code serves one call, so the call is made once.
    async fn assume(&self, code: &MfaCode) -> Result<Credentials, NotAssumed> {
        let role = &self.role;
        let config = aws_sdk_sts::config::Builder::from(&self.base)
            .retry_config(RetryConfig::disabled())
            .timeout_config(time_outs(self.settings))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let (call, response) = (Call::xml("AssumeRole", role.arn.clone()), ResponseCheck::default());
        let request = aws_sdk_sts::Client::from_conf(config)
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(&role.session_name)
            .set_external_id(role.external_id.clone())
            .set_duration_seconds(role.duration.and_then(|duration| i32::try_from(duration.as_secs()).ok()))
            .serial_number(&role.device)
            .token_code(code.0.as_str())
            .customize()
            .interceptor(response.clone());
        let result = Box::pin(request.send()).await;
        match response.check(&call, result) {
            Ok((output, _)) => self.credentials(output),
            Err(error) => Err(self.not_assumed(error.about(&code.0))),
        }
    }

    fn credentials(&self, output: AssumeRoleOutput) -> Result<Credentials, NotAssumed> {
        let unreadable = || NotAssumed {
            words: format!("{}: the answer of AWS holds no credentials", self.role.whose),
            is_code: false,
        };
        let issued = output.credentials.ok_or_else(unreadable)?;
        let end = SystemTime::try_from(issued.expiration).map_err(|_| unreadable())?;
        let mut credentials = Credentials::new(
            issued.access_key_id,
            issued.secret_access_key,
            Some(issued.session_token),
            Some(end),
            "rotator",
        );
        credentials.set_property(vec![AwsCredentialFeature::CredentialsStsAssumeRole]);
        Ok(credentials)
    }

    fn not_assumed(&self, error: AwsCallError) -> NotAssumed {
        let MfaRole { whose, arn, device, setting, .. } = &self.role;
        if error.refusal_code().is_none() {
            let words = format!("{whose}: {error}; the code may be used up: take the next one");
            return NotAssumed { words, is_code: false };
        }
        let why = match error.mfa {
            MfaRefusal::Code => {
                let words = format!(
                    "{whose}: AWS did not accept the code of the MFA device {device}. A code serves once, for about 30 s: \
                     wait for the next one, and check that it is of this device"
                );
                return NotAssumed { words, is_code: true };
            }
            MfaRefusal::Device => {
                format!("AWS knows no MFA device {device} of the user that assumes the role {arn}; correct mfa_serial")
            }
            MfaRefusal::TooLong => format!("the role {arn} allows no session of this length; lower {setting}"),
            MfaRefusal::Other => {
                return NotAssumed {
                    words: format!("{whose}: the role with the MFA device {device} was not assumed: {error}"),
                    is_code: false,
                };
            }
        };
        NotAssumed { words: format!("{whose}: {why}"), is_code: false }
    }

    /// When the session ends.
    pub(super) fn end(&self) -> Option<Timestamp> {
        match self.sessions.locked().get(&self.role.key()) {
            Some(Session::Begun(credentials)) => credentials.expiry().map(Timestamp::from_system),
            Some(Session::Failed(_)) | None => None,
        }
    }

    /// Why the session cannot be used.
    pub(super) fn failure(&self) -> Option<String> {
        self.kept().err()
    }

    fn kept(&self) -> Result<Credentials, String> {
        let MfaRole { whose, device, .. } = &self.role;
        Err(match self.sessions.locked().get(&self.role.key()) {
            Some(Session::Begun(credentials)) if !is_over(credentials) => return Ok(credentials.clone()),
            Some(Session::Begun(_)) => format!(
                "the session of {whose} that began with a code of the MFA device {device} has ended; run `rotator resume` \
                 with another code"
            ),
            Some(Session::Failed(words)) => words.clone(),
            None => format!("{whose} needs a code of the MFA device {device}, and none was asked for"),
        })
    }
}

/// The role as a provider of credentials. It asks for no code.
#[derive(Debug, Clone)]
pub(super) struct Kept(pub(super) Arc<RoleWithMfa>);

impl Kept {
    pub(super) fn shared(role: &Arc<RoleWithMfa>) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self(Arc::clone(role)))
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::ready(self.0.kept().map_err(|words| CredentialsError::provider_error(Trouble::new(words))))
    }
}

/// Gives no code.
#[derive(Debug)]
struct NoCodes;

#[async_trait]
impl AskCode for NoCodes {
    async fn code(&self, _: &CodeRequest<'_>) -> Result<MfaCode, String> {
        Err("no code can be entered here".to_owned())
    }

    fn can_ask(&self) -> bool {
        false
    }
}

impl Default for MfaSessions {
    fn default() -> Self {
        Self::new(NoCodes)
    }
}
