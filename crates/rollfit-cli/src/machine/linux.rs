//! [`Linux`]: a machine described by `/proc` and `/sys`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rollfit_job::lock::lock;
use rollfit_job::store::ServerProcess;
use rollfit_job::watch::{Machine, MachineLimits, MachineSample};

use super::cgroup::ControlGroups;
use super::files::{Files, ReadResult};
use super::proc;
use super::reading::Reading;
use super::watched::Watched;

/// Over how long the first sample looks at least. Processor time is counted in ticks of ten milliseconds.
const FIRST_WINDOW: Duration = Duration::from_millis(100);

/// Within this time a sample is reused: over a shorter time rates would be noise.
const SAME_WITHIN: Duration = Duration::from_millis(50);

/// A machine with Linux.
pub(super) struct Linux {
    files: Files,
    groups: ReadResult<ControlGroups>,
    began: Instant,
    last: Mutex<Last>,
}

/// What was read last, and the sample made of it; none at first.
struct Last {
    watched: Watched,
    reading: Reading,
    sample: Option<MachineSample>,
}

impl Linux {
    /// The machine whose `/proc` and `/sys` are below a directory. The first sample covers the time from now on.
    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        let files = Files::below(root);
        let groups = ControlGroups::of_this_process(&files);
        let watched = Watched::default();
        let reading = Reading::from_files(&files, &groups, &watched, (Duration::ZERO, own_cpu()));
        let last = Mutex::new(Last { watched, reading, sample: None });
        Self { files, groups, began: Instant::now(), last }
    }

    fn read(&self, watched: &Watched) -> Reading {
        Reading::from_files(&self.files, &self.groups, watched, (self.began.elapsed(), own_cpu()))
    }

    fn cores(&self) -> ReadResult<usize> {
        let online = self.files.see("/sys/devices/system/cpu/online", proc::listed);
        online.or_else(|_| self.files.see("/proc/stat", proc::cores_with_ticks))
    }

    /// The lower limit of affinity and control groups.
    fn cores_allowed(&self, unavailable: &mut Vec<String>) -> Option<f64> {
        let affinity = self.files.see("/proc/self/status", proc::cores_of_affinity);
        let affinity = known(affinity, "the cores that affinity leaves", unavailable);
        let quota = self.of_groups(|groups| groups.cores(&self.files));
        let quota = known(quota, "the cores that control groups leave", unavailable).flatten();
        affinity.map(|cores| cores as f64).into_iter().chain(quota).reduce(f64::min)
    }

    fn of_groups<T>(&self, ask: impl FnOnce(&ControlGroups) -> ReadResult<T>) -> ReadResult<T> {
        self.groups.as_ref().map_err(Clone::clone).and_then(ask)
    }
}

impl Machine for Linux {
    fn limits(&self) -> MachineLimits {
        let mut unavailable = Vec::new();
        let cores = known(self.cores(), "the machine's cores", &mut unavailable);
        let cores_allowed = self.cores_allowed(&mut unavailable);
        let memory = self.files.see("/proc/meminfo", |text| proc::memory_bytes(text, "MemTotal"));
        let memory_bytes = known(memory, "the machine's memory", &mut unavailable);
        let group = self.of_groups(|groups| groups.memory_bytes(&self.files));
        let memory_allowed = known(group, "the memory that control groups leave", &mut unavailable).flatten();
        unavailable.extend(self.read(&lock(&self.last).watched).unavailable());
        MachineLimits {
            cores,
            cores_allowed: cores_allowed.filter(|&allowed| cores.is_none_or(|cores| allowed < cores as f64)),
            memory_bytes,
            memory_allowed_bytes: memory_allowed.filter(|&bytes| memory_bytes.is_none_or(|all| bytes < all)),
            unavailable,
        }
    }

    fn sample(&self) -> MachineSample {
        let mut last = lock(&self.last);
        let age = self.began.elapsed().saturating_sub(last.reading.at);
        let sample = match &last.sample {
            Some(sample) if age < SAME_WITHIN => return sample.clone(),
            Some(_) => self.sample_since(&mut last),
            None => {
                std::thread::sleep(FIRST_WINDOW.saturating_sub(age));
                with_the_minute_before(self.sample_since(&mut last), self.cores().ok())
            }
        };
        last.sample = Some(sample.clone());
        sample
    }

    fn watch_server(&self, process: &ServerProcess) -> Result<(), String> {
        let mut last = lock(&self.last);
        if last.watched.watch_server(&self.files, process)? {
            // So that the next sample has its time since now.
            last.reading.server = last.watched.server_time(&self.files, self.began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    fn watch_device(&self, device: u64) {
        lock(&self.last).watched.watch_device(device);
    }
}

impl Linux {
    fn sample_since(&self, last: &mut Last) -> MachineSample {
        let reading = self.read(&last.watched).after(&last.reading);
        let sample = reading.since(&last.reading);
        last.reading = reading;
        sample
    }
}

/// What is known, or none and why.
fn known<T>(seen: ReadResult<T>, what: &str, unavailable: &mut Vec<String>) -> Option<T> {
    seen.map_err(|cause| unavailable.push(format!("{what}: {cause}"))).ok()
}

/// The first sample looks at the short time since this process began, in which another process that comes and goes may have
/// been away; or it may be gone since, and the load average of the last minute remembers it. Neither is the whole truth:
/// where the load average says more, half of the difference counts. The load average also counts tasks that wait
/// for disks, and more tasks than there are cores.
pub(super) fn with_the_minute_before(mut sample: MachineSample, cores: Option<usize>) -> MachineSample {
    if let (Some(others), Some(load)) = (sample.others_cores, sample.load) {
        let busy = cores.map_or(load, |cores| load.min(cores as f64));
        let of_the_minute = busy - sample.own_cores.unwrap_or(0.0);
        sample.others_cores = Some(others + (of_the_minute - others).max(0.0) / 2.0);
    }
    sample
}

/// The processor time of this process, its threads that have ended included.
fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
