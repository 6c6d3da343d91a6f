//! The control groups that this process's CPU time is accounted to, version 2
//! and 1: from its own group up to the root, since a quota of any of them binds.

use std::fs;
use std::path::{Path, PathBuf};

/// A group that may limit CPU time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) version: CgroupVersion,
    pub(super) folder: PathBuf,
}

/// Which interface its files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupVersion {
    One,
    Two,
}

/// This process's groups, its own first. None where there are no groups.
pub(super) fn groups() -> Vec<Group> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    text.lines().flat_map(groups_of_line).collect()
}

/// This process's groups that may limit memory, its own first.
pub(super) fn memory_groups() -> Vec<Group> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = text.lines();
    groups
        .flat_map(|line| groups_with(line, "memory"))
        .collect()
}

/// A line of `/proc/self/cgroup` (cgroups(7)): `1:cpu:/a/b`, or `0::/a/b`.
fn groups_of_line(line: &str) -> Vec<Group> {
    groups_with(line, "cpu")
}

/// The same; `controller` is the one that is asked about, in version 1.
fn groups_with(line: &str, controller: &str) -> Vec<Group> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
    else {
        return Vec::new();
    };
    if controllers.is_empty() {
        levels(CgroupVersion::Two, Path::new("/sys/fs/cgroup"), path)
    } else if controllers.split(',').any(|name| name == controller) {
        let root = Path::new("/sys/fs/cgroup").join(controller);
        levels(CgroupVersion::One, &root, path)
    } else {
        Vec::new()
    }
}

fn levels(version: CgroupVersion, root: &Path, path: &str) -> Vec<Group> {
    let own = root.join(path.trim_start_matches('/'));
    let folders = own
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    folders
        .map(|folder| Group {
            version,
            folder: folder.to_path_buf(),
        })
        .collect()
}

impl Group {
    /// The quota in thousandths of a CPU, if there is one.
    pub(super) fn quota_millicpus(&self) -> Option<u64> {
        match self.version {
            CgroupVersion::Two => parse_cpu_max(&self.read("cpu.max")?),
            CgroupVersion::One => {
                let number = |name| self.read(name)?.trim().parse().ok();
                ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
            }
        }
    }

    /// The memory that its processes may still take, in bytes, if it has a limit. Pages
    /// of files that were read count as taken until they are needed.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let (limit, used) = match self.version {
            CgroupVersion::Two => ("memory.max", "memory.current"),
            CgroupVersion::One => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        };
        let number = |text: String| text.trim().parse::<u64>().ok();
        let inactive = self
            .read("memory.stat")
            .and_then(|stat| inactive_file(&stat));
        let used = number(self.read(used)?)?.saturating_sub(inactive.unwrap_or(0));
        // Version 1 writes "no limit" as a number of nearly 2^63.
        let limit = number(self.read(limit)?).filter(|limit| *limit < 1 << 62)?;
        Some(limit.saturating_sub(used))
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// The file that tells how long the group was stopped.
    pub(super) fn stat_path(&self) -> PathBuf {
        self.folder.join("cpu.stat")
    }
}

/// Pages of files that may be dropped at once, in bytes, by a group's `memory.stat`.
fn inactive_file(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("inactive_file "))
        .and_then(|value| value.trim().parse().ok())
}

/// How long a group was stopped since it exists, in nanoseconds, by its
/// `cpu.stat`: all its threads' time on all CPUs together.
pub(super) fn parse_throttled_ns(version: CgroupVersion, text: &str) -> Option<u64> {
    let (name, unit_ns) = match version {
        CgroupVersion::Two => ("throttled_usec", 1_000),
        CgroupVersion::One => ("throttled_time", 1),
    };
    text.lines().find_map(|line| {
        let value: u64 = line.strip_prefix(name)?.trim().parse().ok()?;
        Some(value.saturating_mul(unit_ns))
    })
}

/// `max 100000` or `150000 100000`.
fn parse_cpu_max(text: &str) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read() {
        assert_eq!(parse_cpu_max("max 100000\n"), None);
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1500));
        assert_eq!(parse_cpu_max("1 0"), None);
        assert_eq!(ratio(-1, 100_000), None);
    }

    #[test]
    fn free_memory_is_the_limit_less_what_cannot_be_dropped() {
        let folder = std::env::temp_dir().join(format!("pmcp-cgroup-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let group = Group {
            version: CgroupVersion::Two,
            folder: folder.clone(),
        };
        let free = |limit: &str| {
            fs::write(folder.join("memory.max"), limit).expect("a file");
            fs::write(folder.join("memory.current"), "700\n").expect("a file");
            fs::write(folder.join("memory.stat"), "anon 1\ninactive_file 500\n").expect("a file");
            group.free_bytes()
        };
        let found = [free("1000\n"), free("100\n"), free("max\n")];
        // What was written is ours.
        let _ = fs::remove_dir_all(&folder);
        assert_eq!(found, [Some(800), Some(0), None]);
    }

    #[test]
    fn every_level_up_to_the_root_counts() {
        let folders = |line| -> Vec<String> {
            let shown = |group: Group| group.folder.display().to_string();
            groups_of_line(line).into_iter().map(shown).collect()
        };
        assert_eq!(
            folders("0::/a/b"),
            ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]
        );
        assert_eq!(
            folders("4:cpu,cpuacct:/x"),
            ["/sys/fs/cgroup/cpu/x", "/sys/fs/cgroup/cpu"]
        );
        assert_eq!(folders("3:memory:/x"), [""; 0]);
        assert_eq!(folders("nonsense"), [""; 0]);
    }

    #[test]
    fn throttled_time_is_nanoseconds_in_both_versions() {
        let two = "usage_usec 5\nnr_periods 7\nnr_throttled 3\nthrottled_usec 250\n";
        assert_eq!(parse_throttled_ns(CgroupVersion::Two, two), Some(250_000));
        let one = "nr_periods 7\nnr_throttled 3\nthrottled_time 250\nnr_bursts 0\n";
        assert_eq!(parse_throttled_ns(CgroupVersion::One, one), Some(250));
        assert_eq!(parse_throttled_ns(CgroupVersion::One, two), None);
    }
}
