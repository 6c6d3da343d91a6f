//! Processes on chosen CPUs, and what the operating system says of them.
//!
//! It does not know what they do. CPU time is counted on Unix systems that
//! have it in `getrusage` of ended children (only wired for Linux), peak
//! memory comes from `/proc`; elsewhere both are `None`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use core_affinity::CoreId;

/// The CPUs of the server and of the generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    server: Option<CoreId>,
    generator: Option<CoreId>,
}

impl Cores {
    /// The first and the last of those that this process may use; none where
    /// there is only one, which is then shared.
    pub(crate) fn choose() -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        match cores.as_slice() {
            [first, .., last] => Self {
                server: Some(*first),
                generator: Some(*last),
            },
            _ => Self {
                server: None,
                generator: None,
            },
        }
    }

    /// Nobody is put anywhere.
    pub(crate) fn none() -> Self {
        Self {
            server: None,
            generator: None,
        }
    }

    /// The same with the generator left to choose: its worker keeps to the last
    /// CPU by itself, and its coordinator stays off that.
    pub(crate) fn generator_free(self) -> Self {
        Self {
            generator: None,
            ..self
        }
    }

    /// Where the server runs, for people.
    pub(crate) fn server_text(&self) -> String {
        core_text(self.server)
    }

    /// Where the generator runs, for people.
    pub(crate) fn generator_text(&self) -> String {
        core_text(self.generator)
    }
}

fn core_text(core: Option<CoreId>) -> String {
    core.map_or_else(
        || "no CPU of its own".to_string(),
        |core| format!("CPU {}", core.id),
    )
}

/// Pins this thread, and what it starts from now on.
///
/// # Errors
/// The CPU cannot be used.
pub(crate) fn pin_to(core: usize) -> Result<(), String> {
    match core_affinity::set_for_current(CoreId { id: core }) {
        true => Ok(()),
        false => Err(format!("cannot be pinned to CPU {core}")),
    }
}

/// A folder that goes when this does.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder of its own.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new() -> Result<Self, String> {
        static N_MADE: AtomicU32 = AtomicU32::new(0);
        let n_before = N_MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("whole-program-{}-{n_before}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder left behind in `target` harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How the canned server answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Served {
    /// Calls are answered as event streams.
    pub(crate) sse: bool,
    /// Over TLS.
    pub(crate) tls: bool,
    /// After this time.
    pub(crate) delay: Duration,
}

/// The canned server: this program once more. Killed when dropped; ends by
/// itself if this process dies.
pub(crate) struct ServerProcess {
    child: Child,
    url: String,
    /// Its end ends the server.
    _stdin: Option<ChildStdin>,
}

impl ServerProcess {
    /// Starts it and waits for its URL.
    ///
    /// # Errors
    /// It does not come up.
    pub(crate) fn start(cores: &Cores, served: Served) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("the canned server: {error}");
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.args(["serve", "--until-stdin-ends"]);
        command.args(["--delay", &format!("{}ms", served.delay.as_millis())]);
        command.args(served.sse.then_some("--sse"));
        command.args(served.tls.then_some("--tls"));
        if let Some(core) = cores.server {
            command.args(["--core", &core.id.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut server = Self {
            child,
            url: String::new(),
            _stdin: stdin,
        };
        if let Some(stdout) = stdout {
            BufReader::new(stdout)
                .read_line(&mut server.url)
                .map_err(text)?;
        }
        server.url.truncate(server.url.trim_end().len());
        match server.url.starts_with("http") {
            true => Ok(server),
            false => Err(format!("the canned server says: {}", server.url)),
        }
    }

    /// Its endpoint.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// CPU time that it has used so far.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        system::cpu_time_of(self.child.id())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// In user mode.
    pub(crate) user: Duration,
    /// In the kernel, on its behalf.
    pub(crate) system: Duration,
}

/// A process that has ended well.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// Standard output and standard error.
    pub(crate) output: String,
    /// What it used; `None` where the system does not tell.
    pub(crate) cpu: Option<CpuTime>,
    /// The most memory that was resident at once, in KiB.
    pub(crate) peak_kib: Option<u64>,
}

/// Runs a process on the generator's CPU to its end, in the scratch folder.
///
/// # Errors
/// It does not start, fails, or still runs at the limit, when it is killed.
pub(crate) fn run(
    command: &mut Command,
    cores: &Cores,
    scratch: &Scratch,
    limit: Duration,
) -> Result<Ended, String> {
    let text = |error: std::io::Error| error.to_string();
    let output_path = scratch.path().join("output.txt");
    let output = fs::File::create(&output_path).map_err(text)?;
    command
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(text)?)
        .stderr(output);
    // A child inherits the CPUs of the thread that starts it: one that ends
    // with the child, so that this thread keeps its own.
    let generator_core = cores.generator;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            if let Some(core) = generator_core {
                pin_to(core.id)?;
            }
            let before = system::cpu_time_of_children();
            let (is_success, peak_kib) = wait(command, limit)?;
            let cpu = system::cpu_time_of_children()
                .zip(before)
                .map(|(after, before)| CpuTime {
                    user: after.user.saturating_sub(before.user),
                    system: after.system.saturating_sub(before.system),
                });
            let output = fs::read_to_string(&output_path).map_err(text)?;
            match is_success {
                true => Ok(Ended {
                    output,
                    cpu,
                    peak_kib,
                }),
                false => Err(format!("it failed:\n{output}")),
            }
        });
        waiting
            .join()
            .unwrap_or_else(|_| Err("the waiting thread panicked".to_string()))
    })
}

/// Whether it succeeded, and the largest peak of memory that was seen. The
/// peak only grows, so the last look before the end misses little.
fn wait(command: &mut Command, limit: Duration) -> Result<(bool, Option<u64>), String> {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let start = Instant::now();
    let mut peak_kib = None;
    loop {
        peak_kib = system::peak_kib_of(child.id()).max(peak_kib);
        match child.try_wait() {
            Ok(Some(status)) => return Ok((status.success(), peak_kib)),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(LOOK_EVERY),
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

/// Raises the limit of open files as far as it may be; what that allows shows
/// in what follows.
pub(crate) fn allow_many_files() {
    system::allow_many_files();
}

#[cfg(target_os = "linux")]
mod system {
    use super::{CpuTime, Duration, fs};
    use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
    use nix::sys::time::{TimeVal, TimeValLike};
    use nix::unistd::{SysconfVar, sysconf};

    pub(super) fn allow_many_files() {
        if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }

    /// Of children that have ended and were waited for.
    pub(super) fn cpu_time_of_children() -> Option<CpuTime> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
        let duration = |time: TimeVal| {
            u64::try_from(time.num_microseconds())
                .ok()
                .map(Duration::from_micros)
        };
        Some(CpuTime {
            user: duration(usage.user_time())?,
            system: duration(usage.system_time())?,
        })
    }

    /// Of a running process, in the clock ticks of `/proc/PID/stat`.
    pub(super) fn cpu_time_of(pid: u32) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Fields 14 and 15, counted from 1; the second, the name, may hold blanks.
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let n_ticks_per_sec = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
        let ms = user.saturating_add(system).saturating_mul(1000);
        Some(Duration::from_millis(ms.checked_div(n_ticks_per_sec)?))
    }

    pub(super) fn peak_kib_of(pid: u32) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{CpuTime, Duration};

    pub(super) fn allow_many_files() {}

    pub(super) fn cpu_time_of_children() -> Option<CpuTime> {
        None
    }

    pub(super) fn cpu_time_of(_: u32) -> Option<Duration> {
        None
    }

    pub(super) fn peak_kib_of(_: u32) -> Option<u64> {
        None
    }
}
