//! Reads what callgrind wrote (format: <https://valgrind.org/docs/manual/cl-format.html>)
//! and subtracts one run from another.

use std::collections::BTreeMap;

use super::origin::Origin;
use super::server::Variant;

/// Instructions of one thread, each where it stands: self cost, not that of
/// functions called.
#[derive(Debug)]
pub(crate) struct Profile {
    n_total: u64,
    by_origin: BTreeMap<Origin, u64>,
    by_function: BTreeMap<String, u64>,
}

impl Profile {
    /// Whether virtual users ran on this thread.
    pub(crate) fn is_of_worker(text: &str) -> bool {
        text.lines()
            .any(|line| line.starts_with("fn=") && line.contains("user::virtual_user::"))
    }

    /// Reads a file without compressed names and positions.
    ///
    /// # Errors
    /// It is none, or its parts do not sum to the total that it names.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut profile = Self {
            n_total: 0,
            by_origin: BTreeMap::new(),
            by_function: BTreeMap::new(),
        };
        let mut named_total: Option<u64> = None;
        // The object, the file that the function stands in, and the file of
        // the code inlined into it that comes next.
        let (mut object, mut file, mut inlined, mut function) = ("", "", "", "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some((key, value)) = line.split_once('=') {
                match key {
                    "ob" => object = value,
                    "fl" => (file, inlined) = (value, value),
                    "fi" | "fe" => inlined = value,
                    "fn" => function = value,
                    // The next line is the cost of the functions called.
                    "calls" => {
                        lines.next();
                    }
                    _ => {}
                }
            } else if let Some(total) = line.strip_prefix("totals: ") {
                named_total = total.trim().parse().ok();
            } else if line.starts_with(|c: char| c.is_ascii_digit())
                && let Some(cost) = line.split(' ').nth(1)
            {
                let cost: u64 = cost.parse().map_err(|_| format!("a cost: `{line}`"))?;
                profile.n_total += cost;
                let origin = origin(object, file, inlined);
                *profile.by_origin.entry(origin).or_default() += cost;
                *profile.by_function.entry(function.to_string()).or_default() += cost;
            }
        }
        match named_total {
            Some(total) if total == profile.n_total => Ok(profile),
            total => Err(format!(
                "callgrind's parts sum to {}, its total is {total:?}",
                profile.n_total
            )),
        }
    }
}

/// Code of the standard library that was inlined counts for the function that
/// it was inlined into.
fn origin(object: &str, file: &str, inlined: &str) -> Origin {
    match Origin::of(inlined) {
        Origin::StandardLibrary => match Origin::of(file) {
            Origin::Unknown => Origin::StandardLibrary,
            outer => outer,
        },
        // The C library has no debug information: its object tells.
        Origin::Unknown => Origin::of(object),
        origin => origin,
    }
}

/// What one run cost more than another, for each call that it made more.
#[derive(Debug)]
pub(crate) struct Difference {
    n_calls: f64,
    n_total: f64,
    by_origin: BTreeMap<Origin, f64>,
    by_function: BTreeMap<String, f64>,
}

impl Difference {
    /// Of the run with more calls, and how many.
    pub(crate) fn between(fewer: &Profile, more: &Profile, n_calls: u64) -> Self {
        Self {
            n_calls: n_calls as f64,
            n_total: more.n_total as f64 - fewer.n_total as f64,
            by_origin: subtract(&fewer.by_origin, &more.by_origin),
            by_function: subtract(&fewer.by_function, &more.by_function),
        }
    }

    /// Instructions for each call.
    pub(crate) fn per_call(&self) -> f64 {
        self.n_total / self.n_calls
    }

    fn per_call_of(&self, origin: &Origin) -> f64 {
        self.by_origin.get(origin).copied().unwrap_or(0.0) / self.n_calls
    }

    /// The functions with the most instructions of their own.
    pub(crate) fn most_expensive(&self, n_functions: usize) -> String {
        let mut functions: Vec<_> = self.by_function.iter().collect();
        functions.sort_by(|a, b| b.1.total_cmp(a.1));
        let lines: Vec<String> = functions
            .iter()
            .take(n_functions)
            .map(|(name, cost)| format!("{:>9.0}  {name}", **cost / self.n_calls))
            .collect();
        lines.join("\n")
    }
}

fn subtract<K: Ord + Clone>(fewer: &BTreeMap<K, u64>, more: &BTreeMap<K, u64>) -> BTreeMap<K, f64> {
    let mut result: BTreeMap<K, f64> = more.iter().map(|(k, n)| (k.clone(), *n as f64)).collect();
    for (key, n) in fewer {
        *result.entry(key.clone()).or_default() -= *n as f64;
    }
    result
}

/// Whose instructions a call takes, a row for each origin, in Markdown.
pub(crate) fn table(columns: &[(Variant, Difference)]) -> String {
    /// Rows with less than this in every column are summed up.
    const SHOWN_MIN: f64 = 50.0;
    let mut origins: Vec<(&Origin, f64)> = Vec::new();
    for (_, column) in columns {
        for origin in column.by_origin.keys() {
            let most = columns
                .iter()
                .map(|(_, column)| column.per_call_of(origin))
                .fold(0.0, f64::max);
            if most >= SHOWN_MIN && !origins.iter().any(|(known, _)| *known == origin) {
                origins.push((origin, most));
            }
        }
    }
    origins.sort_by(|a, b| b.1.total_cmp(&a.1));
    let row = |name: &str, figure: &dyn Fn(&Difference) -> f64| {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, column)| format!(" {:>12.0} |", figure(column)))
            .collect();
        format!("| {name:<24} |{}", cells.concat())
    };
    let names: Vec<String> = columns
        .iter()
        .map(|(variant, _)| format!(" {:>12} |", variant.name()))
        .collect();
    let mut lines = vec![
        format!("| {:<24} |{}", "instructions a call", names.concat()),
        format!("|---|{}", "---:|".repeat(columns.len())),
    ];
    for (origin, _) in &origins {
        lines.push(row(&origin.name(), &|column| column.per_call_of(origin)));
    }
    lines.push(row("the rest", &|column| {
        let shown: f64 = origins
            .iter()
            .map(|(origin, _)| column.per_call_of(origin))
            .sum();
        column.per_call() - shown
    }));
    lines.push(row("all", &Difference::per_call));
    lines.join("\n")
}
