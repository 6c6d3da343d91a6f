//! What of this host stands in the way of good figures, and how to change it.
//!
//! Each piece of advice is for something that was seen: what is unknown gets
//! none. A text says what was seen, why it matters, and gives the command.
//!
//! To add one: a variant, its id, its text, its rule in [`advise`], its test.

use super::HostFacts;

/// Something that can be done about this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAdvice {
    /// There is one CPU for both the generator and what it is measured against.
    OneCpu,
    /// Two of the CPUs used are hardware threads of one core.
    SharedCore {
        /// One of them.
        one: usize,
        /// The other.
        other: usize,
        /// CPUs of different cores that this process may use, if there are any.
        apart: Option<(usize, usize)>,
    },
    /// The other hardware thread of a worker's core is free for any process.
    BusySibling {
        /// The worker's CPU.
        cpu: usize,
        /// The other thread of its core.
        sibling: usize,
    },
    /// The control group's quota may stop all threads.
    Quota {
        /// In thousandths of a CPU.
        millicpus: u64,
    },
    /// CPUs used are governed by something else than `performance`.
    Governor {
        /// What governs them.
        governor: String,
        /// The CPUs.
        cpus: Vec<usize>,
    },
    /// The frequency depends on temperature and on what other CPUs do.
    Boost {
        /// The switch is that of Intel's driver.
        is_intel_pstate: bool,
    },
    /// An idle CPU takes long to wake.
    DeepIdle {
        /// In microseconds, as the system states it.
        wake_us: u64,
    },
    /// Other processes may run on the worker's CPU.
    NotIsolated {
        /// The worker's CPU.
        cpu: usize,
    },
    /// The CPUs used are on different NUMA nodes.
    NumaNodes {
        /// The worker's node.
        worker: usize,
        /// The other's.
        other: usize,
    },
    /// There is a hypervisor.
    VirtualMachine,
}

/// What the facts are looked at for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// CPUs that this process may use, ascending.
    pub allowed: Vec<usize>,
    /// The control group's quota in thousandths of a CPU, if there is one.
    pub quota_millicpus: Option<u64>,
    /// The worker's CPU; `None`: not pinned.
    pub worker: Option<usize>,
    /// The CPU of what it works against; `None`: not pinned, or elsewhere.
    pub server: Option<usize>,
}

/// Below this, waking is not what makes a call late.
const WAKE_US_MIN: u64 = 20;

/// On smaller machines there is no CPU to keep free.
const CPUS_TO_ISOLATE: usize = 4;

/// What applies, most telling first.
pub fn advise(facts: &HostFacts, around: &Surroundings) -> Vec<HostAdvice> {
    let used: Vec<usize> = around.worker.into_iter().chain(around.server).collect();
    let mut found = Vec::new();
    if around.allowed.len() == 1 {
        found.push(HostAdvice::OneCpu);
    }
    found.extend(cores(facts, around));
    if let Some(millicpus) = around.quota_millicpus {
        found.push(HostAdvice::Quota { millicpus });
    }
    found.extend(governor(facts, &used));
    let wake_us = used.iter().filter_map(|id| facts.cpu(*id)?.wake_us).max();
    if let Some(wake_us) = wake_us.filter(|us| *us >= WAKE_US_MIN) {
        found.push(HostAdvice::DeepIdle { wake_us });
    }
    if let Some(cpu) = around.worker
        && facts.n_cpus.is_some_and(|n| n >= CPUS_TO_ISOLATE)
        && facts
            .isolated
            .as_ref()
            .is_some_and(|isolated| !isolated.contains(&cpu))
    {
        found.push(HostAdvice::NotIsolated { cpu });
    }
    let node = |cpu: Option<usize>| facts.cpu(cpu?)?.numa_node;
    if let (Some(worker), Some(other)) = (node(around.worker), node(around.server))
        && worker != other
    {
        found.push(HostAdvice::NumaNodes { worker, other });
    }
    if facts.boost == Some(true) {
        found.push(HostAdvice::Boost {
            is_intel_pstate: facts.is_intel_pstate,
        });
    }
    if facts.is_virtual == Some(true) {
        found.push(HostAdvice::VirtualMachine);
    }
    found
}

/// Hardware threads of one core compete for it.
fn cores(facts: &HostFacts, around: &Surroundings) -> Option<HostAdvice> {
    let worker = around.worker?;
    if let Some(server) = around.server
        && facts.share_a_core(worker, server)?
    {
        let apart = around.allowed.iter().find_map(|cpu| {
            let is_apart = *cpu != worker && facts.share_a_core(worker, *cpu) == Some(false);
            is_apart.then_some((*cpu, worker))
        });
        return Some(HostAdvice::SharedCore {
            one: server,
            other: worker,
            apart,
        });
    }
    let threads = facts.cpu(worker)?.core_threads.as_ref()?;
    let sibling = *threads.iter().find(|cpu| **cpu != worker)?;
    Some(HostAdvice::BusySibling {
        cpu: worker,
        sibling,
    })
}

fn governor(facts: &HostFacts, used: &[usize]) -> Option<HostAdvice> {
    let is_slow = |id: &&usize| {
        let governor = facts.cpu(**id).and_then(|cpu| cpu.governor.as_deref());
        governor.is_some_and(|governor| governor != "performance")
    };
    let cpus: Vec<usize> = used.iter().filter(is_slow).copied().collect();
    Some(HostAdvice::Governor {
        governor: facts.governors(&cpus)?,
        cpus,
    })
}

impl HostAdvice {
    /// Its stable name.
    pub fn id(&self) -> &'static str {
        match self {
            Self::OneCpu => "one_cpu",
            Self::SharedCore { .. } => "shared_core",
            Self::BusySibling { .. } => "busy_sibling",
            Self::Quota { .. } => "cpu_quota",
            Self::Governor { .. } => "governor",
            Self::Boost { .. } => "boost",
            Self::DeepIdle { .. } => "deep_idle",
            Self::NotIsolated { .. } => "not_isolated",
            Self::NumaNodes { .. } => "numa_nodes",
            Self::VirtualMachine => "virtual_machine",
        }
    }

    /// What was seen, why it matters, and how to change it.
    pub fn text(&self) -> String {
        match self {
            Self::OneCpu => {
                "this process may use one CPU only: the generator shares it with the server that \
                 it is measured against, and figures are those of both together; allow it another \
                 one: `taskset -c 0,1 cargo pmcp loadtest …`"
                    .to_string()
            }
            Self::SharedCore { one, other, apart } => {
                let seen = format!(
                    "CPUs {one} and {other} are two threads of one core, so that generator and \
                     server take turns on it and each looks slower than it is"
                );
                match apart {
                    Some((first, second)) => format!(
                        "{seen}; take CPUs of different cores: `taskset -c {first},{second} cargo \
                         pmcp loadtest …`"
                    ),
                    None => format!("{seen}; this process may use no CPU of another core"),
                }
            }
            Self::BusySibling { cpu, sibling } => format!(
                "CPU {sibling} is the other thread of the core of CPU {cpu}, which makes the load: \
                 whatever runs there takes up to half of its speed; keep it idle: `echo 0 | sudo \
                 tee /sys/devices/system/cpu/cpu{sibling}/online`"
            ),
            Self::Quota { millicpus } => format!(
                "the control group's quota is {} CPUs: once it is used up, all threads stand still \
                 for the rest of a period (mostly 100 ms), which shows as latency; start the \
                 container without `--cpus`, or lift it: `echo max | sudo tee /sys/fs/cgroup\
                 $(cut -d: -f3 /proc/self/cgroup)/cpu.max`",
                *millicpus as f64 / 1e3
            ),
            Self::Governor { governor, cpus } => {
                let (word, list) = numbered(cpus);
                format!(
                    "the governor `{governor}` sets the frequency of {word} {list}: it lowers it \
                     while a CPU waits, so that the first calls after a pause are slow; take \
                     another: `sudo cpupower --cpu {list} frequency-set --governor performance`"
                )
            }
            Self::Boost { is_intel_pstate } => {
                let switch = match is_intel_pstate {
                    true => "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo",
                    false => "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
                };
                format!(
                    "the CPUs may boost their frequency, by how much depends on their temperature \
                     and on their neighbours: good for the highest rate, bad for figures to be \
                     repeated; for those, switch it off: `{switch}`"
                )
            }
            Self::DeepIdle { wake_us } => format!(
                "an idle CPU may take {wake_us} us to wake, which adds to lateness at low rates; \
                 use `--busy-poll` on a host that does nothing else, or forbid deep sleep: `sudo \
                 cpupower idle-set --disable-by-latency {WAKE_US_MIN}`"
            ),
            Self::NotIsolated { cpu } => format!(
                "CPU {cpu}, which makes the load, is open to every other process, and the kernel's \
                 own work interrupts it; for a host that only measures, boot with `isolcpus={cpu} \
                 nohz_full={cpu} rcu_nocbs={cpu}` and start with `taskset -c 0,{cpu} cargo pmcp \
                 loadtest …`"
            ),
            Self::NumaNodes { worker, other } => format!(
                "generator and server are on different NUMA nodes ({worker} and {other}), and \
                 every byte crosses between them; keep to one: `numactl --cpunodebind={worker} \
                 --membind={worker} cargo pmcp loadtest …`"
            ),
            Self::VirtualMachine => {
                "this is a virtual machine: its hypervisor may take a CPU away at any moment, which \
                 shows here as latency, and wakes it slowly; see how much with `vmstat 1` (column \
                 `st`), calibrate more than once, and take a host of your own where microseconds \
                 count"
                    .to_string()
            }
        }
    }
}

/// `CPU` and `3`, `CPUs` and `0,3`.
fn numbered(cpus: &[usize]) -> (&'static str, String) {
    let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    let word = if cpus.len() == 1 { "CPU" } else { "CPUs" };
    (word, list.join(","))
}
