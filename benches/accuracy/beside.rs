//! Busy processes beside the generator: are the figures within what the verdict
//! says they may be wrong by, and does `--strict` fail those runs, and only
//! those, whose answer is not that of the question?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::generator::{Bounds, Figures, Generator, Load, Ran, Strict};
use super::process::pin_to;
use super::server::Served;
use super::truth::{Call, Sorted};

/// A process that keeps a CPU busy until it is dropped, or its parent is gone.
pub(crate) struct Hog(Child);

impl Hog {
    /// On this CPU; `None`: wherever it is put.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(core: Option<usize>) -> Result<Self, String> {
        let starting = std::thread::spawn(move || {
            // A child inherits the CPU of the thread that starts it.
            if let Some(core) = core {
                pin_to(core)?;
            }
            Command::new("sh")
                .args(["-c", "while kill -0 $PPID 2>/dev/null; do :; done"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("a busy process: {error}"))
        });
        let started = starting.join();
        started
            .unwrap_or_else(|_| Err("the starting thread panicked".to_string()))
            .map(Self)
    }

    /// So many, on these CPUs in turn.
    ///
    /// # Errors
    /// One cannot be started.
    pub(crate) fn on(cores: &[usize], count: usize) -> Result<Vec<Self>, String> {
        let cores: Vec<Option<usize>> = match cores.is_empty() {
            true => vec![None],
            false => cores.iter().copied().map(Some).collect(),
        };
        (0..count)
            .map(|at| Self::start(cores[at % cores.len()]))
            .collect()
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        // It is ours, not waited for yet, and so still that process.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A figure beside the truth, and what the verdict allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounded {
    /// Which, such as `p99 from sent`.
    pub(crate) name: &'static str,
    /// As reported, in microseconds.
    pub(crate) reported_us: f64,
    /// The server's record: from just before the answer's last byte was handed
    /// over to just after.
    pub(crate) truth_us: (f64, f64),
    /// The verdict's.
    pub(crate) bound_us: f64,
}

impl Bounded {
    /// How far the report is from the truth.
    pub(crate) fn error_us(&self) -> f64 {
        let (least, most) = self.truth_us;
        if self.reported_us > most {
            self.reported_us - most
        } else {
            (self.reported_us - least).min(0.0)
        }
    }

    /// Whether the verdict's bound holds.
    pub(crate) fn holds(&self) -> bool {
        self.error_us().abs() <= self.bound_us
    }
}

/// The median and the p99 of a run beside the server's record. A punctual
/// generator with users enough would show the server's own times from the
/// intended start as well.
///
/// # Errors
/// The report has no bounds, or the server no calls.
pub(crate) fn compare(ran: &Ran, served: &Served) -> Result<Vec<Bounded>, String> {
    let report = &ran.report;
    let bounds = report.bounds.ok_or("the report has no bounds")?;
    let to = |end: fn(&Call) -> u64| {
        let calls = served.calls.iter();
        Sorted::new(
            calls
                .map(|c| end(c).saturating_sub(c.received_ns))
                .collect(),
        )
    };
    let (least, most) = (to(|call| call.answered_ns), to(|call| call.handed_ns));
    let truth = |q| -> Result<(f64, f64), String> {
        let us = |of: &Sorted| of.quantile(q).map(|ns| ns as f64 / 1e3);
        us(&least)
            .zip(us(&most))
            .ok_or_else(|| "the server has no calls".to_string())
    };
    let Bounds { service, response } = bounds;
    let mut found = Vec::new();
    let mut add = |names: [&'static str; 2], figures: Figures, bound: (f64, f64)| {
        let of_q = [
            (0.5, figures.p50_us, bound.0),
            (0.99, figures.p99_us, bound.1),
        ];
        for (name, (q, reported_us, bound_us)) in names.into_iter().zip(of_q) {
            found.push(Bounded {
                name,
                reported_us,
                truth_us: truth(q)?,
                bound_us,
            });
        }
        Ok::<(), String>(())
    };
    add(["p50 from sent", "p99 from sent"], report.service, service)?;
    if let Some((figures, bound)) = report.response.zip(response) {
        // Who waited for a user waited for the server.
        if report.dropped == 0 {
            add(["p50 from intended", "p99 from intended"], figures, bound)?;
        }
    }
    Ok(found)
}

/// A line of the table.
pub(crate) fn line(case: &str, n_hogs: usize, grade: &str, found: &[Bounded]) -> String {
    let cells: Vec<String> = found
        .iter()
        .map(|one| {
            format!(
                "{} {:.0} ({:.0} to {:.0}), {:+.0} of {:.0}{}",
                one.name,
                one.reported_us,
                one.truth_us.0,
                one.truth_us.1,
                one.error_us(),
                one.bound_us,
                if one.holds() { "" } else { " NOT WITHIN" }
            )
        })
        .collect();
    format!(
        "| {case} beside {n_hogs} | {grade} | {} |",
        cells.join(" | ")
    )
}

/// A control group with a fifth of a CPU, gone when dropped.
pub(crate) struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// 20 ms of CPU time in each 100 ms, by version 2 or 1.
    ///
    /// # Errors
    /// This system lets nobody make one here.
    pub(crate) fn of_a_fifth() -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("pmcp-accuracy-{}", std::process::id());
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let is_two = controllers.split_whitespace().any(|name| name == "cpu");
        if is_two {
            // Where it is enabled already, this changes nothing.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
        }
        let folder = match is_two {
            true => root.join(name),
            false => root.join("cpu").join(name),
        };
        fs::create_dir(&folder).map_err(text)?;
        let quota = Self { folder };
        let write = |file: &str, value: &str| {
            fs::write(quota.folder.join(file), value).map_err(|error| error.to_string())
        };
        match is_two {
            true => write("cpu.max", "20000 100000")?,
            false => {
                write("cpu.cfs_period_us", "100000")?;
                write("cpu.cfs_quota_us", "20000")?;
            }
        }
        Ok(quota)
    }

    /// Where a process is to write its id.
    pub(crate) fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Fails only while something still runs in it.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Arrivals a second that keep a generator under a fifth busy.
const IDLE_PER_SEC: u32 = 500;
/// Arrivals a second that a fifth of a CPU does not make.
const STARVED_PER_SEC: u32 = 20_000;

/// A generator that is idle but for some arrivals or users.
pub(crate) fn idle_load(round: usize) -> Load {
    match round % 2 {
        0 => Load::Arrivals {
            per_sec: IDLE_PER_SEC,
            max_vus: 500,
        },
        _ => Load::Users(4),
    }
}

/// A load that the quota does not admit.
pub(crate) fn starved_load() -> Load {
    Load::Arrivals {
        per_sec: STARVED_PER_SEC,
        max_vus: 500,
    }
}

/// Runs it with `--strict`, within the quota if there is one.
///
/// # Errors
/// It gives no report.
pub(crate) fn strict(
    generator: &Generator,
    url: &str,
    load: Load,
    seconds: f64,
    quota: Option<&Quota>,
) -> Result<Strict, String> {
    let procs = quota.map(Quota::procs);
    generator.strict(url, load, seconds, procs.as_deref())
}
