//! AWS as configured: the credentials in use, and the configured accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::adapters::aws::{Aws, AwsSettings, MfaSessions};
use crate::cli::config::{AccountSettings, Config, StoreSettings};
use crate::cli::error::{CliError, OR_DOCTOR};
use crate::cli::host_env::HostEnv;
use crate::engine::account_label::Label;
use crate::engine::accounts::AccountPorts;
use crate::types::error_text::with_causes;
use crate::types::name::AccessKeyId;

/// What to do if a session that MFA is asked for did not begin.
const NO_SESSION: &str = "without this session nothing is changed; docs/accounts.md, Roles that ask for MFA, says more";

/// The clients of every account. None has made a call yet.
pub struct AwsAccounts {
    /// The clients with the credentials in use.
    own: Aws,
    accounts: Vec<(AccountSettings, Aws)>,
}

impl AwsAccounts {
    /// Builds the clients from the configuration and the SDK's default chain, without a call; only the sessions of roles
    /// that ask for MFA are begun, one after the other, since an operator may have to enter a code for each. A session
    /// that does not begin affects its own account only.
    ///
    /// # Errors
    /// Exit code 1 if an endpoint cannot be used.
    pub async fn of(config: &Config, mfa: &Arc<MfaSessions>) -> Result<Self, CliError> {
        let settings = AwsSettings { call_timeout: config.call_timeout, ..AwsSettings::default() };
        let own = Box::pin(Aws::connect(settings, mfa)).await.map_err(|error| aws_failed(&error))?;
        let mut accounts = Vec::new();
        for account in &config.accounts {
            let aws =
                Box::pin(Aws::of_account(&account.access, settings, mfa)).await.map_err(|error| aws_failed(&error))?;
            accounts.push((account.clone(), aws));
        }
        let aws = Self { own, accounts };
        let of_own = |store: &StoreSettings| store.uri.is_of_aws() && store.table.account.is_none();
        if aws.accounts.is_empty() || config.stores.iter().any(of_own) {
            aws.own.begin_sessions().await;
        }
        for (_, account) in &aws.accounts {
            account.begin_sessions().await;
        }
        match aws.all_failed() {
            Some(why) => Err(CliError::of_credentials(why, NO_SESSION)),
            None => Ok(aws),
        }
    }

    /// Why no account has a session that MFA is asked for, if none has.
    fn all_failed(&self) -> Option<String> {
        if self.accounts.is_empty() {
            return self.own.session_failure();
        }
        let failures = self.accounts.iter().map(|(_, aws)| aws.session_failure());
        let failures: Vec<String> = failures.collect::<Option<_>>()?;
        Some(failures.join("; "))
    }

    /// The clients for the account of an AWS store.
    #[must_use]
    pub fn of_store(&self, store: &StoreSettings) -> &Aws {
        let named = store.table.account.as_deref();
        let account = self.accounts.iter().find(|(account, _)| named.is_some_and(|named| account.is_called(named)));
        account.map_or(&self.own, |(_, aws)| aws)
    }

    /// The clients of an account that is called so, and its table. The account of the credentials in use has no table.
    #[must_use]
    pub fn of_label(&self, label: &Label) -> (Option<&AccountSettings>, &Aws) {
        let account = self.accounts.iter().find(|(account, _)| account.label == *label);
        account.map_or((None, &self.own), |(account, aws)| (Some(account), aws))
    }

    /// The clients of the credentials in use, if a store in AWS is reached with them and no account of the configuration is.
    #[must_use]
    pub fn of_stores_only(&self, config: &Config) -> Option<&Aws> {
        let is_of_own = |store: &StoreSettings| store.uri.is_of_aws() && store.table.account.is_none();
        (!self.accounts.is_empty() && config.stores.iter().any(is_of_own)).then_some(&self.own)
    }

    /// The keys that rotator signs with, for every account, reachable or not, and for the AWS stores.
    pub async fn own_keys(&self, config: &Config) -> BTreeSet<AccessKeyId> {
        let of_aws = |store: &&StoreSettings| store.uri.is_of_aws();
        let stores = config.stores.iter().filter(of_aws).map(|store| self.of_store(store));
        let of_accounts = self.accounts.iter().map(|(_, aws)| aws);
        let signing = stores.chain(of_accounts).map(Aws::signing_key);
        futures_util::future::join_all(signing).await.into_iter().flatten().collect()
    }

    /// The keys at the start of each credential chain. They are known once every account and every AWS store has been
    /// called.
    #[must_use]
    pub fn keys_behind(&self) -> BTreeSet<AccessKeyId> {
        let all = std::iter::once(&self.own).chain(self.accounts.iter().map(|(_, aws)| aws));
        all.flat_map(Aws::keys_behind).collect()
    }

    /// The accounts whose keys are rotated: the configured ones, otherwise that of the credentials in use.
    #[must_use]
    pub fn ports(&self) -> Vec<AccountPorts> {
        if self.accounts.is_empty() {
            let aws = Arc::new(self.own.clone());
            return vec![AccountPorts::of_credentials(aws.clone(), aws)];
        }
        let ports = |(account, aws): &(AccountSettings, Aws)| {
            let aws = Arc::new(aws.clone());
            let AccountSettings { label, covers, .. } = account.clone();
            AccountPorts { label, iam: aws.clone(), identity: aws, covers }
        };
        self.accounts.iter().map(ports).collect()
    }
}

/// The variables that lead calls to AWS elsewhere.
const LEADING: [&str; 11] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SSM",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What to check where AWS gave no answer: the credentials are not the cause.
#[must_use]
pub fn no_answer_hint(host: &HostEnv) -> String {
    let set: Vec<&str> = LEADING.into_iter().filter(|name| host.variable(name).is_some()).collect();
    let checked = match set.as_slice() {
        [] => "AWS_REGION, and whether a proxy is needed (HTTPS_PROXY)".to_owned(),
        set => format!("what {} says", set.join(" and ")),
    };
    let is_here = |url: &str| ["//127.", "//localhost", "//[::1]"].iter().any(|here| url.contains(here));
    let sandbox = match host.variable("AWS_ENDPOINT_URL").is_some_and(is_here) {
        true => " (is `rotator sandbox` still running?)",
        false => "",
    };
    format!("nothing was changed; check the network and {checked}{sandbox}{OR_DOCTOR}")
}

/// The error if AWS cannot be called.
pub fn aws_failed(error: &dyn std::error::Error) -> CliError {
    // The keys in the environment take precedence over a profile, which is then no cause.
    let checked = match std::env::var_os("AWS_ACCESS_KEY_ID").is_some_and(|id| !id.is_empty()) {
        true => "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and AWS_REGION",
        false => "AWS_PROFILE, AWS_REGION and the credentials",
    };
    CliError::failed(
        format!("failed to {}", with_causes(error)),
        format!("nothing was changed; check {checked}{OR_DOCTOR}"),
    )
}
