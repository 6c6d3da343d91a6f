//! The tables of what a user reads (`tests/told.md`): each row is told by a test.

use std::fs;
use std::path::Path;

use crate::told::rows;

#[test]
fn each_row_is_told_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let sources: String = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| fs::read_to_string(path).expect("a source is UTF-8"))
        .collect();
    let rows = rows();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let case = format!("\"{}\"", row.case);
        assert!(sources.contains(&case), "told by no test: {row:?}");
    }
}
