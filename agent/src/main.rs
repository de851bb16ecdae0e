//! The binary `holdfast`.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;
use holdfast::cli;

/// One heap for all threads, instead of glibc's one for each (ADR 0016).
#[global_allocator]
static MEMORY: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    cli::main()
}
