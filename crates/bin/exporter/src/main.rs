//! The `pilotfish-exporter` binary.

// In static builds only: musl's own allocator is slow, glibc's holds less of a loader's large buffers.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pilotfish_runtime::main::<pilotfish_exporter::Exporter>()
}
