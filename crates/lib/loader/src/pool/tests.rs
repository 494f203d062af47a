//! A panic in one connection's task ends the load as a bug, whatever the other connections do.

use std::time::Duration;

use async_trait::async_trait;
use pilotfish_engine::Error;

use super::*;

/// Longest wait for what comes at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that never comes to its end: it panics, or its server is silent.
enum Hopeless {
    Panics,
    Hangs,
}

impl Hopeless {
    async fn work<T>(&self) -> Result<T, Error> {
        match self {
            Self::Panics => panic!("a connection's task falls"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Worker for Hopeless {
    async fn load(&mut self, _: &RowBatch) -> Result<Loaded, Error> {
        self.work().await
    }

    async fn restore_keys(&mut self, _: &str) -> Result<(), Error> {
        self.work().await
    }

    async fn complete(&mut self, _: &str) -> Result<Completed, Error> {
        self.work().await
    }
}

/// Sends more jobs than the queue and the connections can hold; the failure that ends it.
async fn end_of(workers: Vec<Box<dyn Worker>>) -> Failure {
    let mut pool = Pool::of(workers, None, &Progress::new());
    let load = async {
        for _ in 0..8 {
            pool.send(Job::Complete("t".to_owned()), |_| {}).await?;
        }
        loop {
            pool.done().await?;
        }
    };
    let end: Result<Result<(), Failure>, _> = tokio::time::timeout(PATIENCE, load).await;
    end.expect("the load hangs").unwrap_err()
}

#[tokio::test]
async fn a_panic_is_a_bug_and_no_hang() {
    let alone: Vec<Box<dyn Worker>> = vec![Box::new(Hopeless::Panics)];
    assert_eq!(end_of(alone).await.kind(), Kind::Bug);
    let beside: Vec<Box<dyn Worker>> = vec![Box::new(Hopeless::Hangs), Box::new(Hopeless::Panics)];
    assert_eq!(end_of(beside).await.kind(), Kind::Bug);
}

#[tokio::test]
async fn a_panic_while_nothing_is_sent_is_noticed() {
    let mut pool = Pool::of(vec![Box::new(Hopeless::Panics)], None, &Progress::new());
    pool.send(Job::RestoreKeys("t".to_owned()), |_| {})
        .await
        .unwrap();
    let done = tokio::time::timeout(PATIENCE, pool.done()).await;
    assert_eq!(done.unwrap().unwrap_err().kind(), Kind::Bug);
}
