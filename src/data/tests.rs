//! Rows of CSV, of JSON lines and of a config, and who takes which.

use super::*;
use proptest::prelude::*;

fn settings<'a>(mode: DataMode, at_end: AtEnd, secret: &'a [String]) -> DataSettings<'a> {
    DataSettings {
        name: "users",
        mode,
        at_end,
        secret,
    }
}

fn csv(text: &str) -> Result<DataSet, Vec<DataFault>> {
    DataSet::from_csv(settings(DataMode::Sequential, AtEnd::Repeat, &[]), text)
}

fn jsonl(text: &str) -> Result<DataSet, Vec<DataFault>> {
    DataSet::from_jsonl(settings(DataMode::Sequential, AtEnd::Repeat, &[]), text)
}

/// Rows of cells.
fn cells(set: &DataSet) -> Vec<Vec<&str>> {
    let n_columns = set.columns().len();
    let row = |row| (0..n_columns).map(|column| set.cell(row, column)).collect();
    (0..set.n_rows()).map(row).collect()
}

fn faults(read: Result<DataSet, Vec<DataFault>>) -> Vec<String> {
    let faults = read.expect_err("something is wrong");
    let shown = faults.into_iter().map(|fault| match fault.line {
        Some(line) => format!("{line}: {}", fault.message),
        None => fault.message,
    });
    shown.collect()
}

#[test]
fn cells_of_csv_are_texts() {
    let set = csv("\u{feff}name, id ,n\r\n\r\n\"a \"\"b\"\"\",1,\r\n\n\"x\r\ny,z\",01,12.50\n\n")
        .expect("rows");
    assert_eq!(set.columns(), ["name", "id", "n"]);
    assert_eq!(
        cells(&set),
        [
            vec![r#""a \"b\"""#, r#""1""#, r#""""#],
            vec![r#""x\r\ny,z""#, r#""01""#, r#""12.50""#],
        ]
    );
    assert_eq!((set.cell(2, 0), set.cell(usize::MAX, 3)), ("null", "null"));
    let one = csv("a\n1\n\n\"\"\n2").expect("rows");
    assert_eq!(cells(&one), [[r#""1""#], [r#""""#], [r#""2""#]]);
}

#[test]
fn faults_of_csv_name_their_lines() {
    let check = |text: &str, expected: &[&str]| assert_eq!(faults(csv(text)), expected, "{text:?}");
    check(
        "",
        &["is empty: it needs a first row with the names of the columns"],
    );
    check(
        "\n\r\n",
        &["is empty: it needs a first row with the names of the columns"],
    );
    check("a,b\n", &["has no rows"]);
    check("a,b,a\n1,2,3\n", &["1: two columns are named `a`"]);
    check("\n\na,,b\n", &["3: column 2 has no name"]);
    check(
        "a,b\r\n1\r\n\r\n\"x\r\ny\",2\r\n1,2,3\r\n",
        &[
            "2: has 1 column where the first row names 2",
            "6: has 3 columns where the first row names 2",
        ],
    );
    check(
        "a,b\n1,2\n3,\"4\n5,6\n",
        &["3: a quote is opened and never closed"],
    );
    check(
        "a,b\n1,\"2\"\"\n",
        &["2: a quote is opened and never closed"],
    );
    assert!(csv("a,b\n1,x\"y").is_ok());
    check(
        "a,b\n\"x\"y,2\n1,\"2\" \n\"3\",\"4\"\n\"5\r\n\"\"\"\"\"x,6\n",
        &[
            "2: has more behind the quote that ends a cell",
            "3: has more behind the quote that ends a cell",
            "6: has more behind the quote that ends a cell",
        ],
    );
    check(
        "\"a\"a,b\n1,2\n3\n",
        &["1: has more behind the quote that ends a cell"],
    );
    let many = format!("a,b\n{}", "1\n".repeat(1000));
    assert_eq!(faults(csv(&many)).len(), 50);
    let wide = vec!["c"; 1001].join(",");
    assert!(faults(csv(&wide)).contains(&"1: has more than 1000 columns".to_string()));
}

#[test]
fn cells_of_json_lines_are_what_they_are() {
    let set = jsonl(
        "{\"id\": 12345678901234567890123, \"x\": {\"a\": [1.10, null]}}\r\n\n {\"x\":true,\"id\":\"\\u0041\"} ",
    )
    .expect("rows");
    assert_eq!(set.columns(), ["id", "x"]);
    assert_eq!(
        cells(&set),
        [
            ["12345678901234567890123", r#"{"a": [1.10, null]}"#],
            [r#""\u0041""#, "true"],
        ]
    );
    let check = |text: &str, expected: &[&str]| assert_eq!(faults(jsonl(text)), expected, "{text}");
    check(
        "{\"a\":1}\n\n[1]\n{\"a\":}\n{}\n{\"a\":1,\"b\":2}\n{\"a\":1,\"a\":2}",
        &[
            "3: is not a JSON object",
            "4: is not JSON (column 6)",
            "5: has no `a`",
            "6: has `b`, which the first row does not have",
            "7: has `a` twice",
        ],
    );
    check("{\"a\":1,\"a\":2}", &["1: two columns are named `a`"]);
    check("{}\n", &["1: names no column"]);
    check(" \n", &["is empty: it needs a line with an object"]);
    check(
        r#"{"a":"\\ud800"}
{"a":"\ud83d\ude00"}
{"a":["\uD83Dx"]}
{"a":"\ude00"}
{"\udfff":1}"#,
        &[
            "3: has `\\uD83D`, which is half of a letter",
            "4: has `\\ude00`, which is half of a letter",
            "5: has `\\udfff`, which is half of a letter",
        ],
    );
}

#[test]
fn rows_of_a_config_are_checked_alike() {
    let read = |json: &str| {
        let rows: Vec<serde_json::Map<_, _>> = serde_json::from_str(json).expect("objects");
        DataSet::from_rows(settings(DataMode::Random, AtEnd::Stop, &[]), &rows)
    };
    let set = read(r#"[{"a": 1, "b": "x"}, {"b": [2], "a": null}]"#).expect("rows");
    assert_eq!(cells(&set), [["1", "\"x\""], ["null", "[2]"]]);
    assert_eq!(faults(read(r#"[{"a": 1}, {}]"#)), ["2: has no `a`"]);
    assert_eq!(faults(read("[]")), ["is empty: it needs a row"]);
}

#[test]
fn secrets_are_told_by_name_or_by_the_user() {
    let text = "user,password,api_key,code\nu,p\"w,k,1\nv,q,l,2\n";
    let read = |secret: &[&str]| {
        let secret: Vec<String> = secret.iter().map(|name| name.to_string()).collect();
        DataSet::from_csv(settings(DataMode::Random, AtEnd::Stop, &secret), text)
    };
    let secrets = |set: &DataSet| set.secrets().map(str::to_string).collect::<Vec<_>>();
    let expected = [r#""p\"w""#, "\"q\"", "\"k\"", "\"l\""];
    assert_eq!(secrets(&read(&[]).expect("rows")), expected);
    let set = read(&["code"]).expect("rows");
    assert_eq!(secrets(&set)[4..], ["\"1\"", "\"2\""]);
    assert!(!format!("{set:?}").contains("p\\\"w"));
    assert_eq!(
        faults(read(&["codee", "colour"])),
        [
            "has no column `codee`; did you mean `code`?",
            "has no column `colour`"
        ]
    );
}

#[test]
fn of_many_secrets_the_first_rows_are_known() {
    let rows: String = (0..60_000).map(|n| format!("u{n},p{n},k{n}\n")).collect();
    let many = csv(&format!("user,password,api_key\n{rows}")).expect("rows");
    assert!(many.has_many_secrets());
    let first = many.first_rows();
    assert!(!first.has_many_secrets());
    assert_eq!((first.n_rows(), first.secrets().count()), (50_000, 100_000));
    assert_eq!(first.cell(49_999, 2), "\"k49999\"");
    let plain = csv(&format!("user,a,b\n{rows}")).expect("rows");
    assert!(!plain.has_many_secrets());
}

#[test]
fn three_thousand_iterations_use_a_thousand_rows_three_times() {
    let text: String = (0..1000).map(|row| format!("{row}\n")).collect();
    let set = csv(&format!("n\n{text}")).expect("rows");
    let mut n_uses = vec![0; 1000];
    let mut generators = Generators::new(1, 0);
    // In whatever order, by whichever worker.
    for iteration in (1..=3000_u64).rev() {
        let moment = FillMoment {
            vu: iteration % 7 + 1,
            iteration,
            unix_ns: 0,
        };
        n_uses[set.row(&moment, &mut generators).expect("a row")] += 1;
    }
    assert_eq!(n_uses, [3; 1000]);
}

#[test]
fn a_row_follows_from_mode_iteration_and_user() {
    let set = |mode, at_end| {
        DataSet::from_csv(settings(mode, at_end, &[]), "a\n1\n2\n3\n").expect("rows")
    };
    let row = |set: &DataSet, vu, iteration| {
        let moment = FillMoment {
            vu,
            iteration,
            unix_ns: 0,
        };
        set.row(&moment, &mut Generators::new(1, 0))
    };
    let stop = set(DataMode::Sequential, AtEnd::Stop);
    let rows = [1, 3, 4].map(|iteration| row(&stop, 9, iteration));
    assert_eq!(rows, [Some(0), Some(2), Some(0)]);
    assert_eq!((stop.iterations_max(), stop.users_max()), (Some(3), None));
    let repeat = set(DataMode::Sequential, AtEnd::Repeat);
    assert_eq!(row(&repeat, 9, 4), Some(0));
    assert_eq!(repeat.iterations_max(), None);
    let unique = set(DataMode::UniquePerVu, AtEnd::Repeat);
    assert_eq!(
        [1, 3, 4].map(|vu| row(&unique, vu, 77)),
        [Some(0), Some(2), None]
    );
    assert_eq!(
        (unique.iterations_max(), unique.users_max()),
        (None, Some(3))
    );
    let random = set(DataMode::Random, AtEnd::Stop);
    let mut generators = Generators::new(1, 0);
    let mut n_uses = [0; 3];
    for iteration in 1..=3000 {
        let moment = FillMoment {
            vu: 1,
            iteration,
            unix_ns: 0,
        };
        n_uses[random.row(&moment, &mut generators).expect("a row")] += 1;
    }
    // Six standard deviations of a thousand.
    assert!(n_uses.iter().all(|n| (845..1155).contains(n)), "{n_uses:?}");
}

proptest! {
    /// What was written by the rules of RFC 4180 is read, and each cell is the JSON
    /// string of its text.
    #[test]
    fn csv_reads_back(
        rows in prop::collection::vec(
            prop::collection::vec("[a\",\r\n é\u{1}]{0,5}", 3), 1..5),
        line_end in prop_oneof!["\n", "\r\n"],
    ) {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let mut text = format!("a,b,c{line_end}");
        for row in &rows {
            let cells: Vec<String> = row.iter().map(quoted).collect();
            text.push_str(&cells.join(","));
            text.push_str(&line_end);
        }
        let set = csv(&text).expect("rows");
        let read: Vec<Vec<String>> = cells(&set)
            .into_iter()
            .map(|row| row.into_iter().map(|it| serde_json::from_str(it).expect("a string")).collect())
            .collect();
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn no_text_panics(text in "[a1\",{}:\r\n \u{feff}]{0,40}") {
        for read in [csv(&text), jsonl(&text)] {
            match read {
                Ok(set) => for cell in cells(&set).concat() {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(cell).is_ok());
                },
                Err(faults) => prop_assert!(!faults.is_empty()),
            }
        }
    }
}
