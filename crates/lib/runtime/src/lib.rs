//! The life of a pilotfish process: arguments, log, configuration, admin HTTP, run, drain, exit code.
//!
//! A tool is an implementation of [`Tool`] and a `main.rs` that calls [`main`]. What this crate
//! promises for every tool: all configuration mistakes are reported at once before anything is
//! opened; SIGTERM and SIGINT are answered within `--grace`; a failure leaves exactly one ERROR line,
//! one exit code, a termination message and, if asked for, a result file. It is the only crate that
//! reads the environment, installs signal handlers and writes to standard output and error. It
//! knows no database, no dump and no storage.

mod admin;
mod args;
mod command_line;
mod environment;
mod front;
mod gate;
mod install;
mod life;
mod log;
mod outcome;
mod page;
mod process;
mod progress;
mod variables;

pub use admin::Ready;
pub use args::{CommonArgs, LogFormat, OutputFormat};
pub use environment::Environment;
pub use front::Front;
pub use gate::{bearer_only, read_token};
pub use life::{Tool, main, no_tool};
pub use page::escape_html;
pub use pilotfish_quantity::{parse_bytes, parse_duration, parse_duration_above_zero};
pub use process::Process;
pub use progress::{Progress, Unit};
