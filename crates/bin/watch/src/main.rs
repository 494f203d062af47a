//! `pilotfish-watch`: see the library's documentation.

/// musl's own allocator is slow under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pilotfish_runtime::main::<pilotfish_watch::Watch>()
}
