//! The program under test as users run it, what it reports, and what went on
//! on its CPU meanwhile.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::pin_to;

/// How it is run.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    /// The binary.
    pub(crate) program: String,
    /// The CPU of its worker and all else of it; `None`: wherever it is put.
    pub(crate) core: Option<usize>,
}

/// How much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// The closed model: so many users, each of whom waits for its answer.
    Users(u32),
    /// The open model: evenly spaced arrivals.
    Arrivals {
        /// A second.
        per_sec: u32,
        /// The pool that serves them.
        max_vus: u32,
    },
}

/// A run that gave its figures.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    /// What the program says.
    pub(crate) report: Report,
    /// CPU time of its whole process, of the length of the load; 0 to 1 and a
    /// little more, since it begins and ends beside the load. `None` where the
    /// system does not tell.
    pub(crate) cpu_share: Option<f64>,
    /// What disturbed it.
    pub(crate) noise: Noise,
}

/// What the program says, as far as it is judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) started: u64,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Arrivals given up.
    pub(crate) dropped: u64,
    /// The length of the load.
    pub(crate) seconds: f64,
    /// From sent to the last byte.
    pub(crate) service: Figures,
    /// From the intended start; `None` in the closed model.
    pub(crate) response: Option<Figures>,
    /// How late the promptest call was, in microseconds; 0 in the closed model.
    pub(crate) least_late_us: f64,
    /// (limit in ms, calls over it) of the response, or else of the service.
    pub(crate) over: Vec<(f64, u64)>,
    /// `valid`, `suspect` or `invalid`.
    pub(crate) grade: String,
    /// What the verdict says that figures may be wrong by.
    pub(crate) bounds: Option<Bounds>,
}

/// What figures may be wrong by, in microseconds: p50 and p99.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    /// From the first byte sent.
    pub(crate) service: (f64, f64),
    /// From the intended start, in the open model.
    pub(crate) response: Option<(f64, f64)>,
}

/// How a run with `--strict` ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strict {
    /// The exit code; `None`: killed by a signal.
    pub(crate) code: Option<i32>,
    /// The verdict, with the cause of its first reason.
    pub(crate) verdict: String,
    /// The busiest worker's share of work.
    pub(crate) busy_share: f64,
    /// Calls that ended, a second.
    pub(crate) calls_per_sec: f64,
}

/// A distribution's figures, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p99_9_us: f64,
    pub(crate) mean_us: f64,
    pub(crate) max_us: f64,
}

/// What disturbed a run: a row with much of it says little.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Noise {
    /// Time that the hypervisor gave to others, of all CPUs' time; 0 to 1.
    pub(crate) stolen: Option<f64>,
    /// Time that other processes had of the generator's CPU; 0 to 1.
    pub(crate) others: Option<f64>,
    /// Times a second that the generator had to leave its CPU.
    pub(crate) switches_per_sec: Option<f64>,
}

impl Generator {
    /// Runs it once.
    ///
    /// # Errors
    /// It fails, hangs, or gives no figures.
    pub(crate) fn run(&self, url: &str, load: Load, seconds: f64) -> Result<Ran, String> {
        /// To open and close thousands of sessions, and to finish calls.
        const GRACE: Duration = Duration::from_secs(60);
        let mut command = self.command(url, load, seconds);
        let limit = Duration::from_secs_f64(seconds).saturating_add(GRACE);
        let (before, began) = (machine::Look::now(self.core), Instant::now());
        let (code, output, stderr) = self.run_to_end(&mut command, limit)?;
        if code != Some(0) {
            return Err(format!("it failed:\n{stderr}"));
        }
        let (after, elapsed) = (machine::Look::now(self.core), began.elapsed());
        let json: Value = serde_json::from_str(&output)
            .map_err(|error| format!("its report is not JSON: {error}:\n{output}"))?;
        let report = read_report(&json)
            .ok_or_else(|| format!("its report has no figures: {}", json["notices"]))?;
        let cpu = after.cpu.zip(before.cpu).map(|(a, b)| a.saturating_sub(b));
        Ok(Ran {
            cpu_share: cpu.map(|cpu| cpu.as_secs_f64() / report.seconds),
            noise: after.since(&before, elapsed),
            report,
        })
    }

    /// Runs it once with `--strict`, in this control group if there is one.
    ///
    /// # Errors
    /// It hangs or gives no report.
    pub(crate) fn strict(
        &self,
        url: &str,
        load: Load,
        seconds: f64,
        procs: Option<&Path>,
    ) -> Result<Strict, String> {
        /// A starved one takes its time to end.
        const GRACE: Duration = Duration::from_secs(60);
        let plain = self.command(url, load, seconds);
        let mut command = match procs {
            None => plain,
            Some(procs) => {
                let mut shell = Command::new("sh");
                let line = format!("echo $$ > '{}' && exec \"$@\"", procs.display());
                shell.args(["-c", &line, "sh"]);
                shell.arg(plain.get_program()).args(plain.get_args());
                shell.env_remove("MCP_API_KEY").stdin(Stdio::null());
                shell.stdout(Stdio::piped()).stderr(Stdio::piped());
                shell
            }
        };
        command.arg("--strict");
        let limit = Duration::from_secs_f64(seconds).saturating_add(GRACE);
        let (code, output, stderr) = self.run_to_end(&mut command, limit)?;
        let json: Value = serde_json::from_str(&output)
            .map_err(|error| format!("its report is not JSON: {error}:\n{output}\n{stderr}"))?;
        let verdict = &json["verdict"];
        let words = |value: &Value| value.as_str().unwrap_or("-").to_string();
        let busy = json["self_check"]["workers"].as_array();
        let shares = busy.into_iter().flatten();
        Ok(Strict {
            code,
            verdict: format!(
                "{}: {}",
                words(&verdict["grade"]),
                words(&verdict["reasons"][0]["cause"])
            ),
            busy_share: shares
                .filter_map(|worker| worker["busy_share"].as_f64())
                .fold(0.0, f64::max),
            calls_per_sec: json["totals"]["rate_per_sec"].as_f64().unwrap_or(0.0),
        })
    }

    fn command(&self, url: &str, load: Load, seconds: f64) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["loadtest", "run", url, "--tool", "wait", "--args", "{}"])
            .args(["--protocol", "legacy", "--workers", "1"])
            .args(["--duration", &format!("{:.0}ms", seconds * 1000.0)])
            .args(["--quiet", "--report", "-"])
            .env_remove("MCP_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match load {
            Load::Users(n_vus) => command.args(["--vus", &n_vus.to_string()]),
            Load::Arrivals { per_sec, max_vus } => command
                .args(["--rate", &format!("{per_sec}/s")])
                .args(["--max-vus", &max_vus.to_string()]),
        };
        if self.core.is_none() {
            command.arg("--no-pin");
        }
        command
    }

    /// Its exit code, standard output and standard error.
    fn run_to_end(
        &self,
        command: &mut Command,
        limit: Duration,
    ) -> Result<(Option<i32>, String, String), String> {
        // A child inherits the CPU of the thread that starts it. This one ends
        // with the start, so that who waits does not disturb.
        let core = self.core;
        let mut child = std::thread::scope(|scope| {
            let starting = scope.spawn(move || {
                if let Some(core) = core {
                    pin_to(core)?;
                }
                command.spawn().map_err(|error| error.to_string())
            });
            starting
                .join()
                .unwrap_or_else(|_| Err("the starting thread panicked".to_string()))
        })?;
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let code = wait(&mut child, limit)?;
        let text = |reading: std::thread::JoinHandle<String>| reading.join().unwrap_or_default();
        Ok((code, text(stdout), text(stderr)))
    }
}

/// Reads on a thread, so that a full pipe holds nobody up.
fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until an error is what there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Its exit code; `None`: killed by a signal.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<i32>, String> {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.code()),
            Ok(None) if began.elapsed() < limit => std::thread::sleep(LOOK_EVERY),
            Ok(None) => {
                // It is ours, not waited for yet, and so still that process.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it still ran after {limit:?} and was killed"));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn read_report(report: &Value) -> Option<Report> {
    let totals = &report["totals"];
    let latency = read_figures(&totals["latency"])?;
    let service = read_figures(&totals["service_latency"]);
    let over = report["over"].as_array()?.iter();
    Some(Report {
        started: totals["started"].as_u64()?,
        ok: totals["ok"].as_u64()?,
        failed: totals["failed"].as_u64()?,
        cancelled: totals["cancelled"].as_u64()?,
        dropped: report["counters"]["arrivals_dropped"].as_u64()?,
        seconds: report["duration_secs"]
            .as_f64()
            .filter(|secs| *secs > 0.0)?,
        service: service.unwrap_or(latency),
        response: service.is_some().then_some(latency),
        least_late_us: report["lateness"]["min_ms"].as_f64().unwrap_or(0.0) * 1000.0,
        over: over
            .map(|class| Some((class["limit_ms"].as_f64()?, class["count"].as_u64()?)))
            .collect::<Option<_>>()?,
        grade: report["verdict"]["grade"].as_str()?.to_string(),
        bounds: read_bounds(&report["verdict"]["bounds"]),
    })
}

fn read_bounds(bounds: &Value) -> Option<Bounds> {
    let us = |key: &str| Some(bounds[key].as_f64()? * 1000.0);
    let response = us("response_p50_ms").zip(us("response_p99_ms"));
    Some(Bounds {
        service: us("service_p50_ms").zip(us("service_p99_ms"))?,
        response,
    })
}

fn read_figures(latency: &Value) -> Option<Figures> {
    let us = |key: &str| Some(latency[key].as_f64()? * 1000.0);
    Some(Figures {
        p50_us: us("p50_ms")?,
        p90_us: us("p90_ms")?,
        p99_us: us("p99_ms")?,
        p99_9_us: us("p99_9_ms")?,
        mean_us: us("mean_ms")?,
        max_us: us("max_ms")?,
    })
}

/// What the operating system counts, for children that have ended and for the
/// CPUs.
#[cfg(target_os = "linux")]
mod machine {
    use super::{Duration, Noise, fs};
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::{TimeVal, TimeValLike};

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Look {
        /// Of ended children.
        pub(super) cpu: Option<Duration>,
        n_switches: Option<i64>,
        of_core: Option<Ticks>,
        of_all: Option<Ticks>,
    }

    /// Ticks of a CPU.
    #[derive(Debug, Clone, Copy)]
    struct Ticks {
        busy: u64,
        idle: u64,
        stolen: u64,
    }

    impl Look {
        pub(super) fn now(core: Option<usize>) -> Self {
            let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
            let us = |time: TimeVal| u64::try_from(time.num_microseconds()).ok();
            let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
            Self {
                cpu: usage.and_then(|usage| {
                    let sum = us(usage.user_time())?.checked_add(us(usage.system_time())?)?;
                    Some(Duration::from_micros(sum))
                }),
                n_switches: usage.map(|usage| usage.involuntary_context_switches()),
                of_core: core.and_then(|core| ticks(&stat, &format!("cpu{core} "))),
                of_all: ticks(&stat, "cpu "),
            }
        }

        pub(super) fn since(&self, before: &Self, elapsed: Duration) -> Noise {
            let between = |after: Option<Ticks>, before: Option<Ticks>| {
                let (after, before) = after.zip(before)?;
                Some(Ticks {
                    busy: after.busy.saturating_sub(before.busy),
                    idle: after.idle.saturating_sub(before.idle),
                    stolen: after.stolen.saturating_sub(before.stolen),
                })
            };
            let own = self.cpu.zip(before.cpu).map(|(a, b)| a.saturating_sub(b));
            let others = between(self.of_core, before.of_core)
                .zip(own)
                .map(|(core, own)| {
                    let own_share = own.as_secs_f64() / elapsed.as_secs_f64();
                    (core.busy as f64 / core.all() - own_share).clamp(0.0, 1.0)
                });
            Noise {
                stolen: between(self.of_all, before.of_all)
                    .map(|ticks| ticks.stolen as f64 / ticks.all()),
                others,
                switches_per_sec: self
                    .n_switches
                    .zip(before.n_switches)
                    .map(|(after, before)| (after - before) as f64 / elapsed.as_secs_f64()),
            }
        }
    }

    impl Ticks {
        fn all(self) -> f64 {
            (self.busy + self.idle + self.stolen).max(1) as f64
        }
    }

    /// A line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait,
    /// irq, softirq, steal.
    fn ticks(stat: &str, name: &str) -> Option<Ticks> {
        let line = stat.lines().find_map(|line| line.strip_prefix(name))?;
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let mut next = || fields.next()?.ok();
        let (user, nice, system) = (next()?, next()?, next()?);
        let (idle, iowait) = (next()?, next()?);
        let (irq, softirq, stolen) = (next()?, next()?, next()?);
        Some(Ticks {
            busy: user + nice + system + irq + softirq,
            idle: idle + iowait,
            stolen,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod machine {
    use super::{Duration, Noise};

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Look {
        pub(super) cpu: Option<Duration>,
    }

    impl Look {
        pub(super) fn now(_: Option<usize>) -> Self {
            Self { cpu: None }
        }

        pub(super) fn since(&self, _: &Self, _: Duration) -> Noise {
            Noise::default()
        }
    }
}
