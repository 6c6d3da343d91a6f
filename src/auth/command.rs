//! Tokens that a command prints.
//!
//! The command is a line for the shell. What templates fill in reaches it by its
//! environment, so that no cell of a data set can be a command of its own.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::complaint::safe_complaint;
use super::reading::{TEXT_BYTES_MAX, read_token};
use super::{FETCH_WAIT, Fault, Source, Stop, Token, Why};
use crate::redact::Redactor;
use crate::scenario::shown_program;
use crate::text::shown_text;
use crate::units::{format_bytes, format_duration, without_zeros};

/// What is kept of the complaints of a command, in bytes.
const COMPLAINT_BYTES_MAX: usize = 4096;

/// What is read of them: a command with more to say is ended.
const COMPLAINT_READ_MAX: usize = 4 << 20;

/// What is read of a pipe at once, in bytes, and how many of these wait.
const PIECE_BYTES_MAX: usize = 8 << 10;
const PIECES_MAX: usize = 8;

/// Where something that a command started holds its output after its end: what comes until
/// it is quiet for so long belongs to it, and nothing beyond the longest.
const HELD_QUIET: Duration = Duration::from_millis(100);
const HELD_MAX: Duration = Duration::from_secs(1);

/// What is told of them, in characters.
const COMPLAINT_CHARS: usize = 200;

/// Looked for at least this often whether the token is still wanted, and whether the
/// command has ended: it may run beside a load, which each look disturbs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The same once it has closed its output, so that its end is near.
const LOOK_FOR_END_EVERY: Duration = Duration::from_millis(2);

/// A part of a command's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptPart {
    /// As it was written.
    Written(String),
    /// What a template filled in.
    Filled(String),
}

/// A command that prints a token.
pub struct CommandSource {
    program: String,
    script: String,
    variables: Vec<(String, String)>,
    redactor: Redactor,
    stop: Stop,
}

impl CommandSource {
    /// A command of these parts. `redactor` takes secrets out of its complaints.
    pub fn new(parts: &[ScriptPart], redactor: Redactor, stop: Stop) -> Self {
        let (script, variables) = script_of(parts);
        let first = match parts.first() {
            Some(ScriptPart::Written(text)) => text,
            _ => "",
        };
        Self {
            program: shown_program(first).to_string(),
            script,
            variables,
            redactor,
            stop,
        }
    }

    /// What it printed.
    fn run(&self, deadline: Instant) -> Result<Vec<u8>, Fault> {
        let mut command = shell(&self.script);
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| Fault::last(format!("{} cannot be run: {error}", self.name())))?;
        let mut running = Running(child);
        let (tell, told) = mpsc::sync_channel(PIECES_MAX);
        read_aside(running.0.stdout.take(), CommandPiece::Printed, tell.clone());
        read_aside(running.0.stderr.take(), CommandPiece::Complaint, tell);
        let mut heard = CommandWords::default();
        let (status, is_held) = self.await_end(&mut running, &told, &mut heard, deadline)?;
        match status.success() {
            true if is_held && heard.printed.is_empty() => Err(Fault::again(format!(
                "{} printed nothing and ended, but something that it started still holds its \
                 output",
                self.name()
            ))),
            true => Ok(heard.printed),
            false => Err(self.failed(status, &heard.printed, &heard.complaint)),
        }
    }

    /// Takes what it says until it has ended; whether its output was still open then.
    fn await_end(
        &self,
        running: &mut Running,
        told: &Receiver<CommandPiece>,
        heard: &mut CommandWords,
        deadline: Instant,
    ) -> Result<(ExitStatus, bool), Fault> {
        let mut is_open = true;
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut quiet_since = crate::clock::now();
        loop {
            let left = self.left(deadline)?;
            if is_open {
                match told.recv_timeout(left) {
                    Ok(piece) => {
                        self.take(piece, heard)?;
                        quiet_since = crate::clock::now();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => is_open = false,
                }
            } else {
                thread::park_timeout(left.min(LOOK_FOR_END_EVERY));
            }
            if ended.is_none() {
                let status = running.0.try_wait();
                let status = status.map_err(|error| Fault::again(error.to_string()))?;
                ended = status.map(|status| (status, crate::clock::now()));
            }
            let Some((status, ended_at)) = ended else {
                continue;
            };
            let is_quiet = crate::clock::since(ended_at.max(quiet_since)) >= HELD_QUIET;
            if !is_open || is_quiet || crate::clock::since(ended_at) >= HELD_MAX {
                return Ok((status, is_open));
            }
        }
    }

    fn take(&self, piece: CommandPiece, heard: &mut CommandWords) -> Result<(), Fault> {
        let (what, most) = match piece {
            CommandPiece::Printed(bytes) => {
                heard.printed.extend(bytes);
                if heard.printed.len() <= TEXT_BYTES_MAX {
                    return Ok(());
                }
                ("printed", TEXT_BYTES_MAX)
            }
            CommandPiece::Complaint(bytes) => {
                heard.n_complaint += bytes.len();
                let room = COMPLAINT_BYTES_MAX - heard.complaint.len();
                heard.complaint.extend(bytes.into_iter().take(room));
                if heard.n_complaint <= COMPLAINT_READ_MAX {
                    return Ok(());
                }
                ("wrote to its stderr", COMPLAINT_READ_MAX)
            }
        };
        let most = format_bytes(most as u64);
        let most = without_zeros(&most);
        Err(Fault::again(format!(
            "{} {what} more than {most}",
            self.name()
        )))
    }

    /// How long to wait now.
    fn left(&self, deadline: Instant) -> Result<Duration, Fault> {
        let left = deadline.saturating_duration_since(crate::clock::now());
        if self.stop.is_set() {
            return Err(Fault::again("the run is over"));
        }
        match left.is_zero() {
            true => Err(Fault::again(format!(
                "{} did not end within {}, the most that it may take",
                self.name(),
                format_duration(FETCH_WAIT)
            ))),
            false => Ok(left.min(LOOK_EVERY)),
        }
    }

    /// `printed` may hold the token, or a part of it, and is told by nobody.
    fn failed(&self, status: ExitStatus, printed: &[u8], complaint: &[u8]) -> Fault {
        /// What shells say where there is no such program, or it cannot be run.
        const NOT_RUN: [i32; 2] = [126, 127];
        let text = String::from_utf8_lossy(complaint);
        let printed = String::from_utf8_lossy(printed);
        let redactor = self.redactor.and(printed.split_whitespace());
        let text = redactor.clean(safe_complaint(&text));
        let said = match text.is_empty() {
            true => String::new(),
            false => format!(": {}", shown_text(&text, COMPLAINT_CHARS)),
        };
        let message = match status.code() {
            Some(code) => format!("{} ended with exit code {code}{said}", self.name()),
            None => format!("{} was ended by a signal{said}", self.name()),
        };
        match status.code().is_some_and(|code| NOT_RUN.contains(&code)) {
            true => Fault::last(message),
            false => Fault::again(message),
        }
    }

    fn name(&self) -> String {
        format!("the token command (`{}`)", self.program)
    }
}

impl Source for CommandSource {
    fn fetch(&mut self, _: Why, deadline: Instant) -> Result<Token, Fault> {
        let printed = self.run(deadline)?;
        let text = String::from_utf8(printed).map_err(|_| "is not UTF-8".to_string());
        text.and_then(|text| read_token(&text, crate::clock::system_now()))
            .map_err(|why| Fault::again(format!("what {} printed {why}", self.name())))
    }

    fn about(&self) -> String {
        format!("from the command `{}`", self.program)
    }
}

/// A process that does not outlive its use, nor do those that it started: where there are
/// process groups, so on all systems but Windows.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            kill_group(&self.0);
            // Without this a killed process stays in the system's table.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

#[cfg(unix)]
fn shell(script: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("sh");
    // A group of its own: what it starts ends with it, and Ctrl-C is ours to hear.
    command.arg("-c").arg(script).process_group(0);
    command
}

#[cfg(not(unix))]
fn shell(script: &str) -> Command {
    let mut command = Command::new("cmd");
    command.arg("/C").arg(script);
    command
}

#[cfg(unix)]
fn kill_group(child: &Child) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    if let Ok(id) = i32::try_from(child.id()) {
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

#[cfg(not(unix))]
fn kill_group(_: &Child) {}

/// What was heard of a command.
enum CommandPiece {
    Printed(Vec<u8>),
    Complaint(Vec<u8>),
}

#[derive(Default)]
struct CommandWords {
    printed: Vec<u8>,
    /// The first [`COMPLAINT_BYTES_MAX`] of them.
    complaint: Vec<u8>,
    n_complaint: usize,
}

/// Reads a pipe on a thread of its own, until its end or until nobody listens: no wait for
/// it has an end but the deadline.
fn read_aside(
    pipe: Option<impl Read + Send + 'static>,
    piece: fn(Vec<u8>) -> CommandPiece,
    tell: SyncSender<CommandPiece>,
) {
    let read = move || {
        let Some(mut pipe) = pipe else {
            return;
        };
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        loop {
            match pipe.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What came before a fault is what there is.
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    if tell.send(piece(buffer[..n].to_vec())).is_err() {
                        return;
                    }
                }
            }
        }
    };
    // Without a thread nothing is read, and the end of `tell` says so.
    let _ = thread::Builder::new()
        .name("read a command".to_string())
        .spawn(read);
}

/// The line for the shell, and the variables of what was filled in. Wherever a value
/// stands, it is one word, or a part of one, and nothing in it is looked at.
fn script_of(parts: &[ScriptPart]) -> (String, Vec<(String, String)>) {
    let mut script = String::new();
    let mut variables = Vec::new();
    let mut quote = None;
    let mut is_escaped = false;
    for part in parts {
        match part {
            ScriptPart::Written(text) => {
                script.push_str(text);
                for c in text.chars() {
                    match (c, quote) {
                        _ if is_escaped => is_escaped = false,
                        ('\\', None | Some('"')) => is_escaped = true,
                        ('\'' | '"', None) => quote = Some(c),
                        (c, Some(open)) if c == open => quote = None,
                        _ => {}
                    }
                }
            }
            ScriptPart::Filled(value) => {
                let name = format!("PMCP_TOKEN_VALUE_{}", variables.len() + 1);
                script.push_str(&reference(&name, quote));
                variables.push((name, value.clone()));
            }
        }
    }
    (script, variables)
}

#[cfg(unix)]
fn reference(name: &str, quote: Option<char>) -> String {
    match quote {
        None => format!("\"${{{name}}}\""),
        Some('\'') => format!("'\"${{{name}}}\"'"),
        Some(_) => format!("${{{name}}}"),
    }
}

#[cfg(not(unix))]
fn reference(name: &str, _: Option<char>) -> String {
    format!("%{name}%")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fetch_within(parts: &[ScriptPart], limit: Duration) -> Result<Token, Fault> {
        let redactor = Redactor::new(["hunter2"]);
        let mut source = CommandSource::new(parts, redactor, Stop::default());
        source.fetch(Why::First, crate::clock::now() + limit)
    }

    fn fetch(line: &str) -> Result<Token, Fault> {
        let parts = [ScriptPart::Written(line.to_string())];
        fetch_within(&parts, Duration::from_secs(30))
    }

    #[test]
    fn a_command_prints_a_token() {
        let token = fetch("printf 'abc\\n' | cat").expect("a token");
        assert_eq!(token.value.expose(), "abc");
        assert!(
            fetch("echo '{\"token\":\"a\",\"expires_in\":60}'")
                .is_ok_and(|it| it.expires_at.is_some())
        );
    }

    #[test]
    fn faults_say_what_happened_and_no_secret() {
        for (line, expected, is_last) in [
            (
                "echo no hunter2 here >&2; exit 3",
                "ended with exit code 3: no *** here",
                false,
            ),
            (
                "set -x; printf 'hunter2 first'; echo no hunter2 first >&2; exit 3",
                "ended with exit code 3: no *** *** (its trace is not shown: it may hold the token)",
                false,
            ),
            ("exit 4", "(`exit`) ended with exit code 4", false),
            ("no-such-program-here x=hunter2", "exit code 127", true),
            ("true", "printed is empty", false),
            ("echo a b", "has a blank", false),
            ("kill -9 $$", "was ended by a signal", false),
            (
                "head -c 300000 /dev/zero",
                "printed more than 256 KiB",
                false,
            ),
            ("printf '\\377'", "is not UTF-8", false),
        ] {
            let fault = fetch(line).expect_err("no token");
            assert!(fault.message().contains(expected), "{line}: {fault:?}");
            assert!(!fault.message().contains("hunter2"), "{line}: {fault:?}");
            assert_eq!(matches!(fault, Fault::Final { .. }), is_last, "{line}");
        }
    }

    #[test]
    fn a_command_with_much_to_say_beside_its_token_is_heard_out() {
        let token = fetch("head -c 300000 /dev/zero >&2; echo a-token").expect("a token");
        assert_eq!(token.value.expose(), "a-token");
    }

    #[test]
    fn what_a_command_leaves_behind_with_its_output_is_not_waited_for() {
        let began = Instant::now();
        let token = fetch("echo a-token; sleep 25 &").expect("a token");
        assert_eq!(token.value.expose(), "a-token");
        let fault = fetch("sleep 25 &").expect_err("no token");
        let expected = "ended, but something that it started still holds its output";
        assert!(fault.message().contains(expected), "{fault:?}");
        let fault = fetch("sleep 25 & exit 3").expect_err("no token");
        assert!(fault.message().contains("exit code 3"), "{fault:?}");
        // One of these sleeps would be longer.
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn complaints_without_an_end_end_the_command() {
        let fault = fetch("yes >&2").expect_err("no token");
        let expected = "(`yes`) wrote to its stderr more than 4 MiB";
        assert!(fault.message().contains(expected), "{fault:?}");
    }

    #[test]
    fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let parts = [ScriptPart::Written("sleep 600 | cat".to_string())];
        let fault = fetch_within(&parts, Duration::from_millis(50)).expect_err("no token");
        assert_eq!(
            fault,
            Fault::again(
                "the token command (`sleep`) did not end within 30s, the most that it may take"
            )
        );
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(12, 64))]

        #[test]
        fn what_is_filled_in_is_never_a_command(
            value in "[ -~é]{1,12}",
            place in 0_usize..4,
        ) {
            let (before, after) = [
                ("printf %s ", ""), ("printf %s \"", "\""), ("printf %s '", "'"), ("printf %s \\'", "\\'"),
            ][place];
            let parts = [
                ScriptPart::Written(format!("printf %s x; {before}")),
                ScriptPart::Filled(value.clone()),
                ScriptPart::Written(after.to_string()),
            ];
            let source = CommandSource::new(&parts, Redactor::default(), Stop::default());
            let printed = source.run(crate::clock::now() + Duration::from_secs(30));
            let value = if place == 3 { format!("'{value}'") } else { value };
            prop_assert_eq!(printed, Ok(format!("x{value}").into_bytes()));
        }
    }
}
