//! What the files of `/proc` and `/sys` say. Pure: text in, numbers out, none where the text is not as expected.

/// Processor time of the whole machine since it started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    /// Spent on processes and on the system itself.
    pub(super) busy: u64,
    /// Given to other machines by the hypervisor.
    pub(super) stolen: u64,
}

/// `/proc/stat`. A guest's time is part of the user's; time without work is not busy, whether or not for a disk.
pub(super) fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[user, nice, system, _idle, _io, interrupts, soft_interrupts, stolen, ..] = ticks.as_slice() else {
        return None;
    };
    Some(Ticks { busy: user + nice + system + interrupts + soft_interrupts, stolen })
}

/// `/proc/stat` again: a line for each core at work.
pub(super) fn cores_with_ticks(stat: &str) -> Option<usize> {
    let is_core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    Some(stat.lines().filter(is_core).count()).filter(|&cores| cores > 0)
}

/// `/proc/stat` once more: when the machine started, in whole seconds since 1970 by the clock as it is now.
pub(super) fn boot_s(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// What `/proc/PID/stat` says of a process. Times are in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessStat {
    pub(super) parent: u32,
    /// After the machine.
    pub(super) started: u64,
    /// The processor time of the process.
    own: u64,
    /// That of its children that have ended, and of theirs.
    pub(super) of_ended_children: u64,
}

impl ProcessStat {
    pub(super) fn parse(stat: &str) -> Option<Self> {
        // The name is in parentheses, and may have some.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)?.checked_add(number(12)?)?,
            of_ended_children: number(13)?.checked_add(number(14)?)?,
            started: number(19)?,
        })
    }

    /// The processor time of the process and of its children that have ended.
    pub(super) fn ticks(&self) -> u64 {
        self.own.saturating_add(self.of_ended_children)
    }
}

/// What a device has done since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceStat {
    pub(super) busy_ms: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

/// The line of `/proc/diskstats` with these numbers: `254 0 vda`, then what was read, written, in progress, and the time.
pub(super) fn device_stat(diskstats: &str, (major, minor): (u32, u32)) -> Option<DeviceStat> {
    const SECTOR_BYTES: u64 = 512;
    let fields_of_device = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let is_it = fields.next()?.parse() == Ok(major) && fields.next()?.parse() == Ok(minor);
        is_it.then(|| fields.skip(1).map_while(|field| field.parse().ok()).collect::<Vec<u64>>())
    };
    let fields = diskstats.lines().find_map(fields_of_device)?;
    Some(DeviceStat {
        read_bytes: fields.get(2)?.checked_mul(SECTOR_BYTES)?,
        written_bytes: fields.get(6)?.checked_mul(SECTOR_BYTES)?,
        busy_ms: *fields.get(9)?,
    })
}

/// How many are in a list such as `0-3,8`.
pub(super) fn listed(list: &str) -> Option<usize> {
    let count = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.trim().split(',').map(count).try_fold(0_usize, |sum, cores| sum.checked_add(cores?))
}

/// `/proc/self/status`: the cores that affinity and cpusets leave.
pub(super) fn cores_of_affinity(status: &str) -> Option<usize> {
    listed(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// A line of `/proc/meminfo` such as `MemTotal:  24684096 kB`, in bytes.
pub(super) fn memory_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// `/proc/loadavg`: the average of the last minute.
pub(super) fn load(loadavg: &str) -> Option<f64> {
    let load: f64 = loadavg.split_ascii_whitespace().next()?.parse().ok()?;
    Some(load).filter(|load| (0.0..1e6).contains(load))
}

/// A file of `/proc/pressure`: for how long some task has waited, in microseconds.
pub(super) fn pressure_us(pressure: &str) -> Option<u64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// `/proc/self/statm`: the pages that are in memory.
pub(super) fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What a process read from disks and wrote to them, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskBytes {
    pub(super) read: u64,
    pub(super) written: u64,
}

/// `/proc/self/io`.
pub(super) fn disk_bytes(io: &str) -> Option<DiskBytes> {
    let number = |name| io.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
    Some(DiskBytes { read: number("read_bytes:")?, written: number("write_bytes:")? })
}

/// `/proc/self/task/*/schedstat`: for how long the thread has waited for a core, in nanoseconds.
pub(super) fn waited_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 20 30 4000 50 6 7 8 9 0\ncpu0 50 10 15 2000 25 3 3 4 4 0\ncpu1 50 10 15 2000 25 3 4 4 5 0\n\
        intr 21555751 0 0\nctxt 44541004\n";

    #[test]
    fn busy_is_what_is_neither_idle_nor_stolen_and_a_guest_counts_once() {
        assert_eq!(ticks(STAT), Some(Ticks { busy: 100 + 20 + 30 + 6 + 7, stolen: 8 }));
        assert_eq!(cores_with_ticks(STAT), Some(2));
    }

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(["0", "0-1\n", "0-3,8", "0,2-3,5"].map(listed), [1, 2, 5, 4].map(Some));
        assert_eq!(cores_of_affinity("Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1,7\n"), Some(3));
    }

    #[test]
    fn memory_load_pressure_and_disk_are_read() {
        let meminfo =
            "MemTotal:       24684096 kB\nMemFree:          545476 kB\nMemAvailable:   24019148 kB\n";
        assert_eq!(memory_bytes(meminfo, "MemTotal"), Some(24_684_096 * 1024));
        assert_eq!(memory_bytes(meminfo, "MemAvailable"), Some(24_019_148 * 1024));
        assert_eq!(memory_bytes(meminfo, "Mem"), None);
        assert_eq!(load("5.28 3.11 1.78 3/104 2593\n"), Some(5.28));
        let pressure = "some avg10=10.49 avg60=46.80 avg300=32.84 total=6704188973\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(pressure_us(pressure), Some(6_704_188_973));
        assert_eq!(resident_pages("765 417 390 5 0 123 0\n"), Some(417));
        let io = "rchar: 6998\nwchar: 22\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n";
        assert_eq!(disk_bytes(io), Some(DiskBytes { read: 4096, written: 8192 }));
        assert_eq!(waited_ns("119 2743110 1\n"), Some(2_743_110));
    }

    #[test]
    fn a_process_is_read_whatever_it_is_called() {
        for name in ["postgres", "a) b (c", ") 1 2 3"] {
            let stat = format!(
                "42 ({name}) S 7 42 42 0 -1 4194560 100 2000 3 4 50 6 700 80 20 0 1 0 9000 200000 300 18446744073709551615 1\n"
            );
            let process = ProcessStat::parse(&stat).unwrap();
            assert_eq!((process.parent, process.started), (7, 9000), "{name}");
            assert_eq!((process.ticks(), process.of_ended_children), (836, 780), "{name}");
        }
        for stat in
            ["", "42 (postgres", "42 (postgres) S 7", "42 (a) S -7 1 1 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 9000"]
        {
            assert_eq!(ProcessStat::parse(stat), None, "{stat}");
        }
        assert_eq!(
            [boot_s(STAT), boot_s("cpu 1\nbtime 1795937936\nprocesses 1\n")],
            [None, Some(1_795_937_936)]
        );
    }

    #[test]
    fn a_device_is_the_one_with_both_numbers() {
        let diskstats = "   7       0 loop0 1519 7112 952916 1435 3655 4492 3789726 26792 0 5832 31664 0 0 0 0 855 3436\n\
             259       0 nvme0n1 10 0 80 5 20 0 160 9 0 1234 14\n 259       1 nvme0n1p1 1 0 8 5 2 0 16 9 0 99 14\n   8 0 sda 1 2 3\n";
        let device = |busy_ms, read: u64, written: u64| {
            Some(DeviceStat { busy_ms, read_bytes: 512 * read, written_bytes: 512 * written })
        };
        assert_eq!(device_stat(diskstats, (7, 0)), device(5832, 952_916, 3_789_726));
        assert_eq!(device_stat(diskstats, (259, 0)), device(1234, 80, 160));
        assert_eq!(device_stat(diskstats, (259, 1)), device(99, 8, 16));
        for absent in [(7, 1), (0, 259), (8, 0), (25, 90)] {
            assert_eq!(device_stat(diskstats, absent), None, "{absent:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_number() {
        for text in ["", "\n", "hello", "cpu  one 2", "cpu", "some avg10=1", "MemTotal: many kB", "-1 -2"] {
            assert_eq!((ticks(text), cores_with_ticks(text), listed(text)), (None, None, None), "{text}");
            assert_eq!((memory_bytes(text, "MemTotal"), load(text)), (None, None), "{text}");
            assert_eq!(
                (pressure_us(text), resident_pages(text), waited_ns(text)),
                (None, None, None),
                "{text}"
            );
            assert_eq!((disk_bytes(text), cores_of_affinity(text)), (None, None), "{text}");
        }
        for list in ["3-1", "0-", "-", ",", "0,,1", "0-18446744073709551615,0-18446744073709551615"] {
            assert_eq!(listed(list), None, "{list}");
        }
        assert_eq!(
            (load("NaN"), load("inf 1 2"), memory_bytes("M: 18446744073709551615 kB", "M")),
            (None, None, None)
        );
    }
}
