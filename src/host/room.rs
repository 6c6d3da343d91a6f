//! What of this host is too small for a load, before it begins, and the command that
//! makes it larger.
//!
//! To add one: what the host has in [`Room`], what a load needs in [`Need`], a variant
//! of [`Shortage`] with its text, its rule in [`shortages`], its test. What is unknown
//! is short of nothing.

use std::io;

use super::advice::HostAdvice;
use super::cgroup::{Group, memory_groups};
use super::cpus::{Cpus, FILES_BESIDE, file_limits};
use super::tree::Tree;
use crate::error::UserError;
use crate::units::{format_bytes, format_count};

/// The stack of a task and the guard page below it are a mapping each.
const MAPPINGS_PER_TASK: u64 = 2;

/// Mappings of the program itself: its code, libraries and allocator.
const MAPPINGS_BESIDE: u64 = 1_000;

/// Ours some 17 KiB (`benches/step` measures it), and the kernel's for a connection.
const BYTES_PER_USER: u64 = 32 * 1024;

/// Of the program itself, with the figures of a run of some minutes.
const BYTES_BESIDE: u64 = 64 * 1024 * 1024;

/// What a load needs of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Connections at once, at most.
    pub connections: u64,
    /// Pairs of a local and a remote address that share them.
    pub routes: u64,
    /// Worker threads.
    pub workers: u64,
}

/// What this host has. `None`: unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Open files of this process: how many it may have, and may allow itself.
    files: Option<(u64, u64)>,
    /// Local ports for clients.
    ports: Option<u64>,
    /// Mappings of memory of a process.
    mappings: Option<u64>,
    /// Memory that is free, or would be if it had to, in bytes.
    memory_bytes: Option<u64>,
    /// The control group's quota in thousandths of a CPU.
    quota_millicpus: Option<u64>,
}

impl Room {
    /// Asks the system.
    pub fn of_this_host() -> Self {
        let of_groups = memory_groups().iter().filter_map(Group::free_bytes).min();
        let read = Self::read(Tree::system());
        Self {
            files: file_limits(),
            memory_bytes: read.memory_bytes.into_iter().chain(of_groups).min(),
            quota_millicpus: Cpus::of_this_process().quota_millicpus,
            ..read
        }
    }

    /// What the files below a root tell.
    pub(super) fn read(tree: Tree<'_>) -> Self {
        Self {
            ports: tree.client_ports(),
            mappings: tree.number("proc/sys/vm/max_map_count"),
            memory_bytes: tree.available_bytes(),
            ..Self::default()
        }
    }
}

/// What is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Open files of this process.
    Files {
        /// How many it may have.
        limit: u64,
        /// How many it may allow itself.
        hard: u64,
        /// How many it needs.
        needed: u64,
    },
    /// Local ports.
    Ports {
        /// How many there are for each pair of addresses.
        ports: u64,
        /// How many connections share them.
        needed: u64,
    },
    /// Mappings of memory.
    Mappings {
        /// How many a process may have.
        limit: u64,
        /// How many it needs.
        needed: u64,
    },
    /// Memory.
    Memory {
        /// In bytes.
        available: u64,
        /// In bytes, about.
        needed: u64,
    },
    /// CPU time of the control group.
    Quota {
        /// In thousandths of a CPU.
        millicpus: u64,
    },
}

/// What this host has too little of for a load, the hardest limit first.
pub fn shortages(room: &Room, need: &Need) -> Vec<Shortage> {
    let mut found = Vec::new();
    let needed = need.connections.saturating_add(FILES_BESIDE);
    if let Some((limit, hard)) = room.files.filter(|(limit, _)| *limit < needed) {
        found.push(Shortage::Files {
            limit,
            hard,
            needed,
        });
    }
    let needed = need.connections.div_ceil(need.routes.max(1));
    if let Some(ports) = room.ports.filter(|ports| *ports < needed) {
        found.push(Shortage::Ports { ports, needed });
    }
    let of_tasks = need.connections.saturating_mul(MAPPINGS_PER_TASK);
    let needed = of_tasks.saturating_add(MAPPINGS_BESIDE);
    if let Some(limit) = room.mappings.filter(|limit| *limit < needed) {
        found.push(Shortage::Mappings { limit, needed });
    }
    let of_users = need.connections.saturating_mul(BYTES_PER_USER);
    let needed = of_users.saturating_add(BYTES_BESIDE);
    if let Some(available) = room.memory_bytes.filter(|bytes| *bytes < needed) {
        found.push(Shortage::Memory { available, needed });
    }
    let of_workers = need.workers.saturating_mul(1_000);
    if let Some(millicpus) = room.quota_millicpus.filter(|quota| *quota < of_workers) {
        found.push(Shortage::Quota { millicpus });
    }
    found
}

impl Shortage {
    /// What was found, what it means, and how to change it.
    pub fn text(self) -> String {
        match self {
            Self::Files {
                limit,
                hard,
                needed,
            } => {
                let command = match needed <= hard {
                    true => format!("ulimit -n {needed}"),
                    false => format!("sudo prlimit --pid $$ --nofile={needed}"),
                };
                format!(
                    "this process may open {} files, and the connections of this load need {}: \
                     those beyond it fail; raise the limit in this shell: `{command}`",
                    format_count(limit),
                    format_count(needed)
                )
            }
            Self::Ports { ports, needed } => format!(
                "this host has {} local ports for connections from one address to another, and \
                 this load makes {}: those beyond it fail; allow more: `sudo sysctl -w \
                 net.ipv4.ip_local_port_range='1024 65535'`, or connect from several addresses of this \
                 host (`--bind`, repeated)",
                format_count(ports),
                format_count(needed)
            ),
            Self::Mappings { limit, needed } => format!(
                "a process may have {} mappings of memory here, and the stacks of this load's \
                 users need {}: users beyond it cannot begin; allow more: `sudo sysctl -w \
                 vm.max_map_count={}`",
                format_count(limit),
                format_count(needed),
                // Some room beside what is counted here.
                needed.saturating_mul(2)
            ),
            Self::Memory { available, needed } => format!(
                "{} of memory are free for this process, and the users of this load take about \
                 {}: the system may end it, or swap, which shows as latency; lower the number of \
                 users, share the load among hosts (`--segment`), or give the container more \
                 (`docker update --memory …`)",
                format_bytes(available),
                format_bytes(needed)
            ),
            Self::Quota { millicpus } => HostAdvice::Quota { millicpus }.text(),
        }
    }
}

/// What the system refused before a load could begin, with the limit to look at where the
/// cause is one. `what` is a fragment: `no thread`.
pub fn refused_by_system(what: &str, error: &io::Error) -> UserError {
    let refused = UserError::could_not_run(format!("{what}: {error}"));
    match hint_of(error) {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

fn hint_of(error: &io::Error) -> Option<&'static str> {
    match (error.kind(), error.raw_os_error()) {
        // ENFILE and EMFILE.
        #[cfg(unix)]
        (_, Some(23)) => Some(
            "all processes of this machine together have too many files open: end some, or raise \
             `fs.file-max`",
        ),
        #[cfg(unix)]
        (_, Some(24)) => Some(
            "this process may open too few files: allow more in this shell, as with `ulimit -n 1024`",
        ),
        // A thread that the system does not start.
        (io::ErrorKind::WouldBlock, _) => Some(
            "this process may have too few threads (`ulimit -u`, `pids.max` of a container), or too \
             little memory for their stacks (`ulimit -v`)",
        ),
        (io::ErrorKind::OutOfMemory, _) => Some(
            "this process may have too little memory (`ulimit -v`, the limit of a container), or \
             too few mappings of it (`vm.max_map_count`)",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_refusal_of_the_system_names_the_limit() {
        for (number, hint) in [
            (24, Some("ulimit -n")),
            (23, Some("fs.file-max")),
            (11, Some("ulimit -u")),
            (12, Some("ulimit -v")),
            (13, None),
        ] {
            let refused = refused_by_system("no thread", &io::Error::from_raw_os_error(number));
            let said = refused.to_string();
            assert!(said.starts_with("no thread: "), "{said}");
            assert_eq!(refused.hints().is_empty(), hint.is_none(), "{said}");
            assert!(hint.is_none_or(|hint| said.contains(hint)), "{said}");
        }
    }

    const NEED: Need = Need {
        connections: 40_000,
        routes: 1,
        workers: 2,
    };

    const AMPLE: Room = Room {
        files: Some((100_000, 100_000)),
        ports: Some(50_000),
        mappings: Some(262_144),
        memory_bytes: Some(8 << 30),
        quota_millicpus: Some(2_000),
    };

    fn texts(room: Room, need: Need) -> Vec<String> {
        let found = shortages(&room, &need);
        found.into_iter().map(Shortage::text).collect()
    }

    #[test]
    fn what_is_ample_or_unknown_is_short_of_nothing() {
        assert_eq!(texts(AMPLE, NEED), [""; 0]);
        assert_eq!(texts(Room::default(), NEED), [""; 0]);
    }

    #[test]
    fn each_shortage_comes_with_the_command_that_mends_it() {
        let files = |limit, hard| Room {
            files: Some((limit, hard)),
            ..AMPLE
        };
        for (room, expected) in [
            (files(1_024, 100_000), "`ulimit -n 40064`"),
            (
                files(1_024, 4_096),
                "`sudo prlimit --pid $$ --nofile=40064`",
            ),
            (
                Room {
                    ports: Some(28_232),
                    ..AMPLE
                },
                "28,232 local ports for connections from one address to another, and this load \
                 makes 40,000",
            ),
            (
                Room {
                    mappings: Some(65_530),
                    ..AMPLE
                },
                "`sudo sysctl -w vm.max_map_count=162000`",
            ),
            (
                Room {
                    memory_bytes: Some(1 << 30),
                    ..AMPLE
                },
                "of memory are free for this process",
            ),
            (
                Room {
                    quota_millicpus: Some(1_500),
                    ..AMPLE
                },
                "the control group's quota is 1.5 CPUs",
            ),
        ] {
            let texts = texts(room, NEED);
            assert_eq!(texts.len(), 1, "{texts:?}");
            assert!(texts[0].contains(expected), "{}", texts[0]);
        }
    }

    #[test]
    fn several_addresses_share_the_ports() {
        let room = Room {
            ports: Some(28_232),
            ..AMPLE
        };
        let need = Need { routes: 2, ..NEED };
        assert_eq!(texts(room, need), [""; 0]);
    }

    #[test]
    fn this_host_is_asked() {
        let room = Room::of_this_host();
        if cfg!(all(target_os = "linux", not(pmcp_portable))) {
            assert!(room.files.is_some() && room.memory_bytes.is_some());
        }
    }
}
