//! The figures of all rounds as a plain table, beside what is demanded.

/// Of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// CPU time in user mode for each call, in microseconds.
    pub(crate) user_us_per_call: Option<f64>,
    /// CPU time in the kernel for each call, in microseconds.
    pub(crate) system_us_per_call: Option<f64>,
    /// Calls in a second.
    pub(crate) calls_per_sec: f64,
    /// Peak of resident memory, in KiB.
    pub(crate) peak_kib: Option<u64>,
    /// How much of its CPU the server used. Near 100 it was the limit.
    pub(crate) server_busy_percent: Option<f64>,
    /// Calls that failed, among those counted.
    pub(crate) n_failed: u64,
}

impl Figures {
    /// CPU time for each call, in microseconds.
    pub(crate) fn cpu_us_per_call(&self) -> Option<f64> {
        Some(self.user_us_per_call? + self.system_us_per_call?)
    }
}

/// What the columns mean.
pub(crate) const LEGEND: &str = "\
CPU: of the generator's process, from its start to its end, for each call.
server: how busy the server's CPU was; near 100 % it limits the rate, not the CPU per call.
peak: resident memory (VmHWM). KiB/VU: all of it, and what is above a run with 1 VU.";

/// The first line of the table.
pub(crate) fn heading() -> String {
    format!(
        "{:>6} {:<11} {:>11} {:>7} {:>7} {:>9} {:>7} {:>9} {:>16} {:>7}",
        "VUs",
        "",
        "CPU us/call",
        "user",
        "system",
        "calls/s",
        "server",
        "peak MiB",
        "KiB/VU (above 1)",
        "failed"
    )
}

/// All rounds at one number of users.
pub(crate) struct Group {
    n_vus: u32,
    peak_kib_alone: Option<u64>,
    /// By round, then by generator, ours first; `None` where a run broke.
    rounds: Vec<Vec<Option<Figures>>>,
}

impl Group {
    /// No rounds yet. `peak_kib_alone` is our program's with one user.
    pub(crate) fn new(n_vus: u32, peak_kib_alone: Option<u64>) -> Self {
        Self {
            n_vus,
            peak_kib_alone,
            rounds: Vec::new(),
        }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, round: Vec<Option<Figures>>) {
        self.rounds.push(round);
    }

    /// A line for each generator, the ratio, and the demands.
    pub(crate) fn render(&self, names: &[&str]) -> String {
        let mut lines: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(index, name)| self.line(index, name))
            .collect();
        for (index, name) in names.iter().enumerate().skip(1) {
            let aim = match (*name, self.n_vus) {
                ("wrk", 64) => "; aimed at: 1.25",
                ("wrk", 1000) => "; aimed at: 1.5",
                ("oha", 64 | 1000) => "; demanded: below 1",
                _ => "",
            };
            let ratio = self.median(|round| ratio_to(round, index));
            lines.push(format!(
                "{:>6} CPU, ours to {name}'s {:>6}{aim}",
                "",
                shown(ratio, 2)
            ));
        }
        if self.n_vus == 1000 {
            lines.push(format!("{:>6} memory demanded: at most 24 KiB/VU", ""));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn line(&self, index: usize, name: &str) -> String {
        let median = |figure: fn(&Figures) -> Option<f64>| {
            self.median(|round| figure(round.get(index)?.as_ref()?))
        };
        let peak_kib = median(|figures| figures.peak_kib.map(|kib| kib as f64));
        let per_vu = |kib: f64| kib / f64::from(self.n_vus);
        let above_kib = match (peak_kib, self.peak_kib_alone) {
            // The run with one user was our program's.
            (Some(peak), Some(alone)) if index == 0 => {
                format!(" ({})", shown(Some(per_vu(peak - alone as f64)), 1))
            }
            _ => String::new(),
        };
        format!(
            "{:>6} {:<11} {:>11} {:>7} {:>7} {:>9} {:>6}% {:>9} {:>16} {:>7}",
            self.n_vus,
            name,
            shown(median(Figures::cpu_us_per_call), 2),
            shown(median(|figures| figures.user_us_per_call), 2),
            shown(median(|figures| figures.system_us_per_call), 2),
            shown(median(|figures| Some(figures.calls_per_sec)), 0),
            shown(median(|figures| figures.server_busy_percent), 0),
            shown(peak_kib.map(|kib| kib / 1024.0), 1),
            shown(peak_kib.map(per_vu), 1) + &above_kib,
            shown(median(|figures| Some(figures.n_failed as f64)), 0),
        )
    }

    /// The median over the rounds that have the figure.
    fn median(&self, figure: impl Fn(&[Option<Figures>]) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| figure(round))
            .collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n_values if n_values % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }
}

/// Our CPU per call over the other's, of one round: what slows the machine for
/// a while slows both.
fn ratio_to(round: &[Option<Figures>], other: usize) -> Option<f64> {
    let cpu = |index: usize| round.get(index)?.as_ref()?.cpu_us_per_call();
    Some(cpu(0)? / cpu(other)?)
}

fn shown(value: Option<f64>, n_decimals: usize) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.n_decimals$}"))
}
