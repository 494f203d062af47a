//! Loads a dump: reads it, stages it aside, checks it, swaps it in and tidies up.
//!
//! The promise: nothing live changes before the new release is complete and checked; the swap is one
//! instant for readers; killed anywhere, the next run finishes or starts over. Memory is bounded by
//! threads times chunk size, whatever the dump's size. This crate meets `dump` and `engine` and knows
//! neither grammar nor SQL itself; it does not know processes, ports or flags of a tool.
//!
//! [`load`] walks the six steps in [`steps`]; [`survey`] reads a dump ahead to see what changed;
//! [`pipeline`] drives a dump's items into a stage over several connections.

mod ahead;
mod args;
mod checks;
mod clearing;
mod commands;
mod database;
mod difference;
mod feed;
mod first_load;
mod history;
mod identity;
mod items;
mod keys;
mod later;
mod left_out;
mod options;
mod pipeline;
mod plan;
mod pool;
mod progress;
mod release;
mod report;
mod second_look;
mod steps;
mod swap_plan;
mod tables;
mod throttle;
mod whole;

pub use args::LoadArgs;
pub use commands::{Wanted, resume, rollback, status};
pub use history::{LoadRecord, State, recent, record, record_of};
pub use options::Options;
pub use pilotfish_dump::Source;
pub use pilotfish_engine::load::{Definer, Owner, Status, SwapMode};
pub use progress::{Phase, Progress, Snapshot};
pub use release::release_digest;
pub use report::{Outcome, Report};
pub use steps::load;
pub use throttle::Limits;
