//! Builds the clients of IAM and STS on one connection pool from the SDK's default chain. Every setting that rotator
//! relies on is set here and read back.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpClientBuilder, Connector};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;
use hyper::Uri;

use super::credentials_source::{Described, Source};
use super::mfa::{MfaSessions, RoleWithMfa};
use super::profile_file::of_environment;
use super::profile_roles::{ProfileRoles, is_profile_in_use, of_profile};
use super::settings::{AwsSettings, time_outs};
use super::signing_keys::SigningKeys;
use crate::adapters::bounds::LARGEST_ANSWER;

/// The region if the chain has none; IAM is global.
pub(super) const LAST_RESORT_REGION: &str = "us-east-1";

/// How long an idle connection is kept. The outcome of a request on a connection that the server is closing is in
/// doubt, so the time is short.
const IDLE: Duration = Duration::from_secs(15);

/// Why no client is built. Each message follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Secrets would be sent in the clear.
    #[error(
        "call {service} at http://{host}: plain http is for this machine only (localhost, 127.0.0.1, [::1]); use https, \
         or correct AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_{service} or the profile's endpoint_url"
    )]
    PlainHttp {
        /// `IAM` or `STS`.
        service: &'static str,
        host: String,
    },
    /// The configured endpoint is not a valid URL.
    #[error(
        "call {service}: its endpoint is not an http or https URL; correct AWS_ENDPOINT_URL, \
         AWS_ENDPOINT_URL_{service}, the profile's endpoint_url, or the region"
    )]
    NoEndpoint {
        /// `IAM` or `STS`.
        service: &'static str,
    },
    /// Without certificate authorities the server cannot be authenticated.
    #[error(
        "call AWS: this machine has no certificate authorities to know it by; install them (the package \
         ca-certificates), or name their file in SSL_CERT_FILE"
    )]
    NoAuthorities,
    /// The SDK did not apply a setting, because of a defect or another version of the SDK.
    #[error("call {service}: the SDK did not take the setting {setting}; this build of rotator must not be used")]
    Setting {
        /// `IAM` or `STS`.
        service: &'static str,
        setting: &'static str,
    },
}

/// AWS: implements [`Iam`](crate::ports::iam::Iam) and [`Identity`](crate::ports::identity::Identity).
#[derive(Debug, Clone)]
pub struct Aws {
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) sts: aws_sdk_sts::Client,
    /// The configuration that further clients are built from.
    pub(super) chain: SdkConfig,
    pub(super) settings: AwsSettings,
    /// The credentials that assume the role, if there is one.
    pub(super) assumed_with: Option<SharedCredentialsProvider>,
    /// The keys that signed the calls for these credentials.
    pub(super) signers: SigningKeys,
    /// The source of the credentials, unless the caller provided the chain.
    pub(super) source: Option<Source>,
    /// The roles of the chain that ask for MFA, in the order in which they are assumed.
    pub(super) roles: Vec<Arc<RoleWithMfa>>,
}

impl Aws {
    /// Builds the clients from the environment and the profile, without a call to an AWS service. The chain itself
    /// may ask the metadata service of the machine for a region. `sessions` has the roles that ask for MFA.
    ///
    /// # Errors
    /// [`ConnectError`] if the endpoint is not valid, secrets would be sent to it in the clear, or a setting is not
    /// applied.
    pub async fn connect(settings: AwsSettings, sessions: &Arc<MfaSessions>) -> Result<Self, ConnectError> {
        let region = RegionProviderChain::default_provider().or_else(Region::from_static(LAST_RESORT_REGION));
        let signers = SigningKeys::default();
        let client = late(&signers);
        let chain = aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(client).load().await;
        let roles = match is_profile_in_use().await {
            true => of_profile(&of_environment(), &chain, settings, sessions).await,
            false => None,
        };
        let (chain, source, roles) = described(&chain, None, roles);
        Ok(Self { signers, source: Some(source), roles, ..Self::with_chain(&chain, settings).await? })
    }

    /// Begins the sessions of the roles that ask for MFA, which may ask an operator for codes. A session that does not
    /// begin is reported by each later call.
    pub async fn begin_sessions(&self) {
        for role in &self.roles {
            role.begin().await;
        }
    }

    /// Why a session of a role that asks for MFA cannot be used, once it was to begin.
    #[must_use]
    pub fn session_failure(&self) -> Option<String> {
        self.roles.iter().find_map(|role| role.failure())
    }

    /// Builds the clients from `chain`.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn with_chain(chain: &SdkConfig, settings: AwsSettings) -> Result<Self, ConnectError> {
        let endpoints = [("IAM", iam_uri(chain).await), ("STS", sts_uri(chain).await)];
        let mut plain = 0;
        for (service, uri) in &endpoints {
            plain += usize::from(is_plain(service, uri.as_deref())?);
        }
        let client = one_pool(settings, plain > 0, plain < endpoints.len())?;
        let (retries, time_outs) = (RetryConfig::disabled(), time_outs(settings));
        let stalls = StalledStreamProtectionConfig::disabled();
        let iam = aws_sdk_iam::config::Builder::from(chain)
            .http_client(client.clone())
            .retry_config(retries.clone())
            .timeout_config(time_outs.clone())
            .stalled_stream_protection(stalls.clone())
            .build();
        let sts = aws_sdk_sts::config::Builder::from(chain)
            .http_client(client)
            .retry_config(retries)
            .timeout_config(time_outs)
            .stalled_stream_protection(stalls)
            .build();
        let (iam, sts) = (aws_sdk_iam::Client::from_conf(iam), aws_sdk_sts::Client::from_conf(sts));
        let (chain, signers) = (chain.clone(), SigningKeys::default());
        let aws = Self { iam, sts, chain, settings, assumed_with: None, signers, source: None, roles: Vec::new() };
        aws.check_settings(settings)?;
        Ok(aws)
    }

    /// Reads back every setting that rotator relies on.
    fn check_settings(&self, settings: AwsSettings) -> Result<(), ConnectError> {
        let (iam, sts) = (self.iam.config(), self.sts.config());
        let rows = [
            ("IAM", iam.retry_config(), iam.timeout_config(), iam.stalled_stream_protection(), iam.identity_cache()),
            ("STS", sts.retry_config(), sts.timeout_config(), sts.stalled_stream_protection(), sts.identity_cache()),
        ];
        for (service, retries, time_outs_set, stalls, cache) in rows {
            let expect = |holds, setting| if holds { Ok(()) } else { Err(ConnectError::Setting { service, setting }) };
            expect(retries.is_some_and(|retries| retries.max_attempts() == 1), "one attempt")?;
            expect(time_outs_set == Some(&time_outs(settings)), "time-outs")?;
            expect(stalls.is_some_and(|stalls| !stalls.is_enabled()), "no stalled-stream protection")?;
            expect(cache.is_some(), "identity cache")?;
        }
        Ok(())
    }
}

/// The chain with errors that name the source of the credentials. The credentials are those of `roles`, if there are any.
pub(super) fn described(
    chain: &SdkConfig,
    profile: Option<&str>,
    roles: Option<ProfileRoles>,
) -> (SdkConfig, Source, Vec<Arc<RoleWithMfa>>) {
    let (provider, roles) = match roles {
        Some(ProfileRoles { provider, roles }) => (Some(provider), roles),
        None => (chain.credentials_provider(), Vec::new()),
    };
    let source = Source::new(profile).with_device(roles.last().map(|last| last.role.device.as_str()));
    let chain = match provider {
        Some(provider) => {
            let described = SharedCredentialsProvider::new(Described::new(provider, source.clone()));
            chain.to_builder().credentials_provider(described).build()
        }
        None => chain.clone(),
    };
    (chain, source, roles)
}

/// The SDK's default HTTP client for its credential chain, built at its first use: building it reads every
/// certificate of the machine. `signers` learns which keys sign the requests.
pub(super) fn late(signers: &SigningKeys) -> SharedHttpClient {
    let (made, signers) = (OnceLock::new(), signers.clone());
    http_client_fn(move |settings, components| {
        let make = || HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
        bounded(signers.watching(made.get_or_init(make).http_connector(settings, components)))
    })
}

/// One connector for both services, with one pool and one set of root certificates. The proxies of the environment
/// are used, except for a plain `http` endpoint, since a proxy would send local requests out of the machine.
/// Certificates are read only for a TLS endpoint, since the SDK fails on a machine without any.
pub(super) fn one_pool(
    settings: AwsSettings,
    some_plain: bool,
    some_tls: bool,
) -> Result<SharedHttpClient, ConnectError> {
    let builder = Connector::builder()
        .connector_settings(
            HttpConnectorSettings::builder()
                .connect_timeout(settings.connect_timeout)
                .read_timeout(settings.call_timeout)
                .build(),
        )
        .pool_idle_timeout(IDLE)
        .proxy_config(if some_plain { ProxyConfig::disabled() } else { ProxyConfig::from_env() });
    let connector = if !some_tls {
        builder.build_http()
    } else if rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err(ConnectError::NoAuthorities);
    } else {
        builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build()
    };
    let connector = bounded(SharedHttpConnector::new(connector));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// A connector with bounded responses: the SDK reads a body of any length.
fn bounded(inner: SharedHttpConnector) -> SharedHttpConnector {
    SharedHttpConnector::new(Bounded { inner })
}

#[derive(Debug)]
struct Bounded {
    inner: SharedHttpConnector,
}

impl HttpConnector for Bounded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let limited = |body: SdkBody| SdkBody::from_body_1_x(Limited::new(body, LARGEST_ANSWER));
            answer.await.map(|answer| answer.map(limited))
        })
    }
}

/// Whether the endpoint is plain `http`, which is allowed for a loopback host only.
pub(super) fn is_plain(service: &'static str, uri: Option<&str>) -> Result<bool, ConnectError> {
    let none = ConnectError::NoEndpoint { service };
    let Some(Ok(uri)) = uri.map(|uri| uri.parse::<Uri>()) else { return Err(none) };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(none) };
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(false);
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(none);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if loopback { Ok(true) } else { Err(ConnectError::PlainHttp { service, host: host.to_owned() }) }
}

/// Stops a call before it is signed and keeps its URI. Only the SDK itself knows every variable and profile key that
/// determines an endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe(Arc<Mutex<Option<String>>>);

impl Probe {
    pub(super) fn uri(&self) -> Option<String> {
        self.0.lock().ok()?.take()
    }
}

impl Intercept for Probe {
    fn name(&self) -> &'static str {
        "Probe"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(mut uri) = self.0.lock() {
            *uri = Some(context.request().uri().to_owned());
        }
        Err("the endpoint is known; nothing is sent".into())
    }
}

/// Placeholder credentials, which never sign: the probe ends before that.
pub(super) fn placeholder() -> Credentials {
    Credentials::new("AKIAAAAAAAAAAAAAAAAA", "probe", None, None, "probe")
}

async fn iam_uri(chain: &SdkConfig) -> Option<String> {
    let probe = Probe::default();
    let config =
        aws_sdk_iam::config::Builder::new().credentials_provider(placeholder()).retry_config(RetryConfig::disabled());
    let call = aws_sdk_iam::Client::new(chain).list_access_keys().user_name("probe").customize();
    // The probe fails every call.
    let _ = Box::pin(call.config_override(config).interceptor(probe.clone()).send()).await;
    probe.uri()
}

async fn sts_uri(chain: &SdkConfig) -> Option<String> {
    let probe = Probe::default();
    let config =
        aws_sdk_sts::config::Builder::new().credentials_provider(placeholder()).retry_config(RetryConfig::disabled());
    let call = aws_sdk_sts::Client::new(chain).get_caller_identity().customize();
    // The probe fails every call.
    let _ = Box::pin(call.config_override(config).interceptor(probe.clone()).send()).await;
    probe.uri()
}
