//! The cluster and its credentials: from a kubeconfig or from the service account of a pod, as `kubectl` finds them.
//!
//! The errors of the libraries quote kubeconfigs and plugin output, tokens included, so all messages here are
//! rotator's own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::client::AuthError;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::adapters::redact::url::shown_url;
use crate::adapters::subprocess::environment::{self, Kind};

const CONNECT: Duration = Duration::from_millis(3100);

/// The time-out of a credential plugin, which includes an interactive login.
const PLUGIN: Duration = Duration::from_secs(120);

/// Why a Kubernetes store cannot be opened. Each message follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesStoreError {
    /// Neither a kubeconfig nor a service account exists.
    #[error("find a cluster: there is no kubeconfig, and this is not a pod with a service account; set KUBECONFIG")]
    NoCluster,
    /// The kubeconfig is not valid.
    #[error("use the kubeconfig{}: {why}", path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
    Kubeconfig {
        /// The file, if one was named.
        path: Option<PathBuf>,
        why: String,
    },
    /// The token and the Secrets would be sent in the clear.
    #[error(
        "call Kubernetes at {address}: plain http is for this machine only (localhost, 127.0.0.1, [::1]); use https"
    )]
    PlainHttp { address: String },
    /// The address is not a URL.
    #[error("call Kubernetes at {address}: this is not an http or https URL; correct the server in the kubeconfig")]
    NoUrl { address: String },
    /// The credentials are not available.
    #[error("log in to Kubernetes: {0}")]
    Credentials(String),
}

/// The settings of a Kubernetes store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The namespace; by default all namespaces.
    pub namespace: Option<String>,
    /// A label selector; by default every Secret is used.
    pub selector: Option<String>,
    /// The kubeconfig; by default `KUBECONFIG`, `~/.kube/config`, or the service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; by default its current context.
    pub context: Option<String>,
    /// The host and port of the API server from the environment of a pod.
    pub service: Option<(String, String)>,
    /// The folder with the token of a pod and the certificate authority of the cluster.
    pub service_account: PathBuf,
    /// The variables that a credential plugin gets in addition to the standard list.
    pub env: Vec<String>,
    /// The maximum duration of one request.
    pub call_timeout: Duration,
}

impl KubernetesSettings {
    /// The configuration of the client.
    pub(super) async fn config(&self) -> Result<Config, KubernetesStoreError> {
        let mut config = match self.kubeconfig()? {
            Some(kubeconfig) => self.of_kubeconfig(kubeconfig).await?,
            None => self.of_service_account()?,
        };
        let address = shown_url(&config.cluster_url.to_string());
        let is_local = is_local(&config.cluster_url);
        match config.cluster_url.scheme_str() {
            Some("https") => {}
            Some("http") if is_local => {}
            Some("http") => return Err(KubernetesStoreError::PlainHttp { address }),
            Some(_) | None => return Err(KubernetesStoreError::NoUrl { address }),
        }
        config.connect_timeout = Some(CONNECT);
        // A retry could repeat a write that was executed in spite of a 503 or a 504.
        config.default_retry = false;
        Ok(config)
    }

    fn kubeconfig(&self) -> Result<Option<Kubeconfig>, KubernetesStoreError> {
        let wrong = |path: Option<&Path>, error: &KubeconfigError| KubernetesStoreError::Kubeconfig {
            path: path.map(Path::to_owned),
            why: what_is_wrong(error),
        };
        if let Some(path) = &self.kubeconfig {
            return Kubeconfig::read_from(path).map(Some).map_err(|error| wrong(Some(path), &error));
        }
        match Kubeconfig::read() {
            Ok(kubeconfig) => Ok(Some(kubeconfig)),
            // No kubeconfig was named, and the default one does not exist.
            Err(KubeconfigError::ReadConfig(error, _))
                if error.kind() == std::io::ErrorKind::NotFound
                    && std::env::var_os("KUBECONFIG").is_none_or(|list| list.is_empty()) =>
            {
                Ok(None)
            }
            Err(KubeconfigError::FindPath) => Ok(None),
            Err(error) => Err(wrong(None, &error)),
        }
    }

    async fn of_kubeconfig(&self, kubeconfig: Kubeconfig) -> Result<Config, KubernetesStoreError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let names_proxy = names_proxy(&kubeconfig, self.context.as_ref());
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
            KubernetesStoreError::Kubeconfig { path: self.kubeconfig.clone(), why: what_is_wrong(&error) }
        })?;
        if let Some(plugin) = &mut config.auth_info.exec {
            // Variables that the kubeconfig itself sets stay: the library removes these names last.
            let of_its_own = plugin.env.iter().flatten().filter_map(|variable| variable.get("name").cloned());
            let passed: Vec<String> = self.env.iter().cloned().chain(of_its_own).collect();
            plugin.drop_env = Some(environment::withheld(Kind::CredentialPlugin, &passed));
        }
        if !names_proxy {
            config.proxy_url = proxy_for(&config.cluster_url);
        }
        Ok(config)
    }

    fn of_service_account(&self) -> Result<Config, KubernetesStoreError> {
        let Some((host, port)) = self.service.as_ref().filter(|_| self.context.is_none()) else {
            return Err(KubernetesStoreError::NoCluster);
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let address = format!("https://{host}:{port}");
        let url: Uri = address.parse().map_err(|_| KubernetesStoreError::NoUrl { address })?;
        let mut config = Config::new(url);
        let file = |name: &str| {
            let path = self.service_account.join(name);
            let there = std::fs::File::open(&path).map(|_| path.clone());
            there.map_err(|error| KubernetesStoreError::Credentials(format!("{}: {error}", path.display())))
        };
        // Both files are read again, since a service account token is valid for an hour.
        config.root_cert_file = Some(file("ca.crt")?);
        config.auth_info = AuthInfo { token_file: Some(file("token")?.display().to_string()), ..AuthInfo::default() };
        config.proxy_url = proxy_for(&config.cluster_url);
        Ok(config)
    }
}

/// The source of the credentials, for operators.
pub(super) fn credentials(auth: &AuthInfo) -> String {
    if let Some(exec) = &auth.exec {
        return format!(
            "the credential plugin {} of the kubeconfig",
            exec.command.as_deref().unwrap_or("without a name")
        );
    }
    if let Some(file) = &auth.token_file {
        return format!("the token in {file}");
    }
    let kind = if auth.token.is_some() {
        "token"
    } else if auth.client_certificate.is_some() || auth.client_certificate_data.is_some() {
        "client certificate"
    } else if auth.auth_provider.is_some() {
        "auth provider"
    } else {
        "user"
    };
    format!("the {kind} in the kubeconfig")
}

/// The credentials in the kubeconfig, which the server gets. The output of a credential plugin is not known here.
pub(super) fn secrets(auth: &AuthInfo) -> Vec<Zeroizing<String>> {
    let written = [&auth.token, &auth.password].into_iter().flatten();
    let written = written.map(|secret| Zeroizing::new(secret.expose_secret().to_owned()));
    let read = auth.token_file.iter().filter_map(|file| std::fs::read_to_string(file).ok().map(Zeroizing::new));
    written.chain(read).collect()
}

/// Builds the client and runs the credential plugin of the kubeconfig, if it has one.
pub(super) async fn client(config: &Config) -> Result<Client, KubernetesStoreError> {
    let credentials = |why: &str| KubernetesStoreError::Credentials(why.to_owned());
    let config = config.clone();
    let made = tokio::task::spawn_blocking(move || {
        let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        Client::try_from(config)
            .map_err(|error| KubernetesStoreError::Credentials(no_client(&error, plugin.as_deref())))
    });
    match tokio::time::timeout(PLUGIN, made).await {
        Ok(Ok(client)) => client,
        Ok(Err(_)) => Err(credentials("the client could not be made")),
        Err(_) => Err(credentials("the credential plugin of the kubeconfig does not end")),
    }
}

fn no_client(error: &kube::Error, plugin: Option<&str>) -> String {
    let plugin = plugin.unwrap_or("the credential plugin of the kubeconfig");
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's own, of which these are the likely ones")]
    match error {
        kube::Error::Auth(AuthError::AuthExecStart(error)) => format!("{plugin} could not be started: {error}"),
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            format!("{plugin} failed ({}): run it by hand to see what it says", out.status)
        }
        kube::Error::Auth(AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed) => {
            format!("{plugin} did not print a credential")
        }
        kube::Error::Auth(AuthError::ReadTokenFile(error, path)) => format!("{}: {error}", path.display()),
        kube::Error::Auth(_) => "what the kubeconfig says of its user cannot be used".to_owned(),
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "the proxy is neither http nor https".to_owned()
        }
        _ => "the certificates cannot be used".to_owned(),
    }
}

fn what_is_wrong(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => "it has no current context: set context of the [[store]]".to_owned(),
        KubeconfigError::LoadContext(name) => format!("it has no context \"{name}\""),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster \"{name}\""),
        KubeconfigError::FindPath => "there is no home folder".to_owned(),
        KubeconfigError::ReadConfig(error, path) => format!("{}: {error}", path.display()),
        KubeconfigError::Parse(_) => "it is not a valid kubeconfig".to_owned(),
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "the files that KUBECONFIG names contradict each other".to_owned()
        }
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            "the cluster's server is no URL".to_owned()
        }
        KubeconfigError::ParseProxyUrl(_) | KubeconfigError::ParseNoProxy(_) => "its proxy is no URL".to_owned(),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "its certificate authority cannot be read".to_owned()
        }
        KubeconfigError::LoadClientCertificate(_) | KubeconfigError::LoadClientKey(_) => {
            "its client certificate or key cannot be read".to_owned()
        }
    }
}

/// Whether the kubeconfig itself names a proxy for this context.
fn names_proxy(kubeconfig: &Kubeconfig, context: Option<&String>) -> bool {
    let name = context.or(kubeconfig.current_context.as_ref());
    let context = kubeconfig.contexts.iter().find(|context| Some(&context.name) == name);
    let cluster = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster);
    let proxy = cluster.and_then(|named| named.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.as_ref());
    proxy.is_some_and(|proxy| !proxy.is_empty())
}

/// The proxy of the environment for this address, according to `NO_PROXY`; none for this machine.
fn proxy_for(address: &Uri) -> Option<Uri> {
    if is_local(address) {
        return None;
    }
    Matcher::from_env().intercept(address).map(|proxy| proxy.uri().clone())
}

fn is_local(address: &Uri) -> bool {
    let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> KubernetesSettings {
        KubernetesSettings {
            namespace: None,
            selector: None,
            kubeconfig: None,
            context: None,
            service: Some(("fd00::1".to_owned(), "443".to_owned())),
            service_account: folder.to_owned(),
            env: Vec::new(),
            call_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_pod_is_known_by_its_service_account() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let missing = settings.of_service_account().expect_err("the files are missing");
        assert!(missing.to_string().contains("ca.crt"), "{missing}");
        for name in ["ca.crt", "token"] {
            std::fs::write(folder.path().join(name), "x").expect("written");
        }
        let config = settings.of_service_account().expect("configured");
        assert_eq!(config.cluster_url.to_string(), "https://[fd00::1]:443/");
        assert_eq!(config.root_cert_file, Some(folder.path().join("ca.crt")));
        assert_eq!(config.auth_info.token_file, Some(folder.path().join("token").display().to_string()));
        assert!(config.auth_info.token.is_none(), "read from its file, which is kept fresh");
        // A context is a kubeconfig's.
        let named = KubernetesSettings { context: Some("test".to_owned()), ..settings.clone() };
        assert_eq!(named.of_service_account().err(), Some(KubernetesStoreError::NoCluster));
        let nowhere = KubernetesSettings { service: None, ..settings };
        assert_eq!(nowhere.of_service_account().err(), Some(KubernetesStoreError::NoCluster));
    }

    #[test]
    fn this_machine_is_asked_without_a_proxy() {
        let is_local = |address: &str| is_local(&address.parse().expect("a URL"));
        assert!(["http://localhost:8001", "http://127.0.0.1:1", "https://[::1]:6443"].into_iter().all(is_local));
        assert!(!["http://kubernetes.default.svc", "https://10.0.0.1"].into_iter().any(is_local));
    }
}
