//! The log on standard error: text for people, JSON lines for collectors.
//!
//! Standard output is left to results. A closed standard error is no reason to fail.

mod fields;

use std::fmt;
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use serde_json::{Map, Value};
use tracing::{Level, debug, enabled, info};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::args::{CommonArgs, LogFormat};

/// How this process logs.
#[derive(Clone)]
pub(crate) struct Log {
    sink: Sink,
    json: bool,
}

impl Log {
    /// Starts the log of the process; once.
    pub(crate) fn start(common: &CommonArgs) -> Self {
        let terminal = io::stderr().is_terminal();
        let json = match common.log_format {
            LogFormat::Auto => !terminal,
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        let bars = (terminal && !json).then(MultiProgress::new);
        let sink = Sink { bars };
        let registry = tracing_subscriber::registry().with(filter(&common.log_level));
        let writer = sink.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .log_internal_errors(false);
        // A second start in one process (unit tests) keeps the first log.
        let _ = if json {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            tracing::subscriber::set_global_default(registry.with(lines.with_span_list(false)))
        } else {
            let lines = lines.with_ansi(terminal).with_target(false);
            tracing::subscriber::set_global_default(registry.with(lines))
        };
        Self { sink, json }
    }

    /// Where progress bars are drawn, when a person is watching.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.sink.bars.as_ref()
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Tells once what the tool works with. A person at a terminal has just typed it: there it takes
    /// `--log-level debug`.
    pub(crate) fn configuration(&self, tool: &str, settings: &impl fmt::Debug) {
        let version = env!("CARGO_PKG_VERSION");
        if self.bars().is_some() {
            if enabled!(Level::DEBUG) {
                let line = fields::line(&fields::of(settings));
                debug!(%tool, %version, config = %format_args!("[{line}]"), "configuration");
            }
        } else if self.json && enabled!(Level::INFO) {
            let values = fields::of(settings).into_iter();
            let config: Map<String, Value> =
                values.map(|(name, value)| (name, value.into())).collect();
            let mut line = Map::new();
            line.insert("tool".to_owned(), tool.into());
            line.insert("version".to_owned(), version.into());
            line.insert("config".to_owned(), config.into());
            self.json_line("INFO", "configuration", line);
        } else if enabled!(Level::INFO) {
            let line = fields::line(&fields::of(settings));
            info!(%tool, %version, config = %format_args!("[{line}]"), "configuration");
        }
    }

    /// One JSON line whose fields keep their JSON types, which tracing's macros cannot do.
    pub(crate) fn json_line(&self, level: &str, message: &str, fields: Map<String, Value>) {
        let mut time = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), level.into());
        line.insert("message".to_owned(), message.into());
        line.extend(fields);
        self.raw_line(&Value::Object(line).to_string());
    }

    /// Text as it is, between log lines.
    pub(crate) fn raw_line(&self, text: &str) {
        let _ = self.sink.clone().write_all(format!("{text}\n").as_bytes());
    }
}

/// The filter for `--log-level`. At its usual levels the AWS SDK tells the failures that it hands to
/// us once more, as pages of its inner structures: that takes debug, or directives of its targets.
fn filter(level: &str) -> Targets {
    let all = level.split(',').any(|part| {
        let part = part.trim();
        part.eq_ignore_ascii_case("debug") || part.eq_ignore_ascii_case("trace")
    });
    // Targets are compared by their beginning, and of two directives the longer one counts.
    let directives = match all {
        true => level.to_owned(),
        false => format!("aws_=error,{level}"),
    };
    // It was read once before, when the flag was.
    let usual = |_| Targets::new().with_default(Level::INFO);
    directives.parse().unwrap_or_else(usual)
}

/// Standard error that gets along with the progress bars on it.
#[derive(Clone)]
struct Sink {
    bars: Option<MultiProgress>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || {
            let _ = io::stderr().write_all(bytes);
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;

    /// Whether warnings of the SDK and of our own are shown at this level.
    fn shown(level: &str) -> (bool, bool) {
        let log = tracing_subscriber::registry().with(filter(level));
        with_default(log, || {
            (
                enabled!(target: "aws_config::imds::region", Level::WARN),
                enabled!(target: "pilotfish_fetch::round", Level::WARN),
            )
        })
    }

    #[test]
    fn the_sdk_of_the_storage_warns_only_those_who_ask_for_it() {
        for (level, expected) in [
            ("info", (false, true)),
            ("warn", (false, true)),
            ("error", (false, false)),
            ("off", (false, false)),
            ("info,pilotfish_fetch=debug", (false, true)),
            ("info,aws_config=warn", (true, true)),
            ("debug", (true, true)),
            ("TRACE", (true, true)),
        ] {
            assert_eq!(shown(level), expected, "{level}");
        }
    }
}
