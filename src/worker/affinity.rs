//! CPUs that this process may use, and what it takes to keep to them.

use core_affinity::CoreId;

use super::topology::{self, CpuPlace};

/// CPUs of the machine and of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus {
    /// CPUs of the machine, as far as the system tells.
    pub machine: usize,
    /// Those in this process's affinity mask, ascending.
    pub allowed: Vec<usize>,
    /// The cgroup's CPU quota in thousandths of a CPU, if there is one.
    pub quota_millicpus: Option<u64>,
}

impl Cpus {
    /// Asks the system.
    pub fn of_this_process() -> Self {
        let mut allowed: Vec<usize> = core_affinity::get_core_ids()
            .unwrap_or_default()
            .into_iter()
            .map(|core| core.id)
            .collect();
        allowed.sort_unstable();
        let machine = machine_cpus().unwrap_or(allowed.len()).max(allowed.len());
        Self {
            machine: machine.max(1),
            allowed,
            quota_millicpus: quota::millicpus(),
        }
    }

    /// CPUs that may be kept busy at once: by mask and quota, at least 1.
    pub fn usable(&self) -> usize {
        let by_quota = self.quota_millicpus.map_or(usize::MAX, |quota| {
            usize::try_from(quota / 1000).unwrap_or(1)
        });
        self.allowed.len().min(by_quota).max(1)
    }

    /// Workers where the user names no number: one for each usable CPU, less
    /// one for the coordinator where there are more than two.
    pub fn default_workers(&self) -> usize {
        match self.usable() {
            n @ 0..=2 => n.max(1),
            n => n - 1,
        }
    }

    /// The CPU of each worker: a whole core for each while there are cores, in
    /// one memory node while one has enough of them. The first allowed CPU is
    /// left to the coordinator where there is one to spare; with more workers
    /// than CPUs, nobody is pinned.
    pub fn assign(&self, n_workers: usize) -> Vec<Option<usize>> {
        assign_on(&topology::places_of(&self.allowed), n_workers)
    }
}

fn assign_on(places: &[CpuPlace], n_workers: usize) -> Vec<Option<usize>> {
    match topology::choose(places, n_workers) {
        Some(chosen) => chosen.into_iter().map(Some).collect(),
        None => vec![None; n_workers],
    }
}

/// Pins the calling thread; whether it worked.
pub(super) fn pin(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

fn machine_cpus() -> Option<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    topology::parse_cpus(text.trim()).map(|cpus| cpus.len())
}

/// The CPU quota of cgroups, version 2 and 1.
mod quota {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The least quota on the way from this process's group to the root.
    pub(super) fn millicpus() -> Option<u64> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        groups
            .lines()
            .filter_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
                if controllers.is_empty() {
                    least(Path::new("/sys/fs/cgroup"), path, v2)
                } else if controllers.split(',').any(|name| name == "cpu") {
                    least(Path::new("/sys/fs/cgroup/cpu"), path, v1)
                } else {
                    None
                }
            })
            .min()
    }

    fn least(root: &Path, path: &str, read: fn(&Path) -> Option<u64>) -> Option<u64> {
        let mut folder: PathBuf = root.join(path.trim_start_matches('/'));
        let mut found = None;
        loop {
            if let Some(quota) = read(&folder) {
                found = Some(found.map_or(quota, |least: u64| least.min(quota)));
            }
            if folder == root || !folder.pop() || !folder.starts_with(root) {
                return found;
            }
        }
    }

    fn v2(folder: &Path) -> Option<u64> {
        parse_v2(&fs::read_to_string(folder.join("cpu.max")).ok()?)
    }

    fn v1(folder: &Path) -> Option<u64> {
        let number = |name: &str| -> Option<i64> {
            fs::read_to_string(folder.join(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    }

    /// `max 100000` or `150000 100000`.
    pub(super) fn parse_v2(text: &str) -> Option<u64> {
        let mut fields = text.split_whitespace();
        let quota = fields.next()?.parse().ok()?;
        ratio(quota, fields.next()?.parse().ok()?)
    }

    /// −1 means no quota.
    fn ratio(quota_us: i64, period_us: i64) -> Option<u64> {
        let quota_us = u64::try_from(quota_us).ok()?;
        let period_us = u64::try_from(period_us).ok().filter(|us| *us > 0)?;
        Some(quota_us.saturating_mul(1000) / period_us)
    }
}

/// Descriptors beside those of the connections: polls, timers, files.
const FILES_BESIDE: u64 = 64;

/// Raises the limit of open files as far as it may be raised. The number of
/// connections for which it is too low, if it is.
#[cfg(target_os = "linux")]
pub fn raise_file_limit(n_connections: u64) -> Result<(), u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = n_connections.saturating_add(FILES_BESIDE);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    if soft >= wanted {
        return Ok(());
    }
    let raised = wanted.min(hard);
    let reached = match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    if reached >= wanted {
        Ok(())
    } else {
        Err(reached.saturating_sub(FILES_BESIDE))
    }
}

/// Elsewhere the limit is left to the user.
#[cfg(not(target_os = "linux"))]
pub fn raise_file_limit(_: u64) -> Result<(), u64> {
    let _ = FILES_BESIDE;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(allowed: &[usize], quota_millicpus: Option<u64>) -> Cpus {
        Cpus {
            machine: 8,
            allowed: allowed.to_vec(),
            quota_millicpus,
        }
    }

    /// One node, and no two threads of one core.
    fn flat(cpus: &Cpus) -> Vec<CpuPlace> {
        let place = |&cpu: &usize| CpuPlace {
            cpu,
            node: 0,
            core: cpu,
        };
        cpus.allowed.iter().map(place).collect()
    }

    #[test]
    fn the_coordinator_gets_a_cpu_of_its_own_where_there_is_one_to_spare() {
        let check = |allowed: &[usize], quota, workers, assigned: &[Option<usize>]| {
            let cpus = cpus(allowed, quota);
            assert_eq!(cpus.default_workers(), workers, "{cpus:?}");
            assert_eq!(assign_on(&flat(&cpus), workers), assigned, "{cpus:?}");
        };
        check(&[0], None, 1, &[Some(0)]);
        check(&[0, 1], None, 2, &[Some(0), Some(1)]);
        check(&[0, 1, 2], None, 2, &[Some(1), Some(2)]);
        check(&[2, 3, 6, 7], None, 3, &[Some(3), Some(6), Some(7)]);
        check(&[0, 1, 2, 3], Some(1500), 1, &[Some(3)]);
        check(&[0, 1], Some(200), 1, &[Some(1)]);
    }

    #[test]
    fn more_workers_than_cpus_are_not_pinned() {
        assert_eq!(assign_on(&flat(&cpus(&[0, 1], None)), 3), [None; 3]);
    }

    #[test]
    fn quotas_are_read() {
        assert_eq!(quota::parse_v2("max 100000\n"), None);
        assert_eq!(quota::parse_v2("150000 100000\n"), Some(1500));
        assert_eq!(quota::parse_v2("1 0"), None);
    }

    #[test]
    fn this_process_may_use_at_least_one_cpu() {
        let cpus = Cpus::of_this_process();
        assert!(cpus.usable() >= 1);
        assert!(cpus.machine >= cpus.allowed.len());
    }
}
