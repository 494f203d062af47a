//! Figures as lines for people and a file for programs.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// The figures of one benchmark, in the order they were found.
#[derive(Debug, Default)]
pub(crate) struct Figures(Map<String, Value>);

impl Figures {
    /// Prints `name value unit` and keeps the figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &str) {
        let name = name.into();
        let value = (value * 1000.0).round() / 1000.0;
        println!("{name} {value} {unit}");
        self.0.insert(name, value.into());
    }

    /// Writes the figures for programs.
    pub(crate) fn write(self, bench: &str) {
        let text = serde_json::to_string_pretty(&self.0).expect("figures are JSON");
        std::fs::create_dir_all("target/bench").expect("make target/bench");
        std::fs::write(format!("target/bench/{bench}.json"), text + "\n")
            .expect("write the figures");
    }
}

/// The middle of some times, in seconds.
pub(crate) fn median(times: &[Duration]) -> f64 {
    let mut seconds: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    if seconds.len() % 2 == 1 {
        seconds[middle]
    } else {
        f64::midpoint(seconds[middle - 1], seconds[middle])
    }
}

/// Runs something, says on standard error how long it took.
pub(crate) fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    let time = start.elapsed();
    eprintln!("   {what}: {:.2} s", time.as_secs_f64());
    (time, result)
}
