//! The running account on the terminal: when, who, what.

use std::time::Instant;

/// Prints lines with the time since its making.
#[derive(Debug)]
pub(crate) struct Account {
    start: Instant,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// One line: who did what.
    pub(crate) fn say(&self, who: &str, what: &str) {
        println!(
            "{:7.1} s  {who:<8} {what}",
            self.start.elapsed().as_secs_f64()
        );
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
