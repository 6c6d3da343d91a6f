//! Where the server goes: as far from the worker as this process may.
//!
//! A pure function of the facts.

use crate::host::HostFacts;

/// The CPU for the server: another than the worker's, on another core where that
/// is known, and on the same NUMA node. `None` where there is no other.
pub(super) fn server_cpu(allowed: &[usize], worker: usize, host: &HostFacts) -> Option<usize> {
    let node = |cpu| host.cpu(cpu).and_then(|facts| facts.numa_node);
    let distance = |cpu: usize| {
        let shares_core = host.share_a_core(worker, cpu) == Some(true);
        (shares_core, node(cpu) != node(worker))
    };
    allowed
        .iter()
        .copied()
        .filter(|cpu| *cpu != worker)
        .min_by_key(|cpu| distance(*cpu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::CpuFacts;

    fn host(cpus: &[(usize, &[usize], usize)]) -> HostFacts {
        let cpu = |(id, core_threads, node): &(usize, &[usize], usize)| CpuFacts {
            id: *id,
            core_threads: Some(core_threads.to_vec()),
            numa_node: Some(*node),
            ..CpuFacts::default()
        };
        HostFacts {
            cpus: cpus.iter().map(cpu).collect(),
            ..HostFacts::default()
        }
    }

    #[test]
    fn the_server_is_on_another_core_of_the_same_node() {
        let unknown = HostFacts::default();
        assert_eq!(server_cpu(&[0, 1, 2, 3], 3, &unknown), Some(0));
        assert_eq!(server_cpu(&[3], 3, &unknown), None);
        let laptop = host(&[
            (0, &[0, 1], 0),
            (1, &[0, 1], 0),
            (2, &[2, 3], 0),
            (3, &[2, 3], 0),
        ]);
        assert_eq!(server_cpu(&[0, 1, 2, 3], 3, &laptop), Some(0));
        assert_eq!(server_cpu(&[2, 3], 3, &laptop), Some(2), "better than none");
        assert_eq!(server_cpu(&[2, 3, 1], 3, &laptop), Some(1));
        let two_nodes = host(&[(0, &[0], 0), (1, &[1], 0), (2, &[2], 1), (3, &[3], 1)]);
        assert_eq!(server_cpu(&[0, 1, 2, 3], 3, &two_nodes), Some(2));
    }
}
