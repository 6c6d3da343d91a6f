//! The machine's facts, read once.

use std::path::Path;

use super::tree::Tree;

/// The machine. `None` is unknown everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The CPU's model, as it calls itself.
    pub cpu_model: Option<String>,
    /// CPUs that are online.
    pub n_cpus: Option<usize>,
    /// Kernel name and release, such as `Linux 6.18.44`.
    pub kernel: Option<String>,
    /// It is a virtual machine: a hypervisor is between us and the CPUs.
    pub is_virtual: Option<bool>,
    /// CPUs may run above their nominal frequency while it is cool enough.
    pub boost: Option<bool>,
    /// Intel's own driver chooses the frequency, and has a switch of its own
    /// for the boost.
    pub is_intel_pstate: bool,
    /// CPUs that the scheduler keeps free (`isolcpus`).
    pub isolated: Option<Vec<usize>>,
    /// CPUs without a periodic tick while one thread runs (`nohz_full`).
    pub nohz_full: Option<Vec<usize>>,
    /// NUMA nodes that are online.
    pub n_numa_nodes: Option<usize>,
    /// How much later than asked for a thread's sleep may end, in nanoseconds.
    pub timer_slack_ns: Option<u64>,
    /// The CPUs that were asked about, in that order.
    pub cpus: Vec<CpuFacts>,
}

/// One CPU, which is a hardware thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuFacts {
    /// Its number.
    pub id: usize,
    /// What chooses its frequency, such as `performance`.
    pub governor: Option<String>,
    /// The hardware threads of its core, itself among them.
    pub core_threads: Option<Vec<usize>>,
    /// Its NUMA node.
    pub numa_node: Option<usize>,
    /// How long it takes to wake from the deepest idle state that is enabled,
    /// in microseconds, as the system states it.
    pub wake_us: Option<u64>,
}

impl CpuFacts {
    fn read(tree: Tree<'_>, id: usize) -> Self {
        Self {
            id,
            governor: tree.governor(id),
            core_threads: tree.core_threads(id),
            numa_node: tree.numa_node(id),
            wake_us: tree.deepest_wake_us(id),
        }
    }
}

impl HostFacts {
    /// What is known of a CPU that was asked about.
    pub fn cpu(&self, id: usize) -> Option<&CpuFacts> {
        self.cpus.iter().find(|cpu| cpu.id == id)
    }

    /// Whether two CPUs are hardware threads of one core; `None` where that is
    /// unknown.
    pub fn share_a_core(&self, one: usize, other: usize) -> Option<bool> {
        let threads = self.cpu(one)?.core_threads.as_ref()?;
        Some(one != other && threads.contains(&other))
    }

    /// Like the function [`governors`], of CPUs that were asked about.
    pub fn governors(&self, ids: &[usize]) -> Option<String> {
        each_once(ids.iter().filter_map(|id| self.cpu(*id)?.governor.clone()))
    }
}

/// The governors of the given CPUs, each once; `None` where none is known. It
/// reads no more than that: for a run that is about to begin.
pub fn governors(root: &Path, cpus: &[usize]) -> Option<String> {
    let tree = Tree { root };
    each_once(cpus.iter().filter_map(|id| tree.governor(*id)))
}

fn each_once(governors: impl Iterator<Item = String>) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for governor in governors {
        if !names.contains(&governor) {
            names.push(governor);
        }
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Reads what is known, and of these CPUs in particular, below `root`, which is
/// `/` but in tests.
pub fn read(root: &Path, cpus: &[usize]) -> HostFacts {
    let tree = Tree { root };
    let cpu_info = tree.start_of("proc/cpuinfo");
    HostFacts {
        cpu_model: cpu_info
            .as_deref()
            .and_then(|info| cpu_info_field(info, "model name"))
            .map(str::to_string),
        n_cpus: tree
            .cpu_list("sys/devices/system/cpu/online")
            .map(|cpus| cpus.len()),
        kernel: tree.kernel(),
        is_virtual: cpu_info.as_deref().and_then(is_virtual),
        boost: tree.boost(),
        is_intel_pstate: tree.no_turbo().is_some(),
        isolated: tree.cpu_list("sys/devices/system/cpu/isolated"),
        nohz_full: tree.cpu_list("sys/devices/system/cpu/nohz_full"),
        n_numa_nodes: tree
            .cpu_list("sys/devices/system/node/online")
            .map(|nodes| nodes.len()),
        timer_slack_ns: tree.number("proc/self/timerslack_ns"),
        cpus: cpus.iter().map(|id| CpuFacts::read(tree, *id)).collect(),
    }
}

/// The first value of a field of `/proc/cpuinfo`.
fn cpu_info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.trim() == name)
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

/// An x86 CPU says so in its flags; without flags it is unknown.
fn is_virtual(info: &str) -> Option<bool> {
    let flags = cpu_info_field(info, "flags")?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}
