//! The `pilotfish-fetch` binary.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pilotfish_runtime::main::<pilotfish_fetch::Fetch>()
}
