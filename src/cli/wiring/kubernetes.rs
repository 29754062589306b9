//! `kubernetes:` stores: their settings from the `[[store]]` table and from the environment of a pod.

use std::sync::Arc;

use crate::adapters::stores::Backend;
use crate::cli::config::{Config, StoreSettings};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;

/// Opens the store `kubernetes:[NAMESPACE]`; a credential plugin of the kubeconfig is run.
#[cfg(feature = "kubernetes")]
pub(super) async fn open(
    config: &Config,
    host: &HostEnv,
    store: &StoreSettings,
    namespace: &str,
) -> Result<Arc<dyn Backend>, CliError> {
    use crate::adapters::stores::SERVICE_ACCOUNT;
    use crate::adapters::stores::kubernetes::{KubernetesSettings, KubernetesStore};

    let variable = |name: &str| host.variable(name).map(str::to_owned);
    let table = &store.table;
    let settings = KubernetesSettings {
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        selector: table.selector.clone(),
        kubeconfig: table.kubeconfig.clone(),
        context: table.context.clone(),
        service: variable("KUBERNETES_SERVICE_HOST").zip(variable("KUBERNETES_SERVICE_PORT")),
        service_account: SERVICE_ACCOUNT.into(),
        env: table.env.clone(),
        call_timeout: config.call_timeout,
    };
    Ok(Arc::new(KubernetesStore::open(settings).await.map_err(|error| kubernetes_failed(&error))?))
}

#[cfg(feature = "kubernetes")]
fn kubernetes_failed(error: &crate::adapters::stores::kubernetes::KubernetesStoreError) -> CliError {
    use crate::adapters::stores::kubernetes::KubernetesStoreError;

    let (message, hint) =
        (format!("failed to {error}"), "nothing was changed; docs/configuration.md has the settings of kubernetes:");
    match error {
        KubernetesStoreError::Credentials(_) => CliError::of_credentials(message, hint),
        KubernetesStoreError::NoCluster
        | KubernetesStoreError::Kubeconfig { .. }
        | KubernetesStoreError::PlainHttp { .. }
        | KubernetesStoreError::NoUrl { .. } => CliError::usage(message, hint),
    }
}

/// Says that this build cannot open such a store.
#[cfg(not(feature = "kubernetes"))]
pub(super) async fn open(
    _: &Config,
    _: &HostEnv,
    store: &StoreSettings,
    _: &str,
) -> Result<Arc<dyn Backend>, CliError> {
    Err(CliError::usage(
        format!("{} cannot be used: this rotator was built without kubernetes", store.uri.name),
        "build it with the feature `kubernetes`, which is on by default",
    ))
}
