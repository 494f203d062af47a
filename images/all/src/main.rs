//! All tools in one program, for the image that has all of them: it is the one whose name it is called by.
//! Five programs share most of their code, and an image is fetched by every node.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

// In static builds only: musl's own allocator is slow, glibc's holds less of a loader's large buffers.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOOLS: [&str; 5] = [
    "pilotfish-exporter",
    "pilotfish-fetch",
    "pilotfish-load",
    "pilotfish-wait",
    "pilotfish-watch",
];

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    match Path::new(&called).file_name().and_then(OsStr::to_str) {
        Some("pilotfish-exporter") => pilotfish_runtime::main::<pilotfish_exporter::Exporter>(),
        Some("pilotfish-fetch") => pilotfish_runtime::main::<pilotfish_fetch::Fetch>(),
        Some("pilotfish-load") => pilotfish_runtime::main::<pilotfish_load::LoadTool>(),
        Some("pilotfish-wait") => pilotfish_runtime::main::<pilotfish_wait::Wait>(),
        Some("pilotfish-watch") => pilotfish_runtime::main::<pilotfish_watch::Watch>(),
        _ => pilotfish_runtime::no_tool(&TOOLS),
    }
}
