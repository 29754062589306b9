//! `exec:COMMAND`: a store that a program implements with one JSON object per line on stdin and stdout
//! (`docs/stores.md` has the protocol, `examples/` two programs). The program is started for each request and is
//! killed with rotator. A helper outside of its process group, or its request to a server, is not killed: only the
//! program knows how long that may still take effect, and by default the longest time is assumed.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{Backend, NativeWrite, after};
use crate::adapters::bounds::Budget;
use crate::adapters::redact::{Failed, Heard, Said, Secrets, Words, settled};
use crate::adapters::subprocess::child::LEAST_TIME;
use crate::adapters::subprocess::program::{ExecProgram, ProgramReply, ask};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Version};
use crate::rotation::policy::LATE_REQUEST;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// A line of a response; each kind of response has some of its fields.
#[derive(Default, Deserialize)]
struct Line {
    identity: Option<String>,
    late_writes_seconds: Option<u64>,
    #[serde(default)]
    read_only: bool,
    name: Option<String>,
    version: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    #[serde(default)]
    missing: bool,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    refused: bool,
    error: Option<Said>,
}

impl Line {
    /// The content of the entry; none if the line has no value.
    fn heard(&mut self) -> Option<Heard> {
        let unreadable = |why: &str| Some(Heard::Unreadable(Words::ours(why)));
        if self.missing {
            return Some(Reading::Missing.into());
        }
        if let Some(why) = &self.error {
            return Some(Heard::Unreadable(Words::default().theirs(why)));
        }
        let bytes = match (self.value.take(), self.value_base64.take()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => match STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => bytes,
                Err(_) => return unreadable("its value_base64 is not base 64"),
            },
            (None, None) => return None,
        };
        let Some(version) = self.version.take() else {
            return unreadable("the program gives no version of it");
        };
        Some(Reading::Value { version: Version(version), value: SecretValue::new(bytes) }.into())
    }
}

/// Why the program of an `exec:` store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ask the program which store it is: {0}")]
pub struct ExecStoreError(String);

/// A store behind a program.
pub struct ExecStore {
    program: ExecProgram,
    limit: Duration,
    identity: StoreIdentity,
    late_writes: Duration,
    read_only: bool,
}

impl ExecStore {
    /// Asks the program which store it is.
    ///
    /// # Errors
    /// [`ExecStoreError`] if the program cannot be started, or does not answer as the protocol says.
    pub async fn open(program: ExecProgram, call_timeout: Duration) -> Result<Self, ExecStoreError> {
        let limit = call_timeout.max(LEAST_TIME);
        let hello = match ask::<Line>(&program, limit, json!({ "op": "hello" })).await {
            ProgramReply::Lines(lines) => {
                lines.into_iter().find(|line| line.identity.is_some() || line.error.is_some())
            }
            ProgramReply::NotStarted(why) | ProgramReply::Failed(why) | ProgramReply::TooLarge(why) => {
                return Err(ExecStoreError(why));
            }
        };
        let Some(Line { identity: Some(identity), late_writes_seconds, read_only, .. }) = hello else {
            return Err(ExecStoreError(format!("{} does not say which store it is", program.called())));
        };
        let identity = StoreIdentity::new(format!("exec {identity}"));
        let identity = identity.map_err(|error| ExecStoreError(error.to_string()))?;
        Ok(Self {
            program,
            limit,
            identity,
            late_writes: late_writes_seconds.map_or(LATE_REQUEST, Duration::from_secs),
            read_only,
        })
    }

    async fn get(&self, name: &str) -> Result<Heard, Failed> {
        match ask::<Line>(&self.program, self.limit, json!({ "op": "get", "name": name })).await {
            ProgramReply::Lines(lines) => {
                if lines.iter().any(|line| line.name.as_ref().is_some_and(|other| other != name)) {
                    let called = self.program.called();
                    return Err(unavailable(format!("{called} answered about another entry than {name}")).into());
                }
                let heard = lines.into_iter().find_map(|mut line| line.heard());
                heard.ok_or_else(|| unavailable(format!("{} says nothing of {name}", self.program.called())).into())
            }
            ProgramReply::TooLarge(why) => Ok(Heard::Unreadable(Words::ours(why))),
            ProgramReply::NotStarted(why) | ProgramReply::Failed(why) => Err(unavailable(why).into()),
        }
    }

    /// Writes one value. `batch` contains everything that the program was given in this call.
    async fn put(&self, write: &NativeWrite, batch: &[NativeWrite]) -> Result<(), Failure> {
        let refused = |kind, why: String| Err(Failure::Refused(Refusal::new(kind, why)));
        let mut request = json!({ "op": "put", "name": write.name, "expects": write.replaces.0 });
        match write.value.expose_text() {
            Some(text) => request["value"] = text.into(),
            None => request["value_base64"] = STANDARD.encode(write.value.expose()).into(),
        }
        let lines = match ask::<Line>(&self.program, self.limit, request).await {
            ProgramReply::Lines(lines) => lines,
            ProgramReply::NotStarted(why) => return refused(RefusalKind::Other, why),
            ProgramReply::Failed(why) | ProgramReply::TooLarge(why) => return Err(Failure::Unknown(why)),
        };
        let about = format!("{} in {}", write.name, self.program.called());
        let told = |error: Option<Said>| {
            let secrets = Secrets::default().values(batch.iter().map(|write| write.value.expose()));
            Words::ours(&about).because(&error.unwrap_or_default()).shown(&secrets)
        };
        if lines.iter().any(|line| line.name.as_ref().is_some_and(|other| *other != write.name)) {
            return Err(Failure::Unknown(format!("{about}: the program answered about another entry")));
        }
        match lines.into_iter().find(|line| line.ok || line.stale || line.error.is_some()) {
            Some(Line { stale: true, .. }) => {
                refused(RefusalKind::Stale, format!("{about} has changed since it was read"))
            }
            Some(Line { ok: true, .. }) => Ok(()),
            Some(Line { refused: true, error, .. }) => refused(RefusalKind::Other, told(error)),
            Some(Line { error, .. }) => Err(Failure::Unknown(told(error))),
            None => Err(Failure::Unknown(format!("{about}: the program does not say what it did"))),
        }
    }
}

fn unavailable(why: String) -> CallError {
    CallError::new(CallErrorKind::Unavailable, why)
}

#[async_trait]
impl Backend for ExecStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: self.late_writes, read_only: self.read_only }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        Ok(self.identity.clone())
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let called = self.program.called();
        let lines = match ask::<Line>(&self.program, self.limit, json!({ "op": "list" })).await {
            ProgramReply::Lines(lines) => lines,
            ProgramReply::TooLarge(why) => {
                let message = format!("{why}; let its list have names only, and it is asked for each value");
                return Err(CallError::new(CallErrorKind::Other, message));
            }
            ProgramReply::NotStarted(why) | ProgramReply::Failed(why) => return Err(unavailable(why)),
        };
        if let Some(why) = lines.iter().find(|line| line.name.is_none()).and_then(|line| line.error.as_ref()) {
            let words = Words::ours(called).because(why);
            let values = lines.iter().flat_map(|line| [&line.value, &line.value_base64]).flatten();
            let secrets = Secrets::default().values(values.map(String::as_bytes));
            return Err(unavailable(words.shown(&secrets)));
        }
        // Without this line a truncated list would look complete.
        if !lines.last().is_some_and(|line| line.done) {
            return Err(unavailable(format!("{called} did not say that its list is done")));
        }
        let (mut heard, budget) = (Vec::new(), Budget::of_a_scan());
        for mut line in lines {
            let Some(name) = line.name.take() else { continue };
            let entry = match line.heard() {
                Some(entry) => Ok(entry),
                None => self.get(&name).await,
            };
            let size = match &entry {
                Ok(Heard::Reading(Reading::Value { value, .. })) => value.expose().len(),
                Ok(_) | Err(_) => 0,
            };
            budget
                .take_page(size)
                .map_err(|why| CallError::new(CallErrorKind::Other, format!("{called} was read in part: {why}")))?;
            heard.push((name, entry));
        }
        let mut entries = settled(heard, Vec::new())?;
        entries.retain(|(_, reading)| !matches!(reading, Reading::Missing));
        Ok(entries)
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let mut heard = Vec::new();
        for name in names {
            heard.push(((), self.get(name).await));
        }
        Ok(settled(heard, Vec::new())?.into_iter().map(|(_, reading)| reading).collect())
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        for (written, write) in batch.iter().enumerate() {
            self.put(write, &batch).await.map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }
}
