//! Where something is written: opened before there is anything to write, and
//! then there whole or not at all.
//!
//! It writes beside the target and renames, so that a reader never sees half a
//! file and a run that dies leaves an earlier one as it was. The file beside has
//! a name that nobody can guess and is never one that was there before. It
//! tells whose it is: what a run that was killed has left, the next run in that
//! folder removes, where the system shows that the process is gone.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
#[cfg(target_os = "linux")]
use std::time::Duration;

use crate::error::UserError;
use crate::files::reason;
use crate::terminal::forgive_broken_pipe;

/// A place, ready to be written to.
///
/// Dropped without [`Place::write`], it leaves nothing behind.
#[derive(Debug)]
pub struct Place {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stdout,
    /// A pipe or a device, which must be written to and not replaced.
    Device {
        path: PathBuf,
        file: File,
    },
    File {
        target: PathBuf,
        /// Another file of that name is another run's: this one gets a number.
        is_numbered: bool,
        temporary: Temporary,
        file: File,
    },
}

/// Links that are followed, one leading to the next.
const LINKS_MAX: usize = 40;

/// Files of one name that are told apart by numbers.
const NUMBER_MAX: u32 = 10_000;

impl Place {
    /// Opens the place given by the user; `-` is stdout. Its folder must exist:
    /// making one would hide a typo. A link stays a link: what it leads to is
    /// written, or made where it leads to nothing.
    ///
    /// # Errors
    /// Why nothing can be written there, as a fragment, and what to try.
    pub fn open(path: &Path) -> Result<Self, (String, Option<String>)> {
        Self::opened(path, false)
    }

    /// Opens a place that the program has named, and makes the folders on the
    /// way to it. Where a file is there already, it is left alone and the new one
    /// has a number.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_new(path: &Path) -> Result<Self, (String, Option<String>)> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| {
                let shown = parent.display();
                let why = reason(&error);
                (format!("the folder `{shown}` cannot be made: {why}"), None)
            })?;
        }
        Self::opened(path, true)
    }

    fn opened(path: &Path, is_numbered: bool) -> Result<Self, (String, Option<String>)> {
        let system = |error: &io::Error| (reason(error), None);
        let text = path.to_string_lossy();
        if is_stdout(path) {
            let kind = Kind::Stdout;
            return Ok(Self { kind });
        }
        if path.is_dir() || text.ends_with('/') {
            let hint = "name a file in it, as in `reports/today.json`".to_string();
            return Err(("it is a folder".to_string(), Some(hint)));
        }
        let is_open_already = text == "/dev/stderr"
            || text.starts_with("/dev/fd/")
            || text.starts_with("/proc/self/fd/");
        let path = &followed(path).map_err(|error| system(&error))?;
        if is_open_already || (path.exists() && !path.is_file()) {
            let file = open_device(path)?;
            let path = path.clone();
            let kind = Kind::Device { path, file };
            return Ok(Self { kind });
        }
        if path.file_name().is_none() {
            return Err(("it names no file".to_string(), None));
        }
        // What is written beside it has another name: one that is too long would be refused
        // by the renaming only.
        if let Err(error) = fs::symlink_metadata(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(system(&error));
        }
        if path.exists() && !is_numbered {
            // Renaming would get round a mode that forbids to write it.
            let writable = OpenOptions::new().write(true).open(path);
            writable.map_err(|error| system(&error))?;
        }
        let (temporary, file) = temporary_beside(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let hint = "make its folder first: a folder that is not there may be a typo";
                (reason(&error), Some(hint.to_string()))
            }
            _ => system(&error),
        })?;
        let kind = Kind::File {
            target: path.clone(),
            is_numbered,
            temporary,
            file,
        };
        Ok(Self { kind })
    }

    /// Where it will be, but for a number; `None`: stdout.
    pub fn path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Stdout => None,
            Kind::Device { path, .. } | Kind::File { target: path, .. } => Some(path),
        }
    }

    /// Whether it is a file: neither a stream nor a device.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// Removes the file of an earlier run that this one would have replaced, and says where it
    /// was. `None`: there was none, or it is a stream or a device.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn withdraw(self) -> io::Result<Option<PathBuf>> {
        match self.kind {
            Kind::File {
                target,
                is_numbered: false,
                ..
            } => match fs::remove_file(&target) {
                Ok(()) => Ok(Some(target)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            _ => Ok(None),
        }
    }

    /// Writes a file that is written again soon: whole for whoever reads it, and not on
    /// disk for good.
    ///
    /// # Errors
    /// As [`write`](Self::write); also where it is not a file.
    pub fn replace(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.kind {
            Kind::File {
                target,
                temporary,
                file,
                ..
            } => {
                let mut out = BufWriter::new(&file);
                write(&mut out)?;
                out.flush()?;
                fs::rename(&temporary.path, &target)
            }
            Kind::Stdout | Kind::Device { .. } => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }

    /// Writes it, on disk for good once this returns, and says where it is.
    ///
    /// # Errors
    /// Where the file system refuses; nothing is left behind then.
    pub fn write(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Option<PathBuf>> {
        let buffered = |out: &mut dyn Write| {
            let mut out = BufWriter::new(out);
            write(&mut out)?;
            out.flush()
        };
        match self.kind {
            Kind::Stdout => buffered(&mut io::stdout().lock())
                .or_else(forgive_broken_pipe)
                .map(|()| None),
            Kind::Device { path, file } => buffered(&mut &file)
                .or_else(forgive_broken_pipe)
                .map(|()| Some(path)),
            Kind::File {
                target,
                is_numbered,
                temporary,
                file,
            } => {
                buffered(&mut &file)?;
                if is_numbered {
                    file.sync_all()?;
                    return put_as_new(&temporary.path, &target).map(Some);
                }
                keep_owner_and_mode(&target, &file);
                file.sync_all()?;
                fs::rename(&temporary.path, &target)?;
                Ok(Some(target))
            }
        }
    }
}

/// Whether this is a name of the standard output.
pub fn is_stdout(path: &Path) -> bool {
    let text = path.to_string_lossy();
    matches!(
        text.as_ref(),
        "-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1"
    )
}

/// Where a path leads, links followed, whether anything is there or not: all names of one
/// place give the same.
pub fn resolved(path: &Path) -> PathBuf {
    let path = followed(path).unwrap_or_else(|_| path.to_path_buf());
    if let Ok(path) = fs::canonicalize(&path) {
        return path;
    }
    match (fs::canonicalize(folder_of(&path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Whether two paths lead to one file: by their names, or as two names of its content.
pub fn is_same_place(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other) || is_same_content(one, other)
}

#[cfg(unix)]
fn is_same_content(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path| {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(one).is_some_and(|it| Some(it) == identity(other))
}

#[cfg(not(unix))]
fn is_same_content(_: &Path, _: &Path) -> bool {
    false
}

/// What is written to, and the same once more where it is a file.
pub type OpenedStream = (Box<dyn Write + Send>, Option<File>);

/// Whether nobody finds this file any more: it was deleted, or another took its place.
#[cfg(unix)]
pub fn is_deleted(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// Not known here.
#[cfg(not(unix))]
pub fn is_deleted(_: &File) -> bool {
    false
}

/// Opens a place that is written to bit by bit: stdout (`-`), a pipe, a device, or a file,
/// which is emptied.
///
/// # Errors
/// As [`Place::open`].
pub fn open_stream(path: &Path) -> Result<OpenedStream, (String, Option<String>)> {
    let place = Place::open(path)?;
    match place.kind {
        Kind::Stdout => Ok((Box::new(io::stdout()), None)),
        Kind::Device { file, .. } => Ok((Box::new(file), None)),
        Kind::File { target, .. } => match File::create(&target) {
            Ok(file) => {
                let same = file.try_clone().ok();
                Ok((Box::new(file), same))
            }
            Err(error) => Err((reason(&error), None)),
        },
    }
}

/// Gives a file its name, or the first with a number that is free.
fn put_as_new(file: &Path, target: &Path) -> io::Result<PathBuf> {
    for number in 1..=NUMBER_MAX {
        let candidate = match number {
            1 => target.to_path_buf(),
            _ => numbered(target, number),
        };
        // Taken first, so that of two runs each gets one of its own.
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&candidate)
        {
            Ok(_) => {
                return fs::rename(file, &candidate)
                    .inspect_err(|_| {
                        let _ = fs::remove_file(&candidate);
                    })
                    .map(|()| candidate);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// `a/b.json` with 2 is `a/b-2.json`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

const PARTIAL_START: &str = ".pmcp-loadtest-";
const PARTIAL_END: &str = ".partial";

/// More entries of a folder are not looked at.
const ENTRIES_MAX: usize = 10_000;

/// What tells the processes that this one sees from those of other machines,
/// containers and times: the same number in two names is the same process, or one
/// that came after it. 0: that cannot be told.
fn processes() -> u64 {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let space = fs::read_link("/proc/self/ns/pid");
    match (boot, space) {
        (Ok(boot), Ok(space)) => {
            let mut hasher = DefaultHasher::new();
            (boot, space).hash(&mut hasher);
            hasher.finish()
        }
        _ => 0,
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Removes what runs that were killed have left beside `path`: files with a name
/// as ours, of processes that would be seen here and are gone.
fn remove_left_behind(path: &Path, own_start: &str) {
    if processes() == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir(folder_of(path)) else {
        return;
    };
    for entry in entries.take(ENTRIES_MAX).flatten() {
        let name = entry.file_name();
        let of_process = name.to_str().and_then(|name| process_of(name, own_start));
        let is_gone = |pid: u32| !Path::new(&format!("/proc/{pid}")).exists();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && of_process.is_some_and(is_gone) {
            // It is of no use to anybody, and not in our way either.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process that a file's name speaks of.
fn process_of(name: &str, own_start: &str) -> Option<u32> {
    let rest = name.strip_prefix(own_start)?.strip_suffix(PARTIAL_END)?;
    let (pid, random) = rest.split_once('-')?;
    let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    pid.parse().ok().filter(|_| is_random)
}

/// A new file in the folder of `path`, under a name that nobody knows before.
fn temporary_beside(path: &Path) -> io::Result<(Temporary, File)> {
    const TRIES: usize = 8;
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    let own_start = format!("{PARTIAL_START}{:016x}-", processes());
    remove_left_behind(path, &own_start);
    for _ in 0..TRIES {
        let random = fastrand::u64(..);
        let name = format!("{own_start}{}-{random:016x}{PARTIAL_END}", process::id());
        let temporary = path.with_file_name(name);
        // Never one that is there, a link among them.
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            Ok(file) => {
                keep_owner_and_mode(path, &file);
                return Ok((Temporary { path: temporary }, file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// What takes the place of a file is readable by those who could read it.
fn keep_owner_and_mode(target: &Path, file: &File) {
    let Ok(metadata) = fs::metadata(target) else {
        return;
    };
    // The owner can be kept by root only; for others it is their own file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let _ = fchown(file, Some(metadata.uid()), Some(metadata.gid()));
    }
    let _ = file.set_permissions(metadata.permissions());
}

/// Where links lead, whether anything is there or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            // A pipe that is open already has a link that leads to no path.
            Ok(_) if path.exists() && !path.is_file() => return Ok(path),
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Opens what is no regular file, such as a pipe. It waits for nobody.
///
/// # Errors
/// Why it cannot be written, as a fragment, and what to do.
pub(super) fn open_device(path: &Path) -> Result<File, (String, Option<String>)> {
    let system = |error: io::Error| (reason(&error), None);
    // Open until the pipe is open for good: a reader that saw its only writer go would
    // end, and the opening would wait for the next one for ever.
    #[cfg(target_os = "linux")]
    let _probe = {
        use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
        let is_fifo = fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        if is_fifo {
            // Without a reader, opening would wait for ever. A reader that a
            // shell started just before may take a moment.
            let mut n_looks = 0;
            let probe = loop {
                let probe = OpenOptions::new()
                    .write(true)
                    .custom_flags(O_NONBLOCK)
                    .open(path);
                if probe.is_ok() || n_looks == READER_LOOKS_MAX {
                    break probe;
                }
                n_looks += 1;
                #[expect(clippy::disallowed_methods, reason = "nothing tells of a reader")]
                std::thread::sleep(READER_LOOK_EVERY);
            };
            let nobody_reads = |error: io::Error| {
                let hint = "start its reader first".to_string();
                let why = format!("nobody reads from this pipe ({})", reason(&error));
                (why, Some(hint))
            };
            Some(probe.map_err(nobody_reads)?)
        } else {
            None
        }
    };
    OpenOptions::new()
        .append(true)
        .open(path)
        .or_else(|_| OpenOptions::new().write(true).open(path))
        .map_err(system)
}

/// A pipe's reader is looked for during two seconds.
#[cfg(target_os = "linux")]
const READER_LOOKS_MAX: u32 = 100;
#[cfg(target_os = "linux")]
const READER_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Linux, on all processors that this program runs on but MIPS and SPARC.
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;

/// The fault of a place, as an error.
///
/// `what` names what is written: `the report`.
pub fn place_error(what: &str, path: &Path, (reason, hint): (String, Option<String>)) -> UserError {
    let error = UserError::could_not_run(format!(
        "{what} cannot be written to `{}`: {reason}",
        path.display()
    ));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Removes its file when it is dropped. After the rename the file is no longer there,
/// and the removal fails silently.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
