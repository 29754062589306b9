//! `exec:COMMAND`: a sink that a program implements (`docs/sinks.md` has the protocol, `examples/` a program). The
//! program is started for each request and is killed with rotator. Only the program knows how long its request to a
//! server may still take effect; by default the longest time is assumed.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::adapters::redact::{Said, Secrets, Words};
use crate::adapters::subprocess::child::LEAST_TIME;
use crate::adapters::subprocess::program::{ExecProgram, ProgramReply, ask};
use crate::journal::write_ahead::Journaled;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::sink::{Sink, SinkWrite};
use crate::rotation::effect::WriteSink;
use crate::rotation::policy::LATE_REQUEST;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{SinkName, StoreIdentity};

/// A line of a response; each kind of response has some of its fields.
#[derive(Default, Deserialize)]
struct Line {
    identity: Option<String>,
    late_writes_seconds: Option<u64>,
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    refused: bool,
    error: Option<Said>,
}

/// A sink behind a program.
pub struct ExecSink {
    name: SinkName,
    program: ExecProgram,
    limit: Duration,
    hello: Result<StoreIdentity, CallError>,
    late_writes: Duration,
}

impl ExecSink {
    /// Asks the program for its identity. A sink without an identity is still used: it affects only the keys that it
    /// follows.
    pub async fn open(name: SinkName, program: ExecProgram, call_timeout: Duration) -> Self {
        let limit = call_timeout.max(LEAST_TIME);
        let (hello, late_writes) = match hello(&program, limit).await {
            Ok((identity, late_writes)) => (Ok(identity), late_writes),
            Err(why) => (Err(CallError::new(CallErrorKind::Other, why)), LATE_REQUEST),
        };
        Self { name, program, limit, hello, late_writes }
    }
}

async fn hello(program: &ExecProgram, limit: Duration) -> Result<(StoreIdentity, Duration), String> {
    let called = program.called();
    let lines = match ask::<Line>(program, limit, json!({ "op": "hello" })).await {
        ProgramReply::Lines(lines) => lines,
        ProgramReply::NotStarted(why) | ProgramReply::Failed(why) | ProgramReply::TooLarge(why) => return Err(why),
    };
    match lines.into_iter().find(|line| line.identity.is_some() || line.error.is_some()) {
        Some(Line { identity: Some(identity), late_writes_seconds, .. }) => {
            let identity = StoreIdentity::new(format!("exec {identity}")).map_err(|error| error.to_string())?;
            Ok((identity, late_writes_seconds.map_or(LATE_REQUEST, Duration::from_secs)))
        }
        Some(Line { error: Some(error), .. }) => Err(Words::ours(called).because(&error).shown(&Secrets::default())),
        Some(_) | None => Err(format!("{called} does not say which sink it is")),
    }
}

#[async_trait]
impl Sink for ExecSink {
    fn name(&self) -> &SinkName {
        &self.name
    }

    fn lands_within(&self) -> Duration {
        // A program that does not end is killed after this time.
        self.limit.saturating_add(self.late_writes)
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.hello.clone()
    }

    async fn write(&self, order: Journaled<WriteSink>, write: SinkWrite<'_>) -> Result<(), Failure> {
        let refused = |why: String| Err(Failure::Refused(Refusal::new(RefusalKind::Other, why)));
        let request = json!({
            "op": "write",
            "follows": write.follows.as_str(),
            "access_key_id": order.effect().key.as_str(),
            "secret_access_key": write.secret.expose(),
        });
        let lines = match ask::<Line>(&self.program, self.limit, request).await {
            ProgramReply::Lines(lines) => lines,
            ProgramReply::NotStarted(why) => return refused(why),
            ProgramReply::Failed(why) | ProgramReply::TooLarge(why) => return Err(Failure::Unknown(why)),
        };
        let about = format!("{} in {}", write.follows, self.program.called());
        let told = |error: Option<Said>| {
            let secrets = Secrets::default().values([write.secret.expose().as_bytes()]);
            Words::ours(&about).because(&error.unwrap_or_default()).shown(&secrets)
        };
        match lines.into_iter().find(|line| line.ok || line.error.is_some()) {
            Some(Line { ok: true, error: None, .. }) => Ok(()),
            Some(Line { refused: true, error, .. }) => refused(told(error)),
            Some(Line { error, .. }) => Err(Failure::Unknown(told(error))),
            None => Err(Failure::Unknown(format!("{about}: the program does not say what it did"))),
        }
    }
}
