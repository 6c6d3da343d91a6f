//! The report's file: early, whole, or not there.

use std::fs;
use std::io;

use serde_json::Value;

use super::*;
use crate::clock::Utc;
use crate::redact::Redactor;
use crate::report::Report;
use crate::report::envelope::{ReportKind, Reported, cleaned};
use crate::report::format::Format;
use crate::report::format::json::Json;
use crate::report::samples::{busy_outcome, plan, report};
use crate::terminal::in_memory;

/// A report as the file has it.
fn json(report: &Report) -> io::Result<Vec<u8>> {
    in_memory(false, |out| Json::default().write(report.any(), out))
}

fn read(path: &Path) -> Result<Report, UserError> {
    crate::report::read(path)
}

fn default_path(folder: &Path, now: Utc) -> PathBuf {
    ReportKind::Run.default_path(folder, now)
}

/// Each member that is there is one that `known` has, too. One that is null may be left out.
fn assert_has_members(known: &Value, stored: &Value, place: &str) {
    match (stored, known) {
        (Value::Object(stored), Value::Object(known)) => {
            for (name, value) in stored.iter().filter(|(_, value)| !value.is_null()) {
                let place = format!("{place}.{name}");
                let of_name = known
                    .get(name)
                    .unwrap_or_else(|| panic!("{place} is unknown"));
                assert_has_members(of_name, value, &place);
            }
        }
        (Value::Array(stored), Value::Array(known)) => {
            assert_eq!(stored.len(), known.len(), "{place}");
            for (stored, known) in stored.iter().zip(known) {
                assert_has_members(known, stored, place);
            }
        }
        _ => {}
    }
}

#[test]
fn what_stored_reports_hold_is_known() {
    let mut n_read = 0;
    for file in fs::read_dir("tests/reports").expect("the stored reports") {
        let path = file.expect("a file").path();
        let name = path.display().to_string();
        if name.contains("run-1.1") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text");
        let stored: Value = serde_json::from_str(&text).expect("JSON");
        let read = crate::report::read_stored(&path).expect("a report");
        let known = serde_json::to_value(read.report.any()).expect("JSON");
        assert_has_members(&known, &stored, &name);
        n_read += 1;
    }
    assert!(n_read >= 9, "{n_read}");
}

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
    file.commit(json(&report)).expect("the folder is ours");
    assert_eq!(read(&path).expect("just written"), report);
    assert_eq!(folder.names(), ["today.json"]);
}

/// What a file says of the whole is that of its rows.
#[test]
fn a_gate_that_contradicts_its_thresholds_is_mended() {
    use crate::report::model::{GateGrade, GateOutcome};
    let folder = Folder::new("gate");
    let mut report = report(&plan(), &busy_outcome());
    let failed: crate::report::model::ThresholdFigures = serde_json::from_str(
        r#"{"text": "p99<1ms", "selector": null, "metric": "p99", "comparison": "<", "limit": 1,
        "unit": "ms", "value": 2, "margin": -1, "severity": "fail", "grade": "failed", "few": false,
        "interval": null, "why": null, "aborted": false}"#,
    )
    .expect("a threshold");
    let mut check = |thresholds: &[_], grade, why: Option<&str>, expected: &str| {
        report.thresholds = thresholds.to_vec();
        let why = why.map(str::to_string);
        report.gate = GateOutcome { grade, why };
        let path = folder.0.join("gate.json");
        fs::write(&path, json(&report).expect("JSON")).expect("the folder is ours");
        let read = read(&path).expect("just written");
        let options = crate::report::SummaryOptions::endless();
        let lines = crate::report::Text(options).lines(read.any());
        let first = lines[0].text();
        assert!(first.contains(expected), "{first}");
    };
    let rows = [failed];
    check(
        &rows,
        GateGrade::Passed,
        None,
        "failed: 1 threshold was not kept",
    );
    check(&rows, GateGrade::Passed, Some("x"), "failed: x");
    let untold = "failed: the report does not say why";
    check(&[], GateGrade::Failed, None, untold);
    check(&[], GateGrade::Warned, None, untold);
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
    file.commit(json(&report(&plan(), &busy_outcome())))
        .expect("the folder is ours");
    assert!(path.is_file());
}

#[cfg(unix)]
#[test]
fn devices_are_written_to_and_links_are_followed() {
    let folder = Folder::new("links");
    let report = report(&plan(), &busy_outcome());
    let null = ReportFile::open(Path::new("/dev/null")).expect("anybody may");
    null.commit(json(&report)).expect("it takes all");
    let is_file = fs::metadata("/dev/null")
        .expect("it is still there")
        .is_file();
    assert!(!is_file);

    let (target, link) = (folder.0.join("target.json"), folder.0.join("link.json"));
    fs::write(&target, "old").expect("the folder is ours");
    std::os::unix::fs::symlink(&target, &link).expect("the folder is ours");
    let file = ReportFile::open(&link).expect("the folder is ours");
    file.commit(json(&report)).expect("the folder is ours");
    assert!(link.is_symlink());
    assert_eq!(read(&target).expect("replaced"), report);
}

#[test]
fn stdout_has_no_path() {
    for path in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let file = ReportFile::open(Path::new(path)).expect("always there");
        assert_eq!(file.path(), None, "{path}");
    }
}

#[test]
fn reports_of_one_second_are_told_apart() {
    let folder = Folder::new("second");
    let path = default_path(&folder.0, Utc::from_unix_ms(1_795_437_667_250));
    let report = report(&plan(), &busy_outcome());
    let files = [0, 1, 2].map(|_| ReportFile::open_in_folder(&path).expect("ours"));
    let mut written: Vec<String> = files
        .into_iter()
        .map(|file| {
            let path = file.commit(json(&report)).expect("ours").expect("a path");
            assert_eq!(read(&path).expect("whole"), report);
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    written.sort();
    assert_eq!(
        written,
        [
            "loadtest-20261123T124107Z-2.json",
            "loadtest-20261123T124107Z-3.json",
            "loadtest-20261123T124107Z.json",
        ]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let folder = Folder::new("killed");
    let names = || {
        let entries = fs::read_dir(&folder.0).expect("ours");
        let names = entries.map(|entry| entry.expect("ours").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into()).collect();
        names.sort_unstable();
        names
    };
    let report = report(&plan(), &busy_outcome());
    let opened = ReportFile::open(&folder.0.join("a.json")).expect("ours");
    let own = names().pop().expect("the file that is written to");
    let pid = format!("-{}-", std::process::id());
    assert!(own.contains(&pid), "{own}");
    // No process has such a number.
    let gone = own.replace(&pid, "-4294967295-");
    let of_other_machine = gone.replace(".pmcp-loadtest-", ".pmcp-loadtest-0");
    let of_user = gone.replace("4294967295", "mine");
    for name in [&gone, &of_other_machine, &of_user] {
        fs::write(folder.0.join(name), "").expect("ours");
    }
    // Two runs in a folder leave each other alone.
    let other = ReportFile::open(&folder.0.join("b.json")).expect("ours");
    opened.commit(json(&report)).expect("ours");
    other.commit(json(&report)).expect("ours");
    let mut expected = [of_other_machine, of_user, "a.json".into(), "b.json".into()];
    expected.sort_unstable();
    assert_eq!(names(), expected);
}

#[test]
fn no_secret_is_written_whoever_said_it() {
    let folder = Folder::new("secret");
    let path = folder.0.join("today.json");
    let mut report = report(&plan(), &busy_outcome());
    report.server.name = Some("tok-4711".to_string());
    report.notices.push("bad token tok-4711".to_string());
    let redactor = Redactor::new(["tok-4711"]);
    let file = ReportFile::open(&path).expect("ours");
    let format = Json {
        redactor: redactor.clone(),
    };
    let bytes = in_memory(false, |out| format.write(report.any(), out));
    file.commit(bytes).expect("ours");
    let text = fs::read_to_string(&path).expect("just written");
    assert!(!text.contains("tok-4711") && text.contains("bad token ***"));
    assert_eq!(
        read(&path).expect("whole"),
        cleaned(report.clone(), &redactor)
    );
    assert_eq!(cleaned(report.clone(), &Redactor::default()), report);
}

#[cfg(unix)]
#[test]
fn what_was_there_keeps_its_mode_and_planted_links_lead_nowhere() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = Folder::new("modes");
    let report = report(&plan(), &busy_outcome());
    let path = folder.0.join("today.json");
    fs::write(&path, "old").expect("ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    ReportFile::open(&path)
        .expect("ours")
        .commit(json(&report))
        .expect("ours");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // What an earlier program would have written through.
    let victim = folder.0.join("victim");
    fs::write(&victim, "precious").expect("ours");
    let planted = folder
        .0
        .join(format!(".today.json.{}.partial", std::process::id()));
    symlink(&victim, &planted).expect("ours");
    ReportFile::open(&path)
        .expect("ours")
        .commit(json(&report))
        .expect("ours");
    assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");

    // A link that leads to nothing stays a link.
    let (link, target) = (folder.0.join("link.json"), folder.0.join("target.json"));
    symlink("target.json", &link).expect("ours");
    ReportFile::open(&link)
        .expect("ours")
        .commit(json(&report))
        .expect("ours");
    assert!(link.is_symlink());
    assert_eq!(read(&target).expect("made"), report);
    let circle = folder.0.join("circle");
    symlink("circle", &circle).expect("ours");
    assert!(ReportFile::open(&circle).is_err());
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
        "has schema version `1.1`; this program reads `2.0` to `2.5`",
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
