//! What a second worker adds.
//!
//! Two workers and a server need three CPUs, of which each may be busy all the
//! time. Where there are fewer, the rate of two workers says more of the machine
//! than of the program, so CPU time for each call is shown beside it: workers
//! share nothing per call, and if a call costs two workers as much as one, two
//! CPUs make twice the rate. The answers are delayed in half of the runs: then
//! the server's CPU is mostly idle, and the rate is bound by the users.

use std::time::Duration;

use pmcp_loadtest::internal::protocol::Era;

use super::generator::{Generator, Load, Target};
use super::process::{self, Cores, Served, ServerProcess};
use super::table::Figures;

/// Of both workers together, so that each has enough to do.
const N_VUS: u32 = 128;

/// With this, 128 users make at most some 25,000 calls a second.
const DELAY: Duration = Duration::from_millis(5);

const DEMANDED: f64 = 1.9;

/// Runs one worker and two in turns, and shows what the second adds.
///
/// # Errors
/// A run gives no figures.
pub(crate) fn measure(
    program: &str,
    era: Era,
    seconds: u64,
    n_rounds: usize,
    say: impl Fn(&str),
) -> Result<(), String> {
    process::allow_many_files();
    let scratch = process::Scratch::new()?;
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
    say(&format!(
        "{program}, {N_VUS} users; {n_cpus} CPUs for two workers and the server: {}",
        match n_cpus {
            0..3 => "they compete, so rates cannot double; see the CPU per call",
            _ => "each can have its own",
        }
    ));
    say(&format!(
        "{:<14} {:>8} {:>10} {:>12} {:>8}",
        "answers", "workers", "calls/s", "CPU us/call", "server"
    ));
    let generator = Generator::program(program);
    for delay in [Duration::ZERO, DELAY] {
        // Nobody is put anywhere: the workers keep to CPUs by themselves.
        let cores = match n_cpus {
            0..3 => Cores::none(),
            _ => Cores::choose().generator_free(),
        };
        let server = ServerProcess::start(
            &cores,
            Served {
                delay,
                ..Served::default()
            },
        )?;
        let target = Target::new(server.url(), era);
        let mut rounds: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..n_rounds.max(1) {
            for n_workers in [1, 2] {
                let load = Load {
                    n_vus: N_VUS,
                    seconds,
                    n_workers,
                };
                let cores = cores.generator_free();
                let figures = generator.run(&target, load, &cores, &server, &scratch)?;
                rounds[n_workers - 1].push(figures);
            }
        }
        let name = match delay {
            Duration::ZERO => "at once".to_string(),
            delay => format!("after {delay:?}"),
        };
        for (index, figures) in rounds.iter().enumerate() {
            say(&format!(
                "{name:<14} {:>8} {:>10.0} {:>12} {:>7.0}%",
                index + 1,
                median(figures, |figures| Some(figures.calls_per_sec)).unwrap_or(0.0),
                median(figures, Figures::cpu_us_per_call)
                    .map_or("-".to_string(), |cpu| format!("{cpu:.2}")),
                median(figures, |figures| figures.server_busy_percent).unwrap_or(0.0),
            ));
        }
        let ratio = |figure: fn(&Figures) -> Option<f64>| {
            Some(median(&rounds[1], figure)? / median(&rounds[0], figure)?)
        };
        if let Some(rate) = ratio(|figures| Some(figures.calls_per_sec)) {
            say(&format!("  rate of two to one: {rate:.2}"));
        }
        if let Some(cpu) = ratio(Figures::cpu_us_per_call) {
            say(&format!(
                "  by CPU per call, two CPUs make {:.2} times the rate of one; demanded: \
                 {DEMANDED}",
                2.0 / cpu
            ));
        }
    }
    Ok(())
}

fn median(rounds: &[Figures], figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().filter_map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
