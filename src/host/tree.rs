//! The files of `/sys` and `/proc` below a root.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files below a root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) root: &'a Path,
}

impl Tree<'static> {
    /// The files of this machine.
    pub(super) fn system() -> Self {
        Self {
            root: Path::new("/"),
        }
    }
}

impl Tree<'_> {
    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_string())
    }

    /// The first page, which for `cpuinfo` is the first CPU or more: the kernel
    /// takes its time to write of all of them.
    pub(super) fn start_of(&self, path: &str) -> Option<String> {
        const PAGE_BYTES: u64 = 4096;
        let mut bytes = Vec::new();
        let file = fs::File::open(self.root.join(path)).ok()?;
        file.take(PAGE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    pub(super) fn cpu_list(&self, path: &str) -> Option<Vec<usize>> {
        parse_cpu_list(&self.text(path)?)
    }

    /// How many ports the system gives to clients (ip(7), `ip_local_port_range`).
    pub(super) fn client_ports(&self) -> Option<u64> {
        let text = self.text("proc/sys/net/ipv4/ip_local_port_range")?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let (low, high) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(high.checked_sub(low)? + 1)
    }

    /// Memory that a new process could have without swapping (proc_meminfo(5)), in
    /// bytes.
    pub(super) fn available_bytes(&self) -> Option<u64> {
        let text = self.text("proc/meminfo")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib.saturating_mul(1024))
    }

    pub(super) fn kernel(&self) -> Option<String> {
        let name = self.text("proc/sys/kernel/ostype")?;
        let release = self.text("proc/sys/kernel/osrelease")?;
        Some(format!("{name} {release}"))
    }

    /// Intel's driver has a switch of its own that means the opposite.
    pub(super) fn boost(&self) -> Option<bool> {
        let boost = || self.number("sys/devices/system/cpu/cpufreq/boost");
        self.no_turbo()
            .map(|off| off == 0)
            .or_else(|| Some(boost()? != 0))
    }

    pub(super) fn no_turbo(&self) -> Option<u64> {
        self.number("sys/devices/system/cpu/intel_pstate/no_turbo")
    }

    pub(super) fn governor(&self, cpu: usize) -> Option<String> {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        self.text(&path).filter(|name| !name.is_empty())
    }

    /// The hardware threads of the CPU's core, itself among them.
    pub(super) fn core_threads(&self, cpu: usize) -> Option<Vec<usize>> {
        self.cpu_list(&format!(
            "sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        ))
    }

    /// The CPU's memory node.
    pub(super) fn numa_node(&self, cpu: usize) -> Option<usize> {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}");
        let mut nodes = self.numbered_entries(&folder, "node");
        nodes.next().map(|(number, _)| number)
    }

    /// The folder's entries `prefixNUMBER`: their numbers and paths.
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
    pub(super) fn deepest_wake_us(&self, cpu: usize) -> Option<u64> {
        let read =
            |path: PathBuf| -> Option<u64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
        self.numbered_entries(&format!("sys/devices/system/cpu/cpu{cpu}/cpuidle"), "state")
            .filter(|(_, state)| read(state.join("disable")) == Some(0))
            .filter_map(|(_, state)| read(state.join("latency")))
            .max()
    }
}

/// More CPUs than any machine has: a list that names more is not a list.
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
