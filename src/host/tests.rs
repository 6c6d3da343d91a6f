//! Facts of made-up trees, and the advice that follows from them.

use super::advice::HostAdvice;
use super::facts::*;
use super::tree::parse_cpu_list;
use super::*;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A root of its own, removed when dropped.
struct Root(PathBuf);

impl Root {
    fn new(files: &[(&str, &str)]) -> Self {
        static N_MADE: AtomicU32 = AtomicU32::new(0);
        let n = N_MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pmcp-host-{}-{n}", std::process::id()));
        for (name, content) in files {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, content).expect("a file");
        }
        Self(path)
    }

    fn read(&self, cpus: &[usize]) -> HostFacts {
        read(&self.0, cpus)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two cores with two threads each, as Intel's machines number them.
const LAPTOP: &[(&str, &str)] = &[
    (
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Fast CPU @ 3.00GHz\nflags\t\t: fpu vme sse2\n\n\
         processor\t: 1\nmodel name\t: Fast CPU @ 3.00GHz\n",
    ),
    ("proc/sys/kernel/ostype", "Linux\n"),
    ("proc/sys/kernel/osrelease", "6.1.0-9-amd64\n"),
    ("proc/self/timerslack_ns", "50000\n"),
    ("proc/sys/vm/max_map_count", "65530\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    (
        "proc/meminfo",
        "MemTotal:       24684092 kB\nMemFree:          274444 kB\nMemAvailable:   1024 kB\n",
    ),
    ("sys/devices/system/cpu/online", "0-3\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    ("sys/devices/system/cpu/nohz_full", "(null)\n"),
    ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
    ("sys/devices/system/node/online", "0\n"),
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "powersave\n",
    ),
    (
        "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
        "0,2\n",
    ),
    ("sys/devices/system/cpu/cpu0/node0/cpulist", "0-3\n"),
    (
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
        "performance\n",
    ),
    (
        "sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
        "1,3\n",
    ),
    (
        "sys/devices/system/cpu/cpu2/topology/thread_siblings_list",
        "0,2\n",
    ),
    (
        "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
        "powersave\n",
    ),
    (
        "sys/devices/system/cpu/cpu3/topology/thread_siblings_list",
        "1,3\n",
    ),
    ("sys/devices/system/cpu/cpu3/cpuidle/state0/latency", "0\n"),
    ("sys/devices/system/cpu/cpu3/cpuidle/state0/disable", "0\n"),
    (
        "sys/devices/system/cpu/cpu3/cpuidle/state1/latency",
        "133\n",
    ),
    ("sys/devices/system/cpu/cpu3/cpuidle/state1/disable", "0\n"),
    (
        "sys/devices/system/cpu/cpu3/cpuidle/state2/latency",
        "890\n",
    ),
    ("sys/devices/system/cpu/cpu3/cpuidle/state2/disable", "1\n"),
];

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn a_tree_is_read() {
    let facts = Root::new(LAPTOP).read(&ALL);
    assert_eq!(facts.cpu_model.as_deref(), Some("Fast CPU @ 3.00GHz"));
    assert_eq!(facts.n_cpus, Some(4));
    assert_eq!(facts.kernel.as_deref(), Some("Linux 6.1.0-9-amd64"));
    assert_eq!(facts.is_virtual, Some(false));
    assert_eq!((facts.boost, facts.is_intel_pstate), (Some(true), true));
    assert_eq!(facts.isolated, Some(vec![]), "none, which is known");
    assert_eq!(facts.nohz_full, None, "no list");
    assert_eq!(facts.n_numa_nodes, Some(1));
    assert_eq!(facts.timer_slack_ns, Some(50_000));
    assert_eq!(facts.cpu(0).and_then(|cpu| cpu.numa_node), Some(0));
    let last = facts.cpu(3).expect("asked about");
    assert_eq!(last.wake_us, Some(133), "the deepest that is enabled");
    assert_eq!(last.core_threads, Some(vec![1, 3]));
    assert_eq!(facts.share_a_core(1, 3), Some(true));
    assert_eq!(facts.share_a_core(3, 3), Some(false));
    assert_eq!(facts.share_a_core(0, 3), Some(false));
    assert_eq!(facts.share_a_core(9, 3), None);
    assert_eq!(facts.governors(&[0, 3]).as_deref(), Some("powersave"));
    let both = facts.governors(&ALL);
    assert_eq!(both.as_deref(), Some("powersave, performance"));
    assert_eq!(facts.governors(&[2]), None);
    let root = Root::new(LAPTOP);
    let both = governors(&root.0, &ALL);
    assert_eq!(both.as_deref(), Some("powersave, performance"));
}

#[test]
fn what_is_missing_is_unknown() {
    let facts = Root::new(&[]).read(&[0]);
    let nothing = HostFacts {
        cpus: vec![CpuFacts::default()],
        ..HostFacts::default()
    };
    assert_eq!(facts, nothing);
    let around = Surroundings {
        allowed: vec![0, 1],
        quota_millicpus: None,
        worker: Some(1),
        server: Some(0),
    };
    assert_eq!(
        advise(&facts, &around),
        [],
        "what is unknown gets no advice"
    );
    let other = Root::new(&[
        ("proc/cpuinfo", "processor : 0\nFeatures : fp asimd\n"),
        ("sys/devices/system/cpu/online", "0-99999999999\n"),
        ("sys/devices/system/cpu/cpufreq/boost", "0\n"),
        ("proc/self/timerslack_ns", "many\n"),
    ]);
    let facts = other.read(&[]);
    assert_eq!((facts.cpu_model, facts.is_virtual), (None, None));
    assert_eq!((facts.n_cpus, facts.timer_slack_ns), (None, None));
    assert_eq!((facts.boost, facts.is_intel_pstate), (Some(false), false));
}

#[test]
fn a_hypervisor_is_seen() {
    let info = "model name : EPYC\nflags : fpu hypervisor lahf_lm\n";
    let facts = Root::new(&[("proc/cpuinfo", info)]).read(&[]);
    assert_eq!(facts.is_virtual, Some(true));
}

#[test]
fn lists_of_cpus_are_read() {
    assert_eq!(parse_cpu_list("0-3,5\n"), Some(vec![0, 1, 2, 3, 5]));
    assert_eq!(parse_cpu_list("7,2"), Some(vec![2, 7]));
    assert_eq!(parse_cpu_list(""), Some(vec![]));
    for text in ["3-1", "x", "1-", "-1", "0-70000"] {
        assert_eq!(parse_cpu_list(text), None, "{text}");
    }
}

fn on_the_laptop(worker: usize, server: usize) -> Vec<HostAdvice> {
    let around = Surroundings {
        allowed: ALL.to_vec(),
        quota_millicpus: None,
        worker: Some(worker),
        server: Some(server),
    };
    advise(&Root::new(LAPTOP).read(&ALL), &around)
}

#[test]
fn two_threads_of_one_core_are_noticed() {
    let found = on_the_laptop(3, 1);
    let expected = HostAdvice::SharedCore {
        one: 1,
        other: 3,
        apart: Some((0, 3)),
    };
    assert_eq!(found[0], expected);
    assert!(found[0].text().contains("taskset -c 0,3"), "{found:?}");
    let found = on_the_laptop(3, 0);
    let expected = HostAdvice::BusySibling { cpu: 3, sibling: 1 };
    assert_eq!(found[0], expected);
    assert!(found[0].text().contains("cpu1/online"), "{found:?}");
}

#[test]
fn governor_idle_states_and_boost_are_those_of_the_cpus_used() {
    let found = on_the_laptop(3, 1);
    let ids: Vec<_> = found.iter().map(HostAdvice::id).collect();
    let expected = [
        "shared_core",
        "governor",
        "deep_idle",
        "not_isolated",
        "boost",
    ];
    assert_eq!(ids, expected);
    let governor = HostAdvice::Governor {
        governor: "powersave".to_string(),
        cpus: vec![3],
    };
    assert_eq!(found[1], governor);
    assert!(governor.text().contains("--cpu 3 frequency-set"));
    assert_eq!(found[2], HostAdvice::DeepIdle { wake_us: 133 });
    assert!(found[4].text().contains("no_turbo"), "{found:?}");
    // CPU 1 runs at full speed and its idle states are unknown.
    let ids: Vec<_> = on_the_laptop(1, 2).iter().map(HostAdvice::id).collect();
    assert_eq!(ids, ["busy_sibling", "not_isolated", "boost"]);
}

#[test]
fn quota_nodes_and_a_single_cpu_are_noticed() {
    let cpu = |id, node| CpuFacts {
        id,
        numa_node: Some(node),
        ..CpuFacts::default()
    };
    let facts = HostFacts {
        n_cpus: Some(64),
        isolated: Some(vec![63]),
        is_virtual: Some(true),
        cpus: vec![cpu(0, 0), cpu(63, 1)],
        ..HostFacts::default()
    };
    let mut around = Surroundings {
        allowed: vec![0, 63],
        quota_millicpus: Some(1500),
        worker: Some(63),
        server: Some(0),
    };
    let found = advise(&facts, &around);
    let numa = HostAdvice::NumaNodes {
        worker: 1,
        other: 0,
    };
    let quota = HostAdvice::Quota { millicpus: 1500 };
    assert_eq!(
        found,
        [quota, numa, HostAdvice::VirtualMachine],
        "63 is isolated"
    );
    assert!(found[0].text().contains("1.5 CPUs"), "{}", found[0].text());
    around.allowed = vec![63];
    around.server = Some(63);
    around.quota_millicpus = None;
    let ids: Vec<_> = advise(&facts, &around).iter().map(HostAdvice::id).collect();
    assert_eq!(ids, ["one_cpu", "virtual_machine"]);
}

#[test]
fn every_advice_says_what_to_do() {
    let all = [
        HostAdvice::OneCpu,
        HostAdvice::SharedCore {
            one: 0,
            other: 1,
            apart: None,
        },
        HostAdvice::BusySibling { cpu: 1, sibling: 3 },
        HostAdvice::Quota { millicpus: 200 },
        HostAdvice::Governor {
            governor: "schedutil".to_string(),
            cpus: vec![0, 1],
        },
        HostAdvice::Boost {
            is_intel_pstate: false,
        },
        HostAdvice::DeepIdle { wake_us: 133 },
        HostAdvice::NotIsolated { cpu: 7 },
        HostAdvice::NumaNodes {
            worker: 0,
            other: 1,
        },
        HostAdvice::VirtualMachine,
    ];
    let mut ids: Vec<_> = all.iter().map(HostAdvice::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "ids are distinct");
    for advice in &all {
        let text = advice.text();
        // Where there is nothing to type, there is nothing to be done here.
        let is_hopeless = matches!(advice, HostAdvice::SharedCore { apart: None, .. });
        assert_eq!(text.contains('`'), !is_hopeless, "{text}");
        assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
    }
}

#[test]
fn the_room_of_a_host_is_read() {
    let root = Root::new(LAPTOP);
    let room = super::room::Room::read(super::tree::Tree { root: &root.0 });
    let text = format!("{room:?}");
    for part in [
        "ports: Some(28232)",
        "mappings: Some(65530)",
        "memory_bytes: Some(1048576)",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
