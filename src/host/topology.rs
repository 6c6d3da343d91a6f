//! Where CPUs stand: which memory node they belong to, and which of them are
//! two threads of one core; and which of them workers should keep to.
//!
//! Workers share nothing while they run, and each touches its memory first on
//! the CPU that it keeps to, so the kernel gives it memory of its own node. What
//! is left to choose is which CPUs: two threads of one core slow each other, and
//! ticks, the script and loopback sockets are cheaper within one node.

use std::collections::BTreeMap;

use super::tree::Tree;

/// A CPU and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuPlace {
    /// Its number.
    pub(super) cpu: usize,
    /// Its memory node.
    pub(super) node: usize,
    /// Its core, as the number of the core's first CPU.
    pub(super) core: usize,
}

/// The CPUs for a number of workers, ascending: a whole core for each while
/// there are cores, all in one memory node while one has enough of them, the
/// last ones first. The first CPU of all is left to the coordinator where there
/// is one to spare. `None` where there are fewer CPUs than workers.
pub(super) fn choose(places: &[CpuPlace], n_workers: usize) -> Option<Vec<usize>> {
    if n_workers > places.len() {
        return None;
    }
    let coordinator = match n_workers < places.len() {
        true => places.iter().map(|place| place.cpu).min(),
        false => None,
    };
    let mut free: Vec<(usize, CpuPlace)> = ranked(places, coordinator)
        .into_iter()
        .filter(|(_, place)| Some(place.cpu) != coordinator)
        .collect();
    let mut n_cores: BTreeMap<usize, usize> = BTreeMap::new();
    for (rank, place) in &free {
        *n_cores.entry(place.node).or_default() += usize::from(*rank == 0);
    }
    // The least node that has enough, or else the largest first.
    let by_node = |node: usize| {
        let n_cores = n_cores[&node];
        match n_cores >= n_workers {
            true => (0, n_cores),
            false => (1, usize::MAX - n_cores),
        }
    };
    let coordinators_core = places
        .iter()
        .find(|place| Some(place.cpu) == coordinator)
        .map(|place| place.core);
    free.sort_by_key(|(rank, place)| {
        let last_first = std::cmp::Reverse;
        (
            *rank,
            // The coordinator has little to do: better beside it than beside
            // another worker.
            Some(place.core) != coordinators_core,
            by_node(place.node),
            last_first(place.node),
            last_first(place.cpu),
        )
    });
    let mut chosen: Vec<usize> = free
        .iter()
        .take(n_workers)
        .map(|(_, place)| place.cpu)
        .collect();
    chosen.sort_unstable();
    Some(chosen)
}

/// Each CPU with the number of CPUs of its core that are preferred to it. The
/// coordinator's comes first; else the last one does.
fn ranked(places: &[CpuPlace], coordinator: Option<usize>) -> Vec<(usize, CpuPlace)> {
    let mut ordered = places.to_vec();
    ordered.sort_by_key(|place| (Some(place.cpu) != coordinator, std::cmp::Reverse(place.cpu)));
    let mut n_taken: BTreeMap<usize, usize> = BTreeMap::new();
    ordered
        .into_iter()
        .map(|place| {
            let taken = n_taken.entry(place.core).or_default();
            let rank = *taken;
            *taken += 1;
            (rank, place)
        })
        .collect()
}

/// Asks the system where these CPUs stand. What it does not tell is taken for
/// one node, and for one core each.
pub(super) fn places_of(cpus: &[usize]) -> Vec<CpuPlace> {
    let tree = Tree::system();
    let place = |&cpu: &usize| CpuPlace {
        cpu,
        node: tree.numa_node(cpu).unwrap_or(0),
        core: tree
            .core_threads(cpu)
            .and_then(|threads| threads.first().copied())
            .unwrap_or(cpu),
    };
    cpus.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPUs by number, with (node, core) of each.
    fn places(of: &[(usize, usize)]) -> Vec<CpuPlace> {
        of.iter()
            .enumerate()
            .map(|(cpu, &(node, core))| CpuPlace { cpu, node, core })
            .collect()
    }

    fn check(places: &[CpuPlace], n_workers: usize, expected: &[usize]) {
        let chosen = choose(places, n_workers);
        assert_eq!(chosen.as_deref(), Some(expected), "{n_workers} workers");
    }

    #[test]
    fn each_worker_has_a_core_while_there_are_cores() {
        // Four cores; CPU n + 4 is the second thread of CPU n's.
        let smt = places(&[0, 1, 2, 3, 0, 1, 2, 3].map(|core| (0, core)));
        check(&smt, 1, &[7]);
        // CPU 0 is the coordinator's, and CPU 4 on the same core comes late.
        check(&smt, 3, &[5, 6, 7]);
        check(&smt, 4, &[4, 5, 6, 7]);
        check(&smt, 7, &[1, 2, 3, 4, 5, 6, 7]);
        check(&smt, 8, &[0, 1, 2, 3, 4, 5, 6, 7]);
        // The same with neighbouring numbers on one core.
        let neighbours = places(&[0, 0, 2, 2, 4, 4].map(|core| (0, core)));
        check(&neighbours, 2, &[3, 5]);
        check(&neighbours, 3, &[1, 3, 5]);
    }

    #[test]
    fn one_memory_node_is_used_while_it_has_enough_cores() {
        // Two nodes of four cores, and a third of two.
        let cpus: Vec<(usize, usize)> = (0..10).map(|cpu| (cpu / 4, cpu)).collect();
        let numa = places(&cpus);
        // The smallest that is large enough.
        check(&numa, 2, &[8, 9]);
        check(&numa, 4, &[4, 5, 6, 7]);
        // None has enough: the largest first.
        check(&numa, 6, &[2, 3, 4, 5, 6, 7]);
        check(&numa, 9, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn without_any_topology_the_last_cpus_are_taken() {
        let flat: Vec<(usize, usize)> = (0..3).map(|cpu| (0, cpu)).collect();
        check(&places(&flat), 2, &[1, 2]);
        check(&places(&flat), 3, &[0, 1, 2]);
        assert_eq!(choose(&places(&flat), 4), None);
    }

    #[test]
    fn every_cpu_has_a_place() {
        let places = places_of(&[0, 1]);
        assert_eq!(
            places.iter().map(|place| place.cpu).collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(places.iter().all(|place| place.core <= place.cpu));
    }
}
