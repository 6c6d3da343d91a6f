//! The one way in which files of the user are read: bounded in size and time.
//!
//! Whatever a path leads to (a file of many gigabytes, a device without end, a
//! pipe that nobody writes to) is refused after a bounded piece of work. This
//! module does not know what the files are for.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::units::{format_bytes, without_zeros};

/// The largest file that a user writes: a config of some 20,000 tools fits.
pub const WRITTEN_BYTES_MAX: u64 = 4 << 20;

/// The largest file of one call's arguments: as large as a message may be unless
/// the user says otherwise.
pub const ARGUMENTS_BYTES_MAX: u64 = 16 << 20;

/// How long a file may take until the next piece of it comes. Only pipes take more than
/// a moment, such as those of a shell: `--config <(generate)`.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read at a time, in bytes, at most.
const PIECE_BYTES: usize = 64 << 10;

/// Reads a file of at most `bytes_max` bytes as text. A byte order mark at its start
/// is left out.
///
/// # Errors
/// Why it cannot be read, as a fragment: `cannot be read: no such file or
/// directory`, `is larger than 4 MiB`, `is not UTF-8 (line 7)`.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    read_lines(path, bytes_max).map_err(Unread::in_words)
}

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// As a fragment.
    pub why: String,
    /// The line that is at fault, from 1; `None`: it is the file as a whole.
    pub line: Option<usize>,
}

impl Unread {
    fn in_words(self) -> String {
        match self.line {
            Some(line) => format!("{} (line {line})", self.why),
            None => self.why,
        }
    }
}

impl From<String> for Unread {
    fn from(why: String) -> Self {
        Self { why, line: None }
    }
}

/// The same for who tells faults by their lines.
///
/// # Errors
/// As [`read_text`], the line apart.
pub fn read_lines(path: &Path, bytes_max: u64) -> Result<String, Unread> {
    text_of(read(path, bytes_max)?)
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// As [`read_text`], whatever the bytes are.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    // A second more for each 16 MiB that it may have.
    let timeout = READ_TIMEOUT + Duration::from_secs(bytes_max >> 24);
    read_within(path, bytes_max, READ_TIMEOUT, timeout)
}

/// The standard input as a path, where `-` would be taken for a flag.
pub const STDIN: &str = "/dev/stdin";

/// Whether a path that the user named is the standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new(STDIN)
}

/// Reads the standard input in the same way, but for as long as its writer takes:
/// a filter waits for the program before it.
///
/// # Errors
/// As [`read_text`].
pub fn read_stdin(bytes_max: u64) -> Result<String, String> {
    let bytes = read_whole(io::stdin().lock(), bytes_max, &|| ())?;
    text_of(bytes).map_err(Unread::in_words)
}

/// What the thread that reads says.
enum ReadNews {
    /// Another piece came.
    Goes,
    Done(Result<Vec<u8>, String>),
}

/// `silence`: the longest time between two pieces; `timeout`: until the end.
fn read_within(
    path: &Path,
    bytes_max: u64,
    silence: Duration,
    timeout: Duration,
) -> Result<Vec<u8>, String> {
    let path = path.to_path_buf();
    let (tell, told) = mpsc::channel();
    // A thread, since opening a pipe waits for its writer, and nothing but the
    // end of the program ends that wait.
    thread::Builder::new()
        .name("read a file".to_string())
        .spawn(move || {
            // Nobody listens where it took too long.
            let goes = || drop(tell.send(ReadNews::Goes));
            let bytes = read_bytes(&path, bytes_max, &goes);
            let _ = tell.send(ReadNews::Done(bytes));
        })
        .map_err(|error| cannot_be_read(&error))?;
    let until = clock::now() + timeout;
    loop {
        let left = until.saturating_duration_since(clock::now());
        match told.recv_timeout(silence.min(left)) {
            Ok(ReadNews::Goes) => {}
            Ok(ReadNews::Done(bytes)) => return bytes,
            Err(RecvTimeoutError::Timeout) if left < silence => {
                let secs = timeout.as_secs();
                return Err(format!(
                    "cannot be read: its end did not come within {secs} s"
                ));
            }
            Err(RecvTimeoutError::Timeout) => {
                let secs = silence.as_secs();
                return Err(format!("cannot be read: nothing came for {secs} s"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err("cannot be read: its reader ended".to_string());
            }
        }
    }
}

fn read_bytes(path: &Path, bytes_max: u64, goes: &dyn Fn()) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| cannot_be_read(&error))?;
    if metadata.is_dir() {
        return Err("cannot be read: it is a folder".to_string());
    }
    if metadata.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    let file = File::open(path).map_err(|error| cannot_be_read(&error))?;
    read_whole(file, bytes_max, goes)
}

/// `goes` is called with each piece.
fn read_whole(mut from: impl Read, bytes_max: u64, goes: &dyn Fn()) -> Result<Vec<u8>, String> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
    loop {
        // Not more than one read: of a slow pipe the next one may wait.
        let n = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| cannot_be_read(&error))?,
        };
        if n == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&piece[..n]);
        if bytes.len() as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        goes();
    }
}

fn text_of(bytes: Vec<u8>) -> Result<String, Unread> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Unread {
            why: "is not UTF-8".to_string(),
            line: Some(line),
        }
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

fn too_large(bytes_max: u64) -> String {
    let most = without_zeros(&format_bytes(bytes_max));
    format!("is larger than {most}")
}

fn cannot_be_read(error: &io::Error) -> String {
    format!("cannot be read: {}", reason(error))
}

/// The system's words, as a fragment: `no such file or directory`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    #[test]
    fn each_piece_is_told_however_small() {
        let n_told = std::cell::Cell::new(0);
        let tell = || n_told.set(n_told.get() + 1);
        let pieces = || b"ab".chain(&b"c"[..]);
        assert_eq!(read_whole(pieces(), 3, &tell), Ok(b"abc".to_vec()));
        assert_eq!(n_told.get(), 2);
        assert_eq!(read_whole(pieces(), 2, &tell), Err(too_large(2)));
    }

    const BYTES_MAX: u64 = WRITTEN_BYTES_MAX;

    /// A folder of its own, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("pmcp-files-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a folder for temporary files");
            Self(path)
        }

        fn file(&self, content: &[u8]) -> PathBuf {
            let path = self.0.join("file");
            fs::write(&path, content).expect("the folder is ours");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_text_comes_without_its_byte_order_mark() {
        let folder = Folder::new("bom");
        for (content, text) in [("", ""), ("é\n", "é\n"), ("\u{feff}a = 1", "a = 1")] {
            let path = folder.file(content.as_bytes());
            assert_eq!(read_text(&path, BYTES_MAX).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_text_of_a_bounded_size_is_refused() {
        let folder = Folder::new("refused");
        let refused = |path: &Path| read_text(path, BYTES_MAX).expect_err("refused");
        assert_eq!(refused(&folder.0), "cannot be read: it is a folder");
        assert_eq!(
            refused(&folder.0.join("none")),
            "cannot be read: no such file or directory"
        );
        let path = folder.file(b"a\nb\n\xff\n");
        assert_eq!(refused(&path), "is not UTF-8 (line 3)");
        let path = folder.file(b"");
        let file = fs::OpenOptions::new().write(true).open(&path);
        let file = file.expect("the file is ours");
        file.set_len(BYTES_MAX).expect("it may grow");
        assert!(read_text(&path, BYTES_MAX).is_ok());
        // It takes no space on the disk.
        file.set_len(10 << 30).expect("it may grow");
        assert_eq!(refused(&path), "is larger than 4 MiB");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_and_pipes_are_read_as_far_as_they_may() {
        assert_eq!(
            read_text(Path::new("/dev/zero"), BYTES_MAX),
            Err("is larger than 4 MiB".to_string())
        );
        assert_eq!(
            read_text(Path::new("/dev/null"), BYTES_MAX).as_deref(),
            Ok("")
        );
        let folder = Folder::new("pipe");
        let pipe = folder.0.join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("a program of every system").success());
        // Nobody writes to it: its reader waits until this process ends.
        let minute = Duration::from_secs(60);
        assert_eq!(
            read_within(&pipe, BYTES_MAX, minute, Duration::ZERO),
            Err("cannot be read: its end did not come within 0 s".to_string())
        );
        // Whatever the file may have: it is not waited for where nothing comes.
        assert_eq!(
            read_within(&pipe, 256 << 20, Duration::ZERO, minute),
            Err("cannot be read: nothing came for 0 s".to_string())
        );
    }
}
