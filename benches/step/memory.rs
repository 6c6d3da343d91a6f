//! What memory one more user takes.

use std::process::Command;
use std::time::Duration;

use pmcp_loadtest::internal::{Framing, Options, ServerThread};

use crate::process::{self, Cores, Scratch};

/// Users of the smaller run, which has all that does not grow with them.
const N_FEW: u64 = 20;

/// Further users of the larger run.
const N_MORE: u64 = 1_000;

/// KiB of resident memory for each user that calls a tool: its stack as far as
/// it touched it, its session, its connection and its timers. `None` where the
/// system does not tell.
///
/// One large value on the stack of a function that a call goes through shows
/// here at once: the compiler touches each page of a frame.
///
/// # Errors
/// The server or a run fails.
pub(crate) fn kib_per_user(program: &str) -> Result<Option<f64>, String> {
    process::allow_many_files();
    // The runs have a folder of their own.
    let program = std::fs::canonicalize(program).map_err(|error| format!("{program}: {error}"))?;
    let options = Options {
        framing: Framing::Json,
        delay: Duration::ZERO,
    };
    let server = ServerThread::start(options, None).map_err(|error| error.to_string())?;
    let scratch = Scratch::new()?;
    let peak_kib = |n_users: u64| {
        let mut command = Command::new(&program);
        command
            .args(["loadtest", "run", server.url(), "--tool", "echo"])
            .args(["--vus", &n_users.to_string(), "--workers", "1"])
            // Beyond the first half second nothing new is touched.
            .args(["--duration", "2s", "--quiet", "--report", "-"]);
        process::run(
            &mut command,
            &Cores::none(),
            &scratch,
            Duration::from_secs(60),
        )
        .map(|ended| ended.peak_kib)
    };
    let (few, more) = (peak_kib(N_FEW)?, peak_kib(N_FEW + N_MORE)?);
    Ok(few
        .zip(more)
        .map(|(few, more)| more.saturating_sub(few) as f64 / N_MORE as f64))
}
