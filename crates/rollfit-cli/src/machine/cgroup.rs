//! [`ControlGroups`]: the control groups that this process is in, of either version, from its own up to the highest that can be
//! seen from here. A limit of any of them holds for all below it.
//!
//! Invariants: a file that is not there is no limit; highest groups, and those without a controller, have none.

use super::files::{Files, ReadResult};

/// The groups of a process.
pub(super) struct ControlGroups {
    cpu: GroupChain,
    memory: GroupChain,
    /// Those of version 2, whichever controllers they have: the pressure is theirs.
    unified: GroupChain,
}

/// The directories of a process's group and of those above it, its own first.
#[derive(Clone, Debug, Default, PartialEq)]
struct GroupChain {
    version: Version,
    dirs: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Version {
    One,
    #[default]
    Two,
}

/// The periods in which a group had work, since it was made; both versions count them in `cpu.stat`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QuotaPeriods {
    pub(super) dir: String,
    pub(super) periods: u64,
    /// Those at whose end the group had to wait for the next.
    pub(super) used_up: u64,
}

impl QuotaPeriods {
    fn parse(dir: &str, stat: &str) -> Option<Self> {
        let number =
            |name| stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok();
        Some(Self { dir: dir.to_owned(), periods: number("nr_periods")?, used_up: number("nr_throttled")? })
    }
}

impl ControlGroups {
    pub(super) fn of_this_process(files: &Files) -> ReadResult<Self> {
        let text = |path| files.see(path, |text| Some(text.to_owned()));
        let (cgroup, mounts) = (text("/proc/self/cgroup")?, text("/proc/self/mountinfo")?);
        let unified = chain(&cgroup, &mounts, None).unwrap_or_default();
        let of = |controller| chain(&cgroup, &mounts, Some(controller)).unwrap_or_else(|| unified.clone());
        Ok(Self { cpu: of("cpu"), memory: of("memory"), unified })
    }

    /// The cores that the groups allow; none where they do not limit them.
    pub(super) fn cores(&self, files: &Files) -> ReadResult<Option<f64>> {
        let mut least: Option<f64> = None;
        for dir in &self.cpu.dirs {
            least = least.into_iter().chain(self.quota(files, dir)?).reduce(f64::min);
        }
        Ok(least)
    }

    /// How often each group with a quota has used it up.
    pub(super) fn quota_periods(&self, files: &Files) -> ReadResult<Vec<QuotaPeriods>> {
        let mut periods = Vec::new();
        for dir in &self.cpu.dirs {
            if self.quota(files, dir)?.is_some() {
                periods.push(files.see(&format!("{dir}/cpu.stat"), |stat| QuotaPeriods::parse(dir, stat))?);
            }
        }
        Ok(periods)
    }

    fn quota(&self, files: &Files, dir: &str) -> ReadResult<Option<f64>> {
        match self.cpu.version {
            Version::One => quota_of_version_1(files, dir),
            Version::Two => Ok(files.find(&format!("{dir}/cpu.max"), quota)?.flatten()),
        }
    }

    /// The memory that the groups allow; none where they do not limit it.
    pub(super) fn memory_bytes(&self, files: &Files) -> ReadResult<Option<u64>> {
        let limits = self.memory.dirs.iter().map(|dir| memory_limit(files, self.memory.version, dir));
        let limits: Vec<Option<u64>> = limits.collect::<ReadResult<_>>()?;
        Ok(limits.into_iter().flatten().min())
    }

    /// The memory that the groups leave; none where they do not limit it. What was read from files and is not in use
    /// is given back when it is needed, and so is free.
    pub(super) fn free_memory_bytes(&self, files: &Files) -> ReadResult<Option<u64>> {
        let mut least = None;
        for dir in &self.memory.dirs {
            if let Some(limit) = memory_limit(files, self.memory.version, dir)? {
                let used = memory_used(files, self.memory.version, dir)?;
                least = least.into_iter().chain([limit.saturating_sub(used)]).min();
            }
        }
        Ok(least)
    }

    /// What `parse` makes of a file of the process's own group of version 2; none where there is no such file.
    pub(super) fn own<T>(
        &self,
        files: &Files,
        name: &str,
        parse: fn(&str) -> Option<T>,
    ) -> ReadResult<Option<T>> {
        match self.unified.dirs.first() {
            Some(dir) => files.find(&format!("{dir}/{name}"), parse),
            None => Ok(None),
        }
    }
}

/// The groups of a process in the hierarchy of version 1 that has `controller`, or without one in that of version 2; none
/// where that is not in use or cannot be seen.
fn chain(cgroup: &str, mounts: &str, controller: Option<&str>) -> Option<GroupChain> {
    let path = cgroup.lines().find_map(|line| path_in(line, controller))?;
    let (top, mount) = mounts.lines().find_map(|line| mount_of(line, controller))?;
    // Seen from a container the path may begin above what is mounted: then only the highest group is known.
    let below = path.strip_prefix(top.trim_end_matches('/'));
    let below = below.filter(|below| below.starts_with('/') && !below.contains("/.."));
    let mut dir = format!("{mount}{}", below.unwrap_or_default()).trim_end_matches('/').to_owned();
    let mut dirs = Vec::new();
    while dir.len() > mount.len() {
        dirs.push(dir.clone());
        dir.truncate(dir.rfind('/')?);
    }
    dirs.push(mount.to_owned());
    Some(GroupChain { version: if controller.is_some() { Version::One } else { Version::Two }, dirs })
}

/// The path that a line of `/proc/self/cgroup` gives: `4:cpu,cpuacct:/path`, and for version 2 `0::/path`.
fn path_in<'a>(line: &'a str, controller: Option<&str>) -> Option<&'a str> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let is_it = match controller {
        Some(controller) => controllers.split(',').any(|other| other == controller),
        None => number == "0" && controllers.is_empty(),
    };
    is_it.then_some(path)
}

/// The group that is mounted, and where, from a line of `/proc/self/mountinfo`:
/// `34 31 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`.
fn mount_of<'a>(line: &'a str, controller: Option<&str>) -> Option<(&'a str, &'a str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let mut kind = kind.split(' ');
    let is_it = match (kind.next()?, controller) {
        ("cgroup", Some(controller)) => kind.nth(1)?.split(',').any(|option| option == controller),
        ("cgroup2", None) => true,
        _ => false,
    };
    is_it.then_some((place.next()?, place.next()?))
}

/// `cpu.max`: `max 100000`, or how much time of how much, in microseconds. None within is no limit.
fn quota(text: &str) -> Option<Option<f64>> {
    let (quota, period) = text.trim().split_once(' ')?;
    if quota == "max" {
        return Some(None);
    }
    cores_of(quota.parse().ok()?, period.parse().ok()?).map(Some)
}

fn quota_of_version_1(files: &Files, dir: &str) -> ReadResult<Option<f64>> {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    let quota_us = files.find(&format!("{dir}/cpu.cfs_quota_us"), number)?;
    let Some(quota_us) = quota_us.filter(|&us| us != -1) else { return Ok(None) };
    let period = |text: &str| cores_of(quota_us, number(text)?);
    files.find(&format!("{dir}/cpu.cfs_period_us"), period)
}

fn cores_of(quota_us: i64, period_us: i64) -> Option<f64> {
    (quota_us > 0 && period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

/// Version 1 says "no limit" with the largest number of pages there can be, version 2 with `max`.
fn memory_limit(files: &Files, version: Version, dir: &str) -> ReadResult<Option<u64>> {
    const NO_LIMIT_BYTES: u64 = 1 << 60;
    let limit = |text: &str| if text.trim() == "max" { Some(u64::MAX) } else { text.trim().parse().ok() };
    let names: &[&str] = match version {
        Version::One => &["memory.limit_in_bytes"],
        Version::Two => &["memory.max", "memory.high"],
    };
    let limits = names.iter().map(|name| files.find(&format!("{dir}/{name}"), limit));
    let limits: Vec<Option<u64>> = limits.collect::<ReadResult<_>>()?;
    Ok(limits.into_iter().flatten().filter(|&limit| limit < NO_LIMIT_BYTES).min())
}

fn memory_used(files: &Files, version: Version, dir: &str) -> ReadResult<u64> {
    let (used, unused_files, unwritten) = match version {
        Version::One => ("memory.usage_in_bytes", "total_inactive_file", ["total_dirty", "total_writeback"]),
        Version::Two => ("memory.current", "inactive_file", ["file_dirty", "file_writeback"]),
    };
    let used: u64 = files.see(&format!("{dir}/{used}"), |text| text.trim().parse().ok())?;
    let given_back = files.see(&format!("{dir}/memory.stat"), |text| {
        let bytes = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
        };
        // What has yet to reach a disk cannot be given back before: a group is killed rather than made to wait for that.
        let unwritten: u64 = unwritten.into_iter().filter_map(bytes).sum();
        Some(bytes(unused_files)?.saturating_sub(unwritten))
    })?;
    Ok(used.saturating_sub(given_back))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "23 1 0:22 / / rw - ext4 /dev/vda rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn a_group_is_followed_up_to_what_is_mounted() {
        let cgroup = "4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/\n";
        let cpu = chain(cgroup, MOUNTS, Some("cpu")).unwrap();
        let top = "/sys/fs/cgroup/cpu,cpuacct";
        assert_eq!(cpu.dirs, [format!("{top}/a/b"), format!("{top}/a"), top.to_owned()]);
        assert_eq!(chain(cgroup, MOUNTS, None).unwrap().dirs, ["/sys/fs/cgroup/unified"]);
        assert_eq!(chain(cgroup, MOUNTS, Some("memory")), None);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_highest() {
        let mounts = "32 31 0:29 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let dirs = |cgroup| chain(cgroup, mounts, None).unwrap().dirs;
        assert_eq!(dirs("0::/docker/abc\n"), ["/sys/fs/cgroup"]);
        assert_eq!(dirs("0::/docker/abc/job\n"), ["/sys/fs/cgroup/job", "/sys/fs/cgroup"]);
        assert_eq!(dirs("0::/elsewhere\n"), ["/sys/fs/cgroup"]);
        assert_eq!(dirs("0::/docker/abcdef\n"), ["/sys/fs/cgroup"]);
        assert_eq!(dirs("0::/docker/abc/../def\n"), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn quotas_are_cores_and_nonsense_is_none() {
        assert_eq!(quota("150000 100000\n"), Some(Some(1.5)));
        assert_eq!(quota("max 100000\n"), Some(None));
        for text in ["", "max", "0 100000", "-1 100000", "1 0", "one two", "100000 100000 1"] {
            assert_eq!(quota(text), None, "{text}");
        }
    }

    #[test]
    fn lines_that_are_cut_off_name_no_group() {
        for text in ["", "4", "4:cpu", "4:cpu,cpuacct"] {
            assert_eq!(chain(text, MOUNTS, Some("cpu")), None, "{text}");
        }
        for mounts in ["", "32 31 0:29 /", "32 31 0:29 / /sys - cgroup", "32 31 0:29 - cgroup cgroup rw,cpu"]
        {
            assert_eq!(chain("4:cpu:/a\n", mounts, Some("cpu")), None, "{mounts}");
        }
    }
}
