//! What kind of machine this is, as far as it bears on measuring: CPUs, their
//! frequency and their neighbours, the kernel, a hypervisor.
//!
//! Everything is read from `/sys` and `/proc` below a root that is given, so
//! that tests hand it a made-up tree. What cannot be read is unknown, never an
//! error: other systems have none of these files, and containers few. It does
//! not know what is measured. Start with [`read`]; `advice.rs` says what stands
//! in the way of good figures, and how to change it.

mod advice;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use advice::{Surroundings, advise};

/// The machine. `None` is unknown everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The CPU's model, as it calls itself.
    pub cpu_model: Option<String>,
    /// CPUs that are online.
    pub n_cpus: Option<usize>,
    /// Kernel name and release, such as `Linux 6.18.44`.
    pub kernel: Option<String>,
    /// It is a virtual machine: a hypervisor stands between us and the CPUs.
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
        cpus: cpus.iter().map(|id| tree.cpu(*id)).collect(),
    }
}

/// Files below a root.
struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_string())
    }

    /// The first page, which for `cpuinfo` is the first CPU or more: the kernel
    /// takes its time to write of all of them.
    fn start_of(&self, path: &str) -> Option<String> {
        const PAGE_BYTES: u64 = 4096;
        let mut bytes = Vec::new();
        let file = fs::File::open(self.root.join(path)).ok()?;
        file.take(PAGE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    fn cpu_list(&self, path: &str) -> Option<Vec<usize>> {
        parse_cpu_list(&self.text(path)?)
    }

    fn kernel(&self) -> Option<String> {
        let name = self.text("proc/sys/kernel/ostype")?;
        let release = self.text("proc/sys/kernel/osrelease")?;
        Some(format!("{name} {release}"))
    }

    /// Intel's driver has a switch of its own that means the opposite.
    fn boost(&self) -> Option<bool> {
        let boost = || self.number("sys/devices/system/cpu/cpufreq/boost");
        self.no_turbo()
            .map(|off| off == 0)
            .or_else(|| Some(boost()? != 0))
    }

    fn no_turbo(&self) -> Option<u64> {
        self.number("sys/devices/system/cpu/intel_pstate/no_turbo")
    }

    fn governor(&self, cpu: usize) -> Option<String> {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        self.text(&path).filter(|name| !name.is_empty())
    }

    fn cpu(&self, id: usize) -> CpuFacts {
        let folder = format!("sys/devices/system/cpu/cpu{id}");
        CpuFacts {
            id,
            governor: self.governor(id),
            core_threads: self.cpu_list(&format!("{folder}/topology/thread_siblings_list")),
            numa_node: self.numbered_entry(&folder, "node"),
            wake_us: self.deepest_wake_us(&folder),
        }
    }

    /// The number in the name of the folder's entry `prefixNUMBER`.
    fn numbered_entry(&self, folder: &str, prefix: &str) -> Option<usize> {
        self.numbered_entries(folder, prefix)
            .map(|(number, _)| number)
            .next()
    }

    fn numbered_entries(
        &self,
        folder: &str,
        prefix: &str,
    ) -> impl Iterator<Item = (usize, PathBuf)> {
        let entries = fs::read_dir(self.root.join(folder)).ok();
        entries.into_iter().flatten().filter_map(move |entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
    }

    /// The `latency` of idle states is the time to leave them, in microseconds
    /// (Documentation/admin-guide/pm/cpuidle.rst).
    fn deepest_wake_us(&self, cpu_folder: &str) -> Option<u64> {
        let read =
            |path: PathBuf| -> Option<u64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
        self.numbered_entries(&format!("{cpu_folder}/cpuidle"), "state")
            .filter(|(_, state)| read(state.join("disable")) == Some(0))
            .filter_map(|(_, state)| read(state.join("latency")))
            .max()
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

/// x86 says so among the CPU's flags; where there are none it is unknown.
fn is_virtual(info: &str) -> Option<bool> {
    let flags = cpu_info_field(info, "flags")?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// More CPUs than any machine has: a list that names more is no list.
const CPUS_MAX: usize = 65_536;

/// `0-3,5`, or nothing at all (cpuset(7), "List format"); ascending.
pub fn parse_cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

#[cfg(test)]
mod tests;
