//! The program `cargo-pmcp`, which `cargo pmcp` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    pmcp_loadtest::cli::main(std::env::args_os())
}
