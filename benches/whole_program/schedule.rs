//! How exactly the open model keeps its schedule: sent less intended start.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{self, Cores, Scratch, Served, ServerProcess};

/// Arrivals a second.
const RATES: [u32; 2] = [1_000, 10_000];

/// Sessions that serve the arrivals: more than are ever busy at once.
const VUS: &str = "100";

const REPORT_FILE: &str = "schedule.json";

/// Runs each rate in both modes and gives the lines of a table.
///
/// # Errors
/// A run that fails, or whose report has no lateness.
pub(crate) fn measure(
    program: &str,
    seconds: u64,
    mut show: impl FnMut(&str),
) -> Result<(), String> {
    let cores = Cores::choose().generator_free();
    let scratch = Scratch::new()?;
    let server = ServerProcess::start(&cores, Served::default())?;
    show(&format!(
        "lateness of the open model, one worker on the last CPU, {seconds} s each; server on {}\n",
        cores.server_text(),
    ));
    show("    rate  mode             sent        p50        p99        max");
    for rate in RATES {
        for is_busy in [false, true] {
            let mut command = Command::new(program);
            command
                .args(["loadtest", "run", server.url(), "--tool", "echo"])
                .args(["--args", r#"{"text":"hello"}"#, "--rate"])
                .arg(format!("{rate}/s"))
                .args(["--max-vus", VUS, "--workers", "1", "--quiet"])
                .args(["--duration", &format!("{seconds}s")])
                .args(["--report", REPORT_FILE])
                .env_remove("MCP_API_KEY");
            if is_busy {
                command.arg("--busy-poll");
            }
            let limit = Duration::from_secs(seconds + 60);
            process::run(&mut command, &cores, &scratch, limit)?;
            show(&row(&scratch, rate, is_busy).ok_or("the report has no lateness")?);
        }
    }
    show("\ndemanded at 1,000/s on a quiet machine: p99 at most 200 us normal, 50 us busy-polling");
    Ok(())
}

fn row(scratch: &Scratch, rate: u32, is_busy: bool) -> Option<String> {
    let path = scratch.path().join(REPORT_FILE);
    let report: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    fs::remove_file(&path).ok()?;
    let lateness = &report["lateness"];
    let us = |key: &str| Some(format!("{:.1} us", lateness[key].as_f64()? * 1000.0));
    let mode = if is_busy { "busy-poll" } else { "normal" };
    Some(format!(
        "{rate:>6}/s  {mode:<10} {:>10} {:>10} {:>10} {:>10}",
        lateness["count"].as_u64()?,
        us("p50_ms")?,
        us("p99_ms")?,
        us("max_ms")?,
    ))
}
