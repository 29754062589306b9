//! The environment variables of a program: a standard list, and those that its store or sink names (`docs/stores.md`
//! has the table). All others are removed, including rotator's own credentials.

use std::ffi::OsStr;
use std::process::Command;

/// The variables that a program needs to be found, to find the user's files and to reach a server.
const NAMES: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "SSH_AUTH_SOCK",
    "GNUPGHOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// The prefixes of further such variables.
const PREFIXES: [&str; 3] = ["LC_", "XDG_", "SSL_CERT_"];

/// The prefixes that `sops` needs to decrypt with a cloud key service. Vault is not included: the encrypted file
/// determines the server.
const PREFIXES_OF_SOPS: [&str; 4] = ["AWS_", "SOPS_", "GOOGLE_", "AZURE_"];

/// The prefixes that the credential plugin of a kubeconfig needs to log in with cloud credentials.
const PREFIXES_OF_PLUGIN: [&str; 6] = ["AWS_", "GOOGLE_", "CLOUDSDK_", "AZURE_", "AAD_", "KUBE"];

/// The kind of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters) enum Kind {
    /// Any program.
    Any,
    /// `sops`, to decrypt or to change an encrypted file.
    Sops,
    /// The credential plugin that a kubeconfig names.
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "only the Kubernetes store has such programs"))]
    CredentialPlugin,
}

/// Restricts the environment of the program to the variables of its kind and those in `named`.
pub(in crate::adapters) fn restrict(command: &mut Command, kind: Kind, named: &[String]) {
    let passes = |name: &OsStr| name.to_str().is_some_and(|name| is_passed(name, kind, named));
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| passes(name)));
}

/// The variables of this process that a program of this kind does not get, for a library that starts the program.
#[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "only the Kubernetes store needs it"))]
pub(in crate::adapters) fn withheld(kind: Kind, named: &[String]) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| !is_passed(name, kind, named)).collect()
}

fn is_passed(name: &str, kind: Kind, named: &[String]) -> bool {
    let of_kind: &[&str] = match kind {
        Kind::Any => &[],
        Kind::Sops => &PREFIXES_OF_SOPS,
        Kind::CredentialPlugin => &PREFIXES_OF_PLUGIN,
    };
    let mut prefixes = PREFIXES.iter().chain(of_kind);
    NAMES.contains(&name) || prefixes.any(|prefix| name.starts_with(prefix)) || named.iter().any(|other| other == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_variable_is_passed_only_if_it_is_named() {
        for name in ["PATH", "HOME", "LC_ALL", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "https_proxy"] {
            assert!(is_passed(name, Kind::Any, &[]) && is_passed(name, Kind::Sops, &[]), "{name}");
        }
        for name in ["AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "SOPS_AGE_KEY", "GOOGLE_X"] {
            assert!(!is_passed(name, Kind::Any, &[]) && is_passed(name, Kind::Sops, &[]), "{name}");
        }
        for name in ["VAULT_TOKEN", "VAULT_ADDR", "BAO_TOKEN", "GH_TOKEN", "LD_PRELOAD", "PATHS", "XDG"] {
            assert!(!is_passed(name, Kind::Any, &[]) && !is_passed(name, Kind::Sops, &[]), "{name}");
            let named = [name.to_owned()];
            assert!(is_passed(name, Kind::Any, &named) && is_passed(name, Kind::Sops, &named), "{name}");
        }
    }
}
