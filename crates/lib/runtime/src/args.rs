//! The flags every tool has.

use std::path::PathBuf;
use std::time::Duration;

use pilotfish_quantity::parse_duration;

/// Flags common to all tools; a tool flattens them into its own arguments.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Process")]
pub struct CommonArgs {
    /// Log level or directives
    #[arg(long, value_name = "LEVEL", default_value = "info", global = true, value_parser = log_level)]
    pub log_level: String,
    /// Log lines; auto is text on a terminal, else json
    #[arg(
        long,
        hide_short_help = true,
        value_name = "FORMAT",
        default_value = "auto",
        global = true
    )]
    pub log_format: LogFormat,
    /// Results as text or json
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        global = true,
        hide_possible_values = true
    )]
    pub output: OutputFormat,
    /// Write the result here as JSON, after a failure too
    #[arg(long, hide_short_help = true, value_name = "FILE", global = true)]
    pub result_file: Option<PathBuf>,
    /// Time to finish after SIGTERM
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "30s", global = true, value_parser = parse_duration)]
    pub grace: Duration,
}

impl Default for CommonArgs {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_format: LogFormat::Auto,
            output: OutputFormat::Text,
            result_file: None,
            grace: Duration::from_secs(30),
        }
    }
}

/// How the log on standard error looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines otherwise.
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per line.
    Json,
}

/// How the results of commands look on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// Tables and sentences.
    Text,
    /// JSON whose fields are a stable contract: fields are added, never changed.
    Json,
}

fn log_level(text: &str) -> Result<String, String> {
    // A lone word that is no level would be taken for the name of a target and mute everything.
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    let lone_word = !text.contains(['=', ',']);
    if lone_word && !known.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(format!("write one of {}", known.join(", ")));
    }
    text.parse::<tracing_subscriber::filter::Targets>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}
