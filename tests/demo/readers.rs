//! Applications that read all the time and must not notice anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::connection::{Address, Answer, Connection};
use crate::database::Database;

const NATIONS: u64 = 25;

/// Readers at work.
#[derive(Debug)]
pub(crate) struct Readers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Seen>>,
}

/// What readers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    pub(crate) errors: u64,
    pub(crate) mixed: u64,
    /// The longest time between two answers of one reader.
    pub(crate) longest: Duration,
    last_edition: i64,
    error: Option<String>,
}

impl Readers {
    pub(crate) fn start(runtime: &Runtime, server: &Database, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let address = Address::of(server);
        let tasks = (0..count)
            .map(|_| runtime.spawn(read_on(address, Arc::clone(&stop))))
            .collect();
        Self { stop, tasks }
    }

    /// Ends the readers and adds up what they saw.
    pub(crate) fn stop(self, runtime: &Runtime) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        let mut total = Seen {
            last_edition: i64::MAX,
            ..Seen::default()
        };
        for task in self.tasks {
            let seen = runtime.block_on(task).expect("a reader ends in good order");
            total.reads += seen.reads;
            total.errors += seen.errors;
            total.mixed += seen.mixed;
            total.longest = total.longest.max(seen.longest);
            total.last_edition = total.last_edition.min(seen.last_edition);
            total.error = total.error.or(seen.error);
        }
        total
    }
}

impl Seen {
    pub(crate) fn first_error(&self) -> String {
        self.error
            .as_ref()
            .map_or_else(String::new, |error| format!(", first: {error}"))
    }

    /// What makes the demonstration a failure.
    pub(crate) fn verdict(&self, last: i64) -> Result<(), String> {
        if self.errors > 0 || self.mixed > 0 {
            return Err(format!(
                "readers saw {} errors, {} mixed answers",
                self.errors, self.mixed
            ));
        }
        if self.last_edition != last {
            return Err(format!("a reader ended on release v{}", self.last_edition));
        }
        Ok(())
    }
}

async fn read_on(address: Address, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut connection: Option<Connection> = None;
    let mut last_answer = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        match read(&mut connection, address).await {
            Ok((edition, least, most, nations)) => {
                let expected = format!("edition {edition}");
                let whole = least == expected && most == expected && nations == NATIONS;
                seen.mixed += u64::from(!whole);
                seen.reads += 1;
                seen.last_edition = edition;
                seen.longest = seen.longest.max(last_answer.elapsed());
                last_answer = Instant::now();
            }
            Err(error) => {
                seen.errors += 1;
                seen.error.get_or_insert(error);
                connection = None;
            }
        }
    }
    seen
}

async fn read(connection: &mut Option<Connection>, address: Address) -> Result<Answer, String> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(address.connect().await?),
    };
    connection.ask().await
}
