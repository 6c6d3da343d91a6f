//! What the host took from this process: steal time of its hypervisor, and the
//! time for which a control group was stopped by its quota.
//!
//! Files are opened once, since a process that is out of descriptors must still
//! be able to say what it suffers from.

use std::fs::File;
use std::io::{Read, Seek};

use super::cgroup::{self, CgroupVersion, groups};

/// Reads both, now and then.
#[derive(Debug)]
pub struct HostMeter {
    /// The CPUs looked at; empty: all of the machine.
    cpus: Vec<usize>,
    /// CPUs that the workers use at once.
    n_cpus: u64,
    stat: Option<File>,
    /// The `cpu.stat` of each group on the way to the root.
    groups: Vec<(CgroupVersion, File)>,
    last: HostReading,
}

/// What the host took over some time. `None`: this system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HostUse {
    /// The share of the CPUs' time that the hypervisor gave to others, 0 to 1.
    pub steal_share: Option<f64>,
    /// How long the control group was stopped, in nanoseconds: the mean of the
    /// CPUs that the workers use, the most of all levels.
    pub throttled_ns: Option<u64>,
}

#[derive(Debug, Default)]
struct HostReading {
    cpu: Option<CpuTime>,
    throttled_ns: Vec<Option<u64>>,
}

/// In the kernel's ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CpuTime {
    steal: u64,
    total: u64,
}

impl HostMeter {
    /// Looks at these CPUs, which `n_workers` workers use; at all CPUs where none is
    /// given.
    pub fn start(mut cpus: Vec<usize>, n_workers: usize) -> Self {
        cpus.sort_unstable();
        cpus.dedup();
        let n_cpus = match cpus.len() {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let groups = groups().into_iter();
        let opened = groups.filter_map(|group| {
            let file = File::open(group.stat_path()).ok()?;
            Some((group.version, file))
        });
        let mut meter = Self {
            n_cpus: n_cpus.min(n_workers).max(1) as u64,
            cpus,
            stat: File::open("/proc/stat").ok(),
            groups: opened.collect(),
            last: HostReading::default(),
        };
        meter.last = meter.read();
        meter
    }

    /// What the host took since this was last asked.
    pub fn take(&mut self) -> HostUse {
        let now = self.read();
        let last = std::mem::replace(&mut self.last, now);
        let now = &self.last;
        let steal_share = last.cpu.zip(now.cpu).and_then(|(last, now)| {
            let total = now.total.saturating_sub(last.total);
            let steal = now.steal.saturating_sub(last.steal);
            (total > 0).then(|| steal as f64 / total as f64)
        });
        let pairs = last.throttled_ns.iter().zip(&now.throttled_ns);
        let throttled_ns = pairs
            .filter_map(|(last, now)| Some((*now)?.saturating_sub((*last)?)))
            .max();
        HostUse {
            steal_share,
            // The kernel adds up the CPUs on which the group was stopped.
            throttled_ns: throttled_ns.map(|ns| ns / self.n_cpus),
        }
    }

    fn read(&self) -> HostReading {
        let stat = self.stat.as_ref().and_then(read_again);
        let groups = self.groups.iter();
        HostReading {
            cpu: stat.and_then(|text| parse_stat(&text, &self.cpus)),
            throttled_ns: groups
                .map(|(version, file)| cgroup::parse_throttled_ns(*version, &read_again(file)?))
                .collect(),
        }
    }
}

/// A file of the kernel's, from its beginning.
pub fn read_again(mut file: &File) -> Option<String> {
    let mut bytes = vec![0; 16 * 1024];
    let mut n_read = 0;
    file.rewind().ok()?;
    loop {
        match file.read(&mut bytes[n_read..]) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(_) => return None,
        }
        if n_read == bytes.len() {
            bytes.resize(2 * n_read, 0);
        }
    }
    bytes.truncate(n_read);
    String::from_utf8(bytes).ok()
}

/// The lines `cpu0 …` of these CPUs, or `cpu …` (proc_stat(5)): user, nice,
/// system, idle, iowait, irq, softirq, steal; what follows is part of the first
/// two.
fn parse_stat(text: &str, cpus: &[usize]) -> Option<CpuTime> {
    const N_FIELDS: usize = 8;
    const STEAL: usize = 7;
    let mut sum: Option<CpuTime> = None;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(which) = words.next().and_then(|word| word.strip_prefix("cpu")) else {
            continue;
        };
        let is_wanted = match which.parse::<usize>() {
            Ok(cpu) => cpus.contains(&cpu),
            Err(_) => cpus.is_empty(),
        };
        if !is_wanted {
            continue;
        }
        let fields: Vec<u64> = words.take(N_FIELDS).map_while(|w| w.parse().ok()).collect();
        let steal = fields.get(STEAL).copied()?;
        let time = sum.get_or_insert_default();
        time.steal += steal;
        time.total += fields.iter().sum::<u64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  300 0 100 500 0 0 0 100 0 0\ncpu0 200 0 50 200 0 0 0 50 9 0\n\
                        cpu1 100 0 50 300 0 0 0 50 9 0\nintr 1 2 3\nctxt 5\n";

    #[test]
    fn steal_is_that_of_the_cpus_in_use() {
        let check = |cpus: &[usize], steal, total| {
            let expected = CpuTime { steal, total };
            assert_eq!(parse_stat(STAT, cpus), Some(expected), "{cpus:?}");
        };
        check(&[], 100, 1_000);
        check(&[1], 50, 500);
        check(&[0, 1], 100, 1_000);
        assert_eq!(parse_stat(STAT, &[7]), None);
        // Kernels before 2.6.11 do not know it.
        assert_eq!(parse_stat("cpu 1 2 3 4 5\n", &[]), None);
    }

    #[test]
    fn cpus_are_counted_once_and_not_more_than_workers_use() {
        let n_cpus = |cpus: &[usize], n_workers| HostMeter::start(cpus.to_vec(), n_workers).n_cpus;
        assert_eq!(n_cpus(&[0, 1], 2), 2);
        assert_eq!(n_cpus(&[0, 0, 1, 1], 4), 2, "workers that share them");
        assert_eq!(n_cpus(&[], 1), 1, "not pinned");
        assert_eq!(n_cpus(&[], 0), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_host_tells_and_takes_no_more_than_all() {
        let mut meter = HostMeter::start(Vec::new(), 1);
        let n_ticks = |meter: &HostMeter| meter.last.cpu.map_or(0, |cpu| cpu.total);
        let began = n_ticks(&meter);
        while n_ticks(&meter) == began {
            let used = meter.take();
            let steal = used.steal_share.unwrap_or(0.0);
            assert!((0.0..=1.0).contains(&steal), "{used:?}");
        }
    }
}
