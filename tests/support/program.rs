//! Runs the built program from outside, as a user would.
//!
//! Every run has its own empty working folder, an environment of nothing but
//! `PATH` and what the test adds, no terminal, and a hard time limit. Start at
//! [`Program::new`]; a run that a test must watch or signal goes through
//! [`Program::spawn`].

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use nix::sys::signal::{self, Signal};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;
use serde_json::Value;

use crate::share;

/// Far more than any test's run takes; a hang ends here.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// For reading what an ended program left in its pipes.
const OUTPUT_LIMIT: Duration = Duration::from_secs(2);
/// How often a waiting test looks again. It bounds nothing but the waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// How often it looks whether a program has ended whose output has not: rarely, since
/// nearly always the output ends too, and is waited for without looking.
const LOOK_FOR_END: Duration = Duration::from_millis(100);

/// A run to be.
pub(crate) struct Program {
    command: Command,
    stdin: Vec<u8>,
    dir: TempDir,
    time_limit: Duration,
    watches_memory: bool,
}

/// Our program's `loadtest`, with these arguments.
pub(crate) fn loadtest(arguments: &[&str]) -> Program {
    Program::new(&[&["loadtest"], arguments].concat())
}

impl Program {
    /// Our program, with these arguments.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::other(env!("CARGO_BIN_EXE_cargo-pmcp"), arguments)
    }

    /// Another program: for the tests of this harness.
    pub(crate) fn other(executable: impl AsRef<OsStr>, arguments: &[&str]) -> Self {
        share::one_part();
        let mut command = Command::new(executable);
        command.args(arguments).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        Self {
            command,
            stdin: Vec::new(),
            dir: TempDir::new(),
            time_limit: TIME_LIMIT,
            watches_memory: false,
        }
    }

    /// Runs in the folder of an earlier run, with the files that it left.
    pub(crate) fn in_dir(mut self, dir: TempDir) -> Self {
        self.dir = dir;
        self
    }

    /// The working folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Adds an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What the program reads from its standard input; nothing by default.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.into();
        self
    }

    /// Puts a file into the working folder, with the folders on its way.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        let path = self.dir.path().join(name);
        let folder = path.parent().expect("a file in a folder");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(&path, content).expect("the file can be written");
        self
    }

    /// The test fails if the run takes longer: 60 s by default.
    pub(crate) fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Notes how much memory the run takes, for [`Finished::expect_peak_below`]. That costs
    /// as much CPU time as many a run.
    pub(crate) fn watch_memory(mut self) -> Self {
        self.watches_memory = true;
        self
    }

    /// Runs to the end.
    pub(crate) fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// The command and the folder that it runs in, to be given other streams.
    pub(crate) fn into_command(mut self) -> (Command, TempDir) {
        self.command.current_dir(self.dir.path());
        (self.command, self.dir)
    }

    /// Starts it.
    pub(crate) fn spawn(mut self) -> Running {
        let mut process = self
            .command
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let mut stdin = process.stdin.take().expect("a piped stdin");
        let input = self.stdin;
        // On a thread, since a program that reads nothing would block us. Its
        // end closes the pipe; a program that ends first makes the write fail.
        thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        Running {
            stdout: Collected::from(process.stdout.take().expect("a piped stdout")),
            stderr: Collected::from(process.stderr.take().expect("a piped stderr")),
            process,
            dir: self.dir,
            deadline: Instant::now() + self.time_limit,
            watches_memory: self.watches_memory,
        }
    }
}

/// A run in progress. Dropping it kills the program.
pub(crate) struct Running {
    process: Child,
    stdout: Collected,
    stderr: Collected,
    dir: TempDir,
    deadline: Instant,
    watches_memory: bool,
}

impl Running {
    /// The working folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Where Linux tells of the program's process.
    pub(crate) fn process_folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.process.id()))
    }

    /// Waits for something that the run brings about, such as a server's count
    /// of calls. The test fails if the program ends or the limit passes first.
    pub(crate) fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        while !condition(self) {
            if let Some(status) = self.process.try_wait().expect("a child's status") {
                // What it did last may have been just that.
                self.collect_output();
                if condition(self) {
                    return;
                }
                self.fail(&format!("the program ended ({status}) before {what}"));
            }
            self.look_again(what);
        }
    }

    /// Sends a signal.
    #[cfg(target_os = "linux")]
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("a process id");
        // The id is still the program's: it is not reaped before `wait`.
        signal::kill(Pid::from_raw(id), signal).expect("our own child can be signalled");
    }

    /// Interrupts it, again once it has had time to take the first signal (those that
    /// come together are one), and waits for its end.
    #[cfg(target_os = "linux")]
    pub(crate) fn interrupt_twice(mut self) -> Finished {
        self.signal(Signal::SIGINT);
        let began = Instant::now();
        self.wait_until("the first was taken", |_| {
            began.elapsed() > Duration::from_millis(300)
        });
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Finished {
        let mut peak_kib = None;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("a child's status") {
                break status;
            }
            if self.watches_memory {
                // It only grows, and nothing tells of it once the program has ended.
                peak_kib = self.peak_kib().or(peak_kib);
            } else {
                // A program's output ends with it, if not before.
                self.stdout.wait_for_end(LOOK_FOR_END);
            }
            self.look_again("the end of the run");
        };
        if !self.collect_output() {
            self.fail("the program ended, but something still holds its output open");
        }
        Finished {
            code: status.code(),
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            watched_memory: self.watches_memory,
            peak_kib,
            dir: std::mem::replace(&mut self.dir, TempDir::nowhere()),
        }
    }

    /// The most memory that it had resident so far, in KiB, where the system
    /// tells.
    fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(self.process_folder().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    fn look_again(&mut self, what: &str) {
        if Instant::now() >= self.deadline {
            self.fail(&format!("the time limit passed before {what}"));
        }
        thread::sleep(LOOK_AGAIN);
    }

    /// Once the program has ended: waits until all that it wrote is read. False
    /// if it left something behind that keeps its output open.
    fn collect_output(&self) -> bool {
        self.stdout.wait_for_end(OUTPUT_LIMIT) && self.stderr.wait_for_end(OUTPUT_LIMIT)
    }

    /// Kills the program and fails the test with all that it wrote.
    fn fail(&mut self, what: &str) -> ! {
        self.kill();
        self.collect_output();
        panic!(
            "{what}\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout(),
            self.stderr()
        )
    }

    fn kill(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    watched_memory: bool,
    /// The most memory that it had resident, in KiB, but for what its last 2 ms
    /// added; `None` where the system does not tell.
    peak_kib: Option<u64>,
    /// The working folder, gone when this is dropped.
    pub(crate) dir: TempDir,
}

impl Finished {
    /// Fails the test, with the output, unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Fails the test unless the run was made: the exit code is 0, or 3 where calls were
    /// begun and none succeeded.
    #[track_caller]
    pub(crate) fn expect_made(self) -> Self {
        let totals = &self.report()["totals"];
        let none_succeeded = totals["ok"] == 0 && totals["started"] != 0;
        self.expect_code(if none_succeeded { 3 } else { 0 })
    }

    /// Fails the test if the program, whose memory was watched, had as much resident at
    /// any time. Where the system does not tell, any amount passes.
    #[track_caller]
    pub(crate) fn expect_peak_below(&self, limit_mib: u64) {
        assert!(self.watched_memory, "`watch_memory` was not asked for");
        let peak_mib = self.peak_kib.unwrap_or(0) / 1024;
        assert!(peak_mib < limit_mib, "{peak_mib} MiB: {self}");
    }

    /// The newest report in `.pmcp/reports`.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let path = self
            .report_path()
            .unwrap_or_else(|| panic!("no report was written\n{self}"));
        let text = std::fs::read_to_string(&path).expect("a report can be read");
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} is not JSON: {error}\n{text}", path.display()))
    }

    /// Where the newest report lies.
    pub(crate) fn report_path(&self) -> Option<PathBuf> {
        let folder = self.dir.path().join(".pmcp/reports");
        let entries = std::fs::read_dir(folder).ok()?;
        entries
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.extension() == Some(OsStr::new("json")))
            // Two reports of one instant are told apart by their names.
            .max_by_key(|path| (modified(path), path.clone()))
    }

    /// All that it printed, and each file below its folder but those whose paths end so,
    /// which the test gave it.
    pub(crate) fn written(&self, given: &[&str]) -> String {
        let mut all = self.to_string();
        let mut open = vec![self.dir.path().to_path_buf()];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("the folder can be read");
                open.extend(entries.map(|entry| entry.expect("an entry").path()));
            } else if !given.iter().any(|name| path.ends_with(name)) {
                all += &format!("\n--- {}\n", path.display());
                all += &String::from_utf8_lossy(&std::fs::read(&path).expect("a file"));
            }
        }
        all
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            stdout,
            stderr,
            ..
        } = self;
        write!(f, "{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

fn modified(path: &Path) -> std::time::SystemTime {
    path.metadata()
        .and_then(|metadata| metadata.modified())
        .expect("a file's time")
}

/// All that a program writes to one stream, read on a thread so that it never
/// blocks on us.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: mpsc::Receiver<()>,
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (end_sender, end) = mpsc::channel();
        let shared = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                lock(&shared).extend_from_slice(&buffer[..n]);
            }
            // The receiver is gone only if nobody wants to know any more.
            let _ = end_sender.send(());
        });
        Self { bytes, end }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    /// Whether the end was reached within the limit.
    fn wait_for_end(&self, limit: Duration) -> bool {
        // A sender that is gone has said so before.
        !matches!(self.end.recv_timeout(limit), Err(RecvTimeoutError::Timeout))
    }
}

/// The bytes are whole after every operation, so a panic elsewhere spoils nothing.
fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder of its own outside the repository, removed when dropped.
///
/// Outside, since the program looks for its config in all folders above.
#[derive(Debug)]
pub(crate) struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// A new empty folder.
    pub(crate) fn new() -> Self {
        static N_MADE: AtomicU64 = AtomicU64::new(0);
        let root = std::env::temp_dir();
        let root = root.canonicalize().expect("a folder for temporary files");
        loop {
            let n = N_MADE.fetch_add(1, Ordering::Relaxed);
            let path = root.join(format!("pmcp-e2e-{}-{n}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self { path },
                // Left behind by a killed process that had our id.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot make {}: {error}", path.display()),
            }
        }
    }

    /// The folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What stands in for a folder that was handed on.
    fn nowhere() -> Self {
        Self {
            path: PathBuf::new(),
        }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What cannot be removed is the temporary folder's keeper's to clean.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
