//! The adapter against fixed responses of a server on loopback. An effect needs a journal here, too.
mod client;
mod create;
mod effects;
mod mfa;
mod reads;
mod responder;
mod secret_batches;
mod simulation;
mod stores;
mod sts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::identity::IdentityCache;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use self::responder::{DATE_SECONDS, Responder};
use super::{Aws, AwsSettings};
use crate::journal::campaign::{Campaign, CampaignNotes};
use crate::journal::clock::Clock;
use crate::journal::line::{Line, Summary};
use crate::journal::store::{JournalStore, RotationFilter, StorageError};
use crate::journal::write_ahead::{Journal, RotationJournal};
use crate::rotation::effect::CreateNew;
use crate::rotation::event::{OldPair, Opened};
use crate::rotation::policy::Policy;
use crate::rotation::record::Rotation;
use crate::types::name::{
    AccessKeyId, AccountId, CampaignId, EntryName, RotationId, StoreIdentity, StoreName, UserName,
};
use crate::types::place::{FieldRef, Location, Place};
use crate::types::time::Timestamp;

const OLD_KEY: &str = "AKIAOLDOLDOLDOLDOLDA";
const NEW_KEY: &str = "AKIANEWNEWNEWNEWNEWA";
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz0123456789+/AB";
const USER: &str = "app1-production";

fn chain(url: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .identity_cache(IdentityCache::lazy().build())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKIAROTATORROTATORRO",
            "rotators-own-secret",
            None,
            None,
            "test",
        )))
        .build()
}

async fn aws_within(responder: &Responder, call_timeout: Duration) -> Aws {
    let settings = AwsSettings { call_timeout, ..AwsSettings::default() };
    Aws::with_chain(&chain(&responder.url), settings).await.expect("loopback may be plain http")
}

async fn aws(responder: &Responder) -> Aws {
    aws_within(responder, AwsSettings::default().call_timeout).await
}

fn user() -> UserName {
    UserName::new(USER).expect("valid")
}

fn key(id: &str) -> AccessKeyId {
    AccessKeyId::new(id).expect("valid")
}

fn date() -> Timestamp {
    Timestamp::from_unix_seconds(DATE_SECONDS)
}

/// AWS's clock when the user's keys were listed, before the create.
fn asked_at() -> Timestamp {
    date().minus(Duration::from_secs(7))
}

fn create_new() -> CreateNew {
    CreateNew {
        user: user(),
        listed: BTreeSet::from([key(OLD_KEY)]),
        asked_at: asked_at(),
        give_up_at: date().plus(Duration::from_secs(3)),
    }
}

/// A rotation that has just been opened.
async fn opened() -> RotationJournal {
    let store = StoreName::new("memory:").expect("valid");
    let spot = |entry| FieldRef { entry: EntryName::new(entry).expect("valid"), location: Location::WholeValue };
    let opened = Opened {
        campaign: CampaignId::from_uuid(uuid::Uuid::from_u128(1)),
        account: AccountId::new("123456789012").expect("valid"),
        user: user(),
        old_secret: None,
        old_key: key(OLD_KEY),
        old_key_created: date(),
        old_pair: OldPair::default(),
        places: vec![Place {
            store: store.clone(),
            id: spot("app1/production/AWS_ACCESS_KEY_ID"),
            secret: spot("app1/production/AWS_SECRET_ACCESS_KEY"),
        }],
        stores: BTreeMap::from([(store, StoreIdentity::new("this one").expect("valid"))]),
        sinks: Vec::new(),
        may_turn_inactive: BTreeSet::new(),
        policy: Policy::default(),
    };
    let journal = Journal::new(Arc::new(Forgetful), Arc::new(Stopped));
    journal.open(RotationId::from_uuid(uuid::Uuid::from_u128(2)), opened).await.expect("opens")
}

/// A clock that always shows the same time.
struct Stopped;

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        date()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {}
}

/// A journal that keeps nothing: these tests check only how the adapter reads a response.
struct Forgetful;

#[async_trait]
impl JournalStore for Forgetful {
    async fn keys_made_for(&self, _: &UserName) -> Result<Vec<AccessKeyId>, StorageError> {
        Ok(Vec::new())
    }

    async fn closed_rotations_of(&self, _: &UserName, _: &AccessKeyId) -> Result<Vec<Summary>, StorageError> {
        Ok(Vec::new())
    }

    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        Ok(BTreeSet::new())
    }

    async fn append(&self, _: Line, _: &Rotation) -> Result<(), StorageError> {
        Ok(())
    }

    async fn lines(&self, _: RotationId) -> Result<Vec<Line>, StorageError> {
        Ok(Vec::new())
    }

    async fn summaries(&self, _: RotationFilter) -> Result<Vec<Summary>, StorageError> {
        Ok(Vec::new())
    }

    async fn summary(&self, _: RotationId) -> Result<Option<Summary>, StorageError> {
        Ok(None)
    }

    async fn begin_campaign(&self, _: CampaignId, _: Timestamp) -> Result<(), StorageError> {
        Ok(())
    }

    async fn note_campaign(&self, _: CampaignId, _: CampaignNotes) -> Result<(), StorageError> {
        Ok(())
    }

    async fn close_campaign(&self, _: CampaignId) -> Result<(), StorageError> {
        Ok(())
    }

    async fn last_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        Ok(None)
    }

    async fn keys_made_by(&self, _: CampaignId) -> Result<Vec<AccessKeyId>, StorageError> {
        Ok(Vec::new())
    }
}

/// A provider without credentials.
fn no_credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(NoCredentials)
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded_no_source()))
    }
}
