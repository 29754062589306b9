//! The calls that the sandbox supports: their names, services and API versions.

use std::fmt;

/// The simulated services. Both use the AWS query protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
}

impl Service {
    /// The name in a signature's credential scope and in front of an action in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// The `Version` parameter of the query protocol.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }

    /// The namespace of the service's XML.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }
}

/// A supported call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    CreateAccessKey,
    ListAccessKeys,
    UpdateAccessKey,
    DeleteAccessKey,
    GetAccessKeyLastUsed,
    CreateUser,
    GetUser,
    DeleteUser,
    ListUsers,
    GetCallerIdentity,
    GetAccessKeyInfo,
    GetRole,
    SimulatePrincipalPolicy,
}

impl Action {
    pub const ALL: [Self; 13] = [
        Self::CreateAccessKey,
        Self::ListAccessKeys,
        Self::UpdateAccessKey,
        Self::DeleteAccessKey,
        Self::GetAccessKeyLastUsed,
        Self::CreateUser,
        Self::GetUser,
        Self::DeleteUser,
        Self::ListUsers,
        Self::GetCallerIdentity,
        Self::GetAccessKeyInfo,
        Self::GetRole,
        Self::SimulatePrincipalPolicy,
    ];

    /// The name of the call in AWS.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateAccessKey => "CreateAccessKey",
            Self::ListAccessKeys => "ListAccessKeys",
            Self::UpdateAccessKey => "UpdateAccessKey",
            Self::DeleteAccessKey => "DeleteAccessKey",
            Self::GetAccessKeyLastUsed => "GetAccessKeyLastUsed",
            Self::CreateUser => "CreateUser",
            Self::GetUser => "GetUser",
            Self::DeleteUser => "DeleteUser",
            Self::ListUsers => "ListUsers",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetAccessKeyInfo => "GetAccessKeyInfo",
            Self::GetRole => "GetRole",
            Self::SimulatePrincipalPolicy => "SimulatePrincipalPolicy",
        }
    }

    /// The call of that name, if the sandbox supports it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// The service of the call.
    #[must_use]
    pub fn service(self) -> Service {
        match self {
            Self::CreateAccessKey
            | Self::ListAccessKeys
            | Self::UpdateAccessKey
            | Self::DeleteAccessKey
            | Self::GetAccessKeyLastUsed
            | Self::CreateUser
            | Self::GetUser
            | Self::DeleteUser
            | Self::ListUsers
            | Self::GetRole
            | Self::SimulatePrincipalPolicy => Service::Iam,
            Self::GetCallerIdentity | Self::GetAccessKeyInfo => Service::Sts,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
