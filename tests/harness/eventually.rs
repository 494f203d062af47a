//! Waiting for a state instead of for a time.

use std::time::{Duration, Instant};

/// Long enough for a busy two-core machine, short enough to end a hung test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` again and again until it answers, and returns the answer.
///
/// # Panics
/// When `patience` runs out, naming `what` was awaited.
#[track_caller]
pub fn eventually<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(
            start.elapsed() < patience,
            "waited {patience:?} in vain for {what}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
