//! Seeded faults over any storage, for tests: the same seed gives the same faults.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{ByteStream, Error, Object, Page, Storage, Version};

/// How often each fault strikes, as probabilities from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A call is answered as a server does that says 503.
    pub unavailable: f64,
    /// A body ends with an error somewhere inside.
    pub cut: f64,
    /// A body ends somewhere inside as if it were complete.
    pub short: f64,
    /// One bit of a body is wrong.
    pub corrupt: f64,
    /// A chunk comes this much later.
    pub delay: Duration,
}

/// A storage that fails now and then.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Storage>,
    faults: Faults,
    dice: Mutex<StdRng>,
}

/// What happens to one body.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Whole,
    Cut(u64),
    Short(u64),
    Corrupt(u64),
}

impl Faulty {
    /// Wraps a storage. Print the seed, so that a failing test can be run again.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    fn strikes(&self, probability: f64) -> bool {
        self.dice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_bool(probability)
    }

    fn available(&self, object: &str) -> Result<(), Error> {
        if self.strikes(self.faults.unavailable) {
            return Err(Error::unreachable(object, "the server says 503 (fault)"));
        }
        Ok(())
    }

    fn fate(&self, length: u64) -> Fate {
        if length == 0 {
            return Fate::Whole;
        }
        let at = self
            .dice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_range(0..length);
        if self.strikes(self.faults.cut) {
            Fate::Cut(at)
        } else if self.strikes(self.faults.short) {
            Fate::Short(at)
        } else if self.strikes(self.faults.corrupt) {
            Fate::Corrupt(at)
        } else {
            Fate::Whole
        }
    }
}

#[async_trait::async_trait]
impl Storage for Faulty {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        self.available(prefix)?;
        self.inner.list(prefix, after).await
    }

    async fn head(&self, key: &str, known: Option<&Version>) -> Result<Option<Object>, Error> {
        self.available(key)?;
        self.inner.head(key, known).await
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        self.available(&object.key)?;
        let length = range
            .as_ref()
            .map_or(object.size.unwrap_or(0), |range| range.end - range.start);
        let fate = self.fate(length);
        let delay = self.faults.delay;
        let key = object.key.clone();
        let body = self.inner.read(object, range).await?;
        let state = Some((body, 0_u64));
        Ok(Box::pin(futures_util::stream::unfold(
            state,
            move |state| {
                let key = key.clone();
                async move {
                    let (mut body, at) = state?;
                    tokio::time::sleep(delay).await;
                    let chunk = match body.next().await? {
                        Ok(chunk) => chunk,
                        Err(error) => return Some((Err(error), None)),
                    };
                    let end = at + chunk.len() as u64;
                    match fate {
                        Fate::Cut(n) if n < end => {
                            Some((Err(Error::unreachable(key, "cut (fault)")), None))
                        }
                        Fate::Short(n) if n < end => Some((Ok(first(&chunk, n - at)), None)),
                        Fate::Corrupt(n) if (at..end).contains(&n) => {
                            Some((Ok(flipped(&chunk, n - at)), Some((body, end))))
                        }
                        _ => Some((Ok(chunk), Some((body, end)))),
                    }
                }
            },
        )))
    }
}

fn first(chunk: &Bytes, length: u64) -> Bytes {
    chunk.slice(..usize::try_from(length).unwrap_or(chunk.len()))
}

fn flipped(chunk: &Bytes, at: u64) -> Bytes {
    let mut bytes = chunk.to_vec();
    if let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1;
    }
    bytes.into()
}
