//! Reads a store in parts that hold whole environments: a pair may be spread over the entries of one
//! `<app>/<environment>`.

use futures_util::StreamExt;

use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::stores::Stores;
use crate::ports::call::CallError;
use crate::ports::secret_store::{Parts, Readings, SecretStore};

/// All entries of a store, in parts that hold whole environments.
pub(in crate::engine) struct Environments<'s> {
    /// After the end or an error it is empty.
    parts: Option<Parts<'s>>,
    /// The last environment that was read, whose other entries may be in the next part.
    incomplete: Readings,
}

impl<'s> Environments<'s> {
    /// Begins to read a store. The call has its slot of the rate limiter until the first part is there; further parts are
    /// read ahead of it in the same pass.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(in crate::engine) async fn of(
        stores: &Stores,
        store: &'s dyn SecretStore,
        priority: Priority,
    ) -> Result<Self, CallError> {
        let parts = stores.limiter.read_of(priority, Operation::Store, || store.read_parts()).await?;
        Ok(Self { parts: Some(parts), incomplete: Vec::new() })
    }

    /// Returns the next part. `None`: the store has been read to its end.
    ///
    /// # Errors
    /// The rest of the store cannot be read.
    pub(in crate::engine) async fn next(&mut self) -> Result<Option<Readings>, CallError> {
        while let Some(mut parts) = self.parts.take() {
            let Some(next) = parts.next().await.transpose()? else { break };
            self.parts = Some(parts);
            let mut part = std::mem::take(&mut self.incomplete);
            part.extend(next);
            let last = part.last().map(|(name, _)| name.scope().to_owned());
            let whole = part.iter().rposition(|(name, _)| last.as_deref() != Some(name.scope())).map_or(0, |at| at + 1);
            self.incomplete = part.split_off(whole);
            if !part.is_empty() {
                return Ok(Some(part));
            }
        }
        let rest = std::mem::take(&mut self.incomplete);
        Ok((!rest.is_empty()).then_some(rest))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::ports::call::CallErrorKind;
    use crate::ports::secret_store::Reading;
    use crate::types::name::EntryName;

    fn entry(name: &str) -> (EntryName, Reading) {
        (EntryName::new(name).expect("valid"), Reading::Missing)
    }

    async fn read(names: &[&[&str]], fails: bool) -> (Vec<Vec<String>>, bool) {
        let parts = names.iter().map(|names| Ok(names.iter().map(|name| entry(name)).collect()));
        let error = fails.then(|| Err(CallError::new(CallErrorKind::Unavailable, "no answer")));
        let all: Vec<Result<Readings, CallError>> = parts.chain(error).collect();
        // This stream panics if it is asked again after its end.
        let parts = stream::unfold(all.into_iter(), |mut all| async { all.next().map(|part| (part, all)) });
        let mut environments = Environments { parts: Some(parts.boxed()), incomplete: Vec::new() };
        let mut read = Vec::new();
        loop {
            match environments.next().await {
                Ok(Some(part)) => read.push(part.into_iter().map(|(name, _)| name.to_string()).collect()),
                Ok(None) => return (read, true),
                Err(_) => return (read, false),
            }
        }
    }

    #[tokio::test]
    async fn an_environment_is_never_divided() {
        let parts: [&[&str]; 5] = [&["a/b/1"], &["a/b/2", "a/c/1", "a/c/2"], &["a/c/3"], &[], &["a/c/4", "b/c/1"]];
        let (read_so_far, ended) = read(&parts, false).await;
        assert!(ended);
        let expected: [&[&str]; 3] = [&["a/b/1", "a/b/2"], &["a/c/1", "a/c/2", "a/c/3", "a/c/4"], &["b/c/1"]];
        assert_eq!(read_so_far, expected);
    }

    #[tokio::test]
    async fn an_error_is_not_the_end_of_the_store() {
        let (_, ended) = read(&[&["a/b/1", "b/c/1"], &["b/c/2"]], true).await;
        assert!(!ended);
    }
}
