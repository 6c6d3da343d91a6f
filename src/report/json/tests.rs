//! The report's file: early, whole, or not there.

use super::*;
use crate::report::samples::{busy_outcome, plan, report};

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("pmcp-loadtest-report-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the test's folder");
        let name = |entry: io::Result<fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_report_is_there_when_it_is_whole_and_reads_back() {
    let folder = Folder::new("whole");
    let path = folder.0.join("today.json");
    let report = report(&plan(), &busy_outcome());
    let file = ReportFile::open(&path).expect("the folder is ours");
    assert!(!path.exists());
    assert_eq!(file.path().and_then(Path::file_name), path.file_name());
    file.commit(&report).expect("the folder is ours");
    assert_eq!(read(&path).expect("just written"), report);
    assert_eq!(folder.names(), ["today.json"]);
}

#[test]
fn a_run_that_fails_leaves_the_old_report_alone() {
    let folder = Folder::new("alone");
    let path = folder.0.join("today.json");
    fs::write(&path, "old").expect("the folder is ours");
    let file = ReportFile::open(&path).expect("the folder is ours");
    assert_eq!(folder.names().len(), 2);
    drop(file);
    assert_eq!(folder.names(), ["today.json"]);
    assert_eq!(fs::read_to_string(&path).expect("still there"), "old");
}

#[test]
fn a_bad_path_is_known_at_once() {
    let folder = Folder::new("bad");
    let check = |path: &Path, expected: &str| {
        let error = ReportFile::open(path).expect_err("it cannot be written");
        assert!(error.what().ends_with(expected), "{error}");
        assert!(
            error.what().contains(&format!("`{}`", path.display())),
            "{error}"
        );
    };
    check(
        &folder.0.join("no/such/folder/x.json"),
        ": no such file or directory",
    );
    check(&folder.0, ": it is a folder");
    check(Path::new("/.."), ": it is a folder");
}

#[test]
fn the_default_place_is_made() {
    let folder = Folder::new("default");
    let now = Utc::from_unix_ms(1_795_437_667_250);
    let file =
        ReportFile::open_in_folder(&default_path(&folder.0, now)).expect("the folder is ours");
    let path = folder
        .0
        .join(".pmcp/reports/loadtest-20261123T124107Z.json");
    file.commit(&report(&plan(), &busy_outcome()))
        .expect("the folder is ours");
    assert!(path.is_file());
}

#[cfg(unix)]
#[test]
fn devices_are_written_to_and_links_are_followed() {
    let folder = Folder::new("links");
    let report = report(&plan(), &busy_outcome());
    let null = ReportFile::open(Path::new("/dev/null")).expect("anybody may");
    null.commit(&report).expect("it takes all");
    let is_file = fs::metadata("/dev/null")
        .expect("it is still there")
        .is_file();
    assert!(!is_file);

    let (target, link) = (folder.0.join("target.json"), folder.0.join("link.json"));
    fs::write(&target, "old").expect("the folder is ours");
    std::os::unix::fs::symlink(&target, &link).expect("the folder is ours");
    let file = ReportFile::open(&link).expect("the folder is ours");
    file.commit(&report).expect("the folder is ours");
    assert!(link.is_symlink());
    assert_eq!(read(&target).expect("replaced"), report);
}

#[test]
fn stdout_has_no_path() {
    let file = ReportFile::open(Path::new("-")).expect("always there");
    assert_eq!(file.path(), None);
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let folder = Folder::new("other");
    let path = folder.0.join("x.json");
    let check = |content: &str, expected: &str| {
        fs::write(&path, content).expect("the folder is ours");
        let error = read(&path).expect_err("no report");
        assert!(error.what().contains(expected), "{error}");
    };
    check("", "is not a report");
    check("{}", "missing field `schema_version`");
    check(
        r#"{"schema_version": "1.1"}"#,
        "has schema version `1.1`; this program reads `2.0`",
    );
    check(r#"{"schema_version": "20.0"}"#, "has schema version `20.0`");
    check(r#"{"schema_version": "2.7"}"#, "is not a whole report: ");
    let error = read(&folder.0.join("none")).expect_err("no file");
    assert!(
        error
            .what()
            .ends_with("cannot be read: no such file or directory"),
        "{error}"
    );
}
