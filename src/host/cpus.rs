//! CPUs that this process may use, and what it takes to keep to them.

use core_affinity::CoreId;

use super::cgroup::{Group, groups};
use super::topology::{self, CpuPlace};
use super::tree::Tree;

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
        let online = Tree::system().cpu_list("sys/devices/system/cpu/online");
        let machine = online.map_or(0, |cpus| cpus.len()).max(allowed.len());
        Self {
            machine: machine.max(1),
            allowed,
            // The least on the way from this process's group to the root.
            quota_millicpus: groups().iter().filter_map(Group::quota_millicpus).min(),
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

    /// A CPU that none of the workers keeps to, for a thread that should not be
    /// in their way; of several one that the coordinator is not left with.
    /// `None`: no CPU is left, or workers are not pinned.
    pub fn beside(&self, workers: &[Option<usize>]) -> Option<usize> {
        if workers.iter().any(Option::is_none) {
            return None;
        }
        let is_free = |cpu: &&usize| !workers.contains(&Some(**cpu));
        self.allowed.iter().rfind(is_free).copied()
    }
}

fn assign_on(places: &[CpuPlace], n_workers: usize) -> Vec<Option<usize>> {
    match topology::choose(places, n_workers) {
        Some(chosen) => chosen.into_iter().map(Some).collect(),
        None => vec![None; n_workers],
    }
}

/// Pins the calling thread; whether it worked.
pub fn pin(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

/// Descriptors beside those of the connections: polls, timers, files.
pub(super) const FILES_BESIDE: u64 = 64;

/// Raises the limit of open files of this process, as far as it may, to what this
/// number of connections needs. On other systems than Linux the user sets the limit.
pub fn raise_file_limit(n_connections: u64) {
    let needed = n_connections.saturating_add(FILES_BESIDE);
    if let Some((soft, hard)) = file_limits()
        && soft < needed
    {
        // A lower limit is the user's, and is told where it matters.
        limits::set_files(needed.min(hard), hard);
    }
}

/// How many files this process may open, and how many it may allow itself.
pub(super) fn file_limits() -> Option<(u64, u64)> {
    limits::files()
}

#[cfg(all(target_os = "linux", not(pmcp_portable)))]
mod limits {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    pub(super) fn files() -> Option<(u64, u64)> {
        getrlimit(Resource::RLIMIT_NOFILE).ok()
    }

    pub(super) fn set_files(soft: u64, hard: u64) {
        // Whoever asks for more than it may have goes without.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
}

#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
mod limits {
    pub(super) fn files() -> Option<(u64, u64)> {
        None
    }

    pub(super) fn set_files(_: u64, _: u64) {}
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
    fn a_thread_beside_the_workers_gets_a_cpu_of_its_own_or_none() {
        let check = |allowed: &[usize], n_workers, expected| {
            let cpus = cpus(allowed, None);
            let workers = cpus.assign(n_workers);
            assert_eq!(cpus.beside(&workers), expected, "{cpus:?} {n_workers}");
        };
        check(&[0], 1, None);
        check(&[0, 1], 2, None);
        check(&[0, 1], 1, Some(0));
        check(&[2, 3, 6, 7], 3, Some(2));
        // The first is the coordinator's.
        check(&[2, 3, 6, 7], 2, Some(3));
        // Workers that are not pinned may be anywhere.
        check(&[0, 1], 3, None);
        assert_eq!(cpus(&[0, 1, 2], None).beside(&[None, None]), None);
    }

    #[test]
    fn this_process_may_use_at_least_one_cpu() {
        let cpus = Cpus::of_this_process();
        assert!(cpus.usable() >= 1);
        assert!(cpus.machine >= cpus.allowed.len());
    }
}
