//! The last use of a key, as the JSON document of `plan` shows it.

use schemars::JsonSchema;
use serde::Serialize;

use super::schema::Time;
use crate::engine::survey::LastUse;
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::KeyUse;
use crate::types::time::Timestamp;

/// The last use of a key.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LastUsed")]
pub struct LastUsedShown {
    /// When, or null if IAM knows no use.
    #[schemars(with = "Option<Time>")]
    pub at: Option<Timestamp>,
    /// The service that was called, such as `s3`.
    pub service: Option<String>,
    /// The region of that call.
    pub region: Option<String>,
    /// Whether this is a proof of rotator itself.
    pub by_rotator: bool,
}

impl LastUsedShown {
    pub(super) fn of(last_use: &LastUse) -> Self {
        let by_rotator = last_use.is_own_proof();
        match &last_use.reported {
            UsedBefore::Never => Self { at: None, service: None, region: None, by_rotator },
            UsedBefore::Last(KeyUse { at, service, region }) => {
                Self { at: Some(*at), service: service.clone(), region: region.clone(), by_rotator }
            }
        }
    }
}
