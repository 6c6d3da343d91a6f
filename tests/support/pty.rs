//! Runs the built program on a pseudo-terminal, and looks at the screen.
//!
//! Start at [`OnTerminal::start`]. The screen is that of a terminal without
//! reflow, such as xterm: what a narrower one does not hold is cut off.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::program::{Program, TempDir};

/// Far more than any test's run takes; a hang ends here.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How often a waiting test looks again. It bounds nothing but the waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Rows enough for all that a run writes: nothing scrolls away.
pub(crate) const ROWS: u16 = 300;

/// A program whose three streams are one terminal. Dropping it kills it.
pub(crate) struct OnTerminal {
    process: Child,
    leader: File,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
    _dir: TempDir,
}

struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

impl OnTerminal {
    /// Starts it on a terminal with this number of columns; 0: one that does not tell its width.
    pub(crate) fn start(program: Program, columns: u16) -> Self {
        let rows = if columns == 0 { 0 } else { ROWS };
        Self::start_sized(program, rows, columns)
    }

    /// The same on one of this size.
    pub(crate) fn start_sized(program: Program, rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let leader = openpt(flags).expect("a pseudo-terminal");
        grantpt(&leader).expect("a pseudo-terminal of ours");
        unlockpt(&leader).expect("a pseudo-terminal of ours");
        let leader = File::from(leader);
        set_size(&leader, rows, columns);
        let name = ptsname(&leader, Vec::new()).expect("a pseudo-terminal has a name");
        let name = name.to_str().expect("in ASCII");
        let open = || {
            let file = OpenOptions::new().read(true).write(true).open(name);
            Stdio::from(file.expect("the terminal can be opened"))
        };
        let (mut command, dir) = program.into_command();
        let process = command
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .expect("the program can be started");
        // It holds the terminal open too, which would else never end.
        drop(command);
        let rows = non_zero(if rows == 0 { ROWS } else { rows });
        let shown = non_zero(columns.max(1));
        let seen = Arc::new(Mutex::new(Seen {
            screen: vt100::Parser::new(rows, shown, 0),
            bytes: Vec::new(),
        }));
        let mut output = leader.try_clone().expect("a second handle");
        let shared = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            // Fails once nobody has the terminal open any more.
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                let mut seen = lock(&shared);
                seen.screen.process(&buffer[..n]);
                seen.bytes.extend_from_slice(&buffer[..n]);
            }
        });
        Self {
            process,
            leader,
            seen,
            reader: Some(reader),
            _dir: dir,
        }
    }

    /// Makes the terminal narrower or wider while the program runs.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let mut seen = lock(&self.seen);
        set_size(&self.leader, rows, columns);
        seen.screen.set_size(non_zero(rows), non_zero(columns));
    }

    /// Types these keys, which the terminal shows.
    pub(crate) fn type_keys(&self, keys: &str) {
        let mut leader = &self.leader;
        leader.write_all(keys.as_bytes()).expect("keys are taken");
    }

    /// The process, for signals.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The rows of the screen, without the blanks at their ends.
    pub(crate) fn rows(&self) -> Vec<String> {
        let seen = lock(&self.seen);
        let contents = seen.screen.screen().contents();
        contents
            .lines()
            .map(|row| row.trim_end().to_string())
            .collect()
    }

    /// How many bytes it has written.
    pub(crate) fn written(&self) -> usize {
        lock(&self.seen).bytes.len()
    }

    /// Whether this was ever written, by the program or by the terminal that shows what is
    /// typed; it may be gone from the screen.
    pub(crate) fn has_shown(&self, text: &str) -> bool {
        let seen = lock(&self.seen);
        let mut places = seen.bytes.windows(text.len());
        places.any(|place| place == text.as_bytes())
    }

    /// Waits for something to be seen. The test fails if it never is.
    pub(crate) fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIME_LIMIT;
        while !condition(self) {
            let ended = self.process.try_wait().expect("a child's status").is_some();
            let is_late = Instant::now() >= deadline;
            assert!(!ended && !is_late, "{what} never came: {:#?}", self.rows());
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for its end: the exit code, the rows, and all that was written.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>, String) {
        let deadline = Instant::now() + TIME_LIMIT;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("a child's status") {
                break status;
            }
            assert!(Instant::now() < deadline, "no end: {:#?}", self.rows());
            thread::sleep(LOOK_AGAIN);
        };
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        let text = String::from_utf8_lossy(&lock(&self.seen).bytes).into_owned();
        (status.code(), self.rows(), text)
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn set_size(terminal: &File, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("the terminal can be resized");
}

fn non_zero(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a size of a screen")
}

/// What is seen is whole after every operation.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
