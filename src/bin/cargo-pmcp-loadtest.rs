//! The program `cargo-pmcp-loadtest`, which `cargo pmcp-loadtest` runs: the
//! same as `cargo-pmcp`, for those who keep another one of that name.

use std::process::ExitCode;

fn main() -> ExitCode {
    pmcp_loadtest::cli::main(std::env::args_os())
}
