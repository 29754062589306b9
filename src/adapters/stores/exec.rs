//! `exec:COMMAND`: a store behind a program of a few lines, one JSON object a line on its stdin and stdout
//! (`docs/stores.md` has the protocol, `examples/` two programs). It is started once for each question and is killed
//! with rotator. What it has started itself, and what it has asked of a server, is not: for how long that may still land
//! only the program can say, and where it does not, the longest time is taken.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{Backend, NativeWrite, after};
use crate::adapters::child::LEAST_TIME;
use crate::adapters::program::{ExecProgram, Told, ask, plain, without};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Version};
use crate::rotation::failure::{Failure, Refusal, RefusalKind};
use crate::rotation::name::StoreIdentity;
use crate::rotation::policy::LATE_REQUEST;
use crate::rotation::secret::SecretValue;

/// A line of an answer; each kind of answer has some of it.
#[derive(Debug, Default, Deserialize)]
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
    error: Option<String>,
}

impl Line {
    /// What it says that an entry holds; none where it says nothing of its value.
    fn reading(&mut self) -> Option<Reading> {
        if self.missing {
            return Some(Reading::Missing);
        }
        if let Some(why) = &self.error {
            return Some(Reading::Unreadable(plain(why)));
        }
        let bytes = match (self.value.take(), self.value_base64.take()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => match STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => bytes,
                Err(_) => return Some(Reading::Unreadable("its value_base64 is none".to_owned())),
            },
            (None, None) => return None,
        };
        let Some(version) = self.version.take() else {
            return Some(Reading::Unreadable("the program gives no version of it".to_owned()));
        };
        Some(Reading::Value { version: Version(version), value: SecretValue::new(bytes) })
    }
}

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
    /// For people: it cannot be started, or does not answer as the protocol says.
    pub async fn open(program: ExecProgram, call_timeout: Duration) -> Result<Self, CallError> {
        let limit = call_timeout.max(LEAST_TIME);
        let failed = |why: String| CallError::new(CallErrorKind::Other, why);
        let hello = match ask::<Line>(&program, limit, json!({ "op": "hello" })).await {
            Told::Lines(lines) => lines.into_iter().find(|line| line.identity.is_some() || line.error.is_some()),
            Told::NotStarted(why) | Told::Failed(why) => return Err(failed(why)),
        };
        let Some(Line { identity: Some(identity), late_writes_seconds, read_only, .. }) = hello else {
            return Err(failed(format!("{} does not say which store it is", program.called())));
        };
        let identity = StoreIdentity::new(format!("exec {identity}")).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            program,
            limit,
            identity,
            late_writes: late_writes_seconds.map_or(LATE_REQUEST, Duration::from_secs),
            read_only,
        })
    }

    async fn get(&self, name: &str) -> Result<Reading, CallError> {
        match ask::<Line>(&self.program, self.limit, json!({ "op": "get", "name": name })).await {
            Told::Lines(lines) => {
                let reading = lines.into_iter().find_map(|mut line| line.reading());
                reading.ok_or_else(|| unavailable(format!("{} says nothing of {name}", self.program.called())))
            }
            Told::NotStarted(why) | Told::Failed(why) => Err(unavailable(why)),
        }
    }

    async fn put(&self, write: &NativeWrite) -> Result<(), Failure> {
        let refused = |kind, why: String| Err(Failure::Refused(Refusal::new(kind, why)));
        let mut request = json!({ "op": "put", "name": write.name, "expects": write.replaces.0 });
        match write.value.expose_text() {
            Some(text) => request["value"] = text.into(),
            None => request["value_base64"] = STANDARD.encode(write.value.expose()).into(),
        }
        let lines = match ask::<Line>(&self.program, self.limit, request).await {
            Told::Lines(lines) => lines,
            Told::NotStarted(why) => return refused(RefusalKind::Other, why),
            Told::Failed(why) => return Err(Failure::Unknown(why)),
        };
        let about = format!("{} in {}", write.name, self.program.called());
        match lines.into_iter().find(|line| line.ok || line.stale || line.error.is_some()) {
            Some(Line { stale: true, .. }) => {
                refused(RefusalKind::Stale, format!("{about} has changed since it was read"))
            }
            Some(Line { ok: true, .. }) => Ok(()),
            Some(Line { refused: true, error, .. }) => {
                refused(RefusalKind::Other, format!("{about}: {}", without(error, write.value.expose_text())))
            }
            Some(Line { error, .. }) => {
                Err(Failure::Unknown(format!("{about}: {}", without(error, write.value.expose_text()))))
            }
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
        Capabilities { atomic: false, late_writes: self.late_writes, read_only: self.read_only }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        Ok(self.identity.clone())
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let called = self.program.called();
        let lines = match ask::<Line>(&self.program, self.limit, json!({ "op": "list" })).await {
            Told::Lines(lines) => lines,
            Told::NotStarted(why) | Told::Failed(why) => return Err(unavailable(why)),
        };
        if let Some(why) = lines.iter().find(|line| line.name.is_none()).and_then(|line| line.error.as_ref()) {
            return Err(unavailable(format!("{called}: {}", plain(why))));
        }
        // Without it a list that was cut off would be taken for the whole.
        if !lines.last().is_some_and(|line| line.done) {
            return Err(unavailable(format!("{called} did not say that its list is done")));
        }
        let mut entries = Vec::new();
        for mut line in lines {
            let Some(name) = line.name.take() else { continue };
            let reading = match line.reading() {
                Some(reading) => reading,
                None => self.get(&name).await?,
            };
            if !matches!(reading, Reading::Missing) {
                entries.push((name, reading));
            }
        }
        Ok(entries)
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let mut readings = Vec::new();
        for name in names {
            readings.push(self.get(name).await?);
        }
        Ok(readings)
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        for (written, write) in batch.iter().enumerate() {
            self.put(write).await.map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }
}
