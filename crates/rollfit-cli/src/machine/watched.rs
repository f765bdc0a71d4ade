//! [`Watched`]: what of the machine is the store's, beyond this process: the processes of its server, and its device.

use rollfit_job::store::ServerProcess;

use super::files::{Files, ReadResult};
use super::proc::{self, DeviceStat};
use super::server::{Server, ServerTime};

/// What is watched for a store.
#[derive(Default)]
pub(super) struct Watched {
    server: Option<Server>,
    /// By its two numbers.
    device: Option<(u32, u32)>,
}

impl Watched {
    /// Watches the server of a process, and the device of its data where that can be seen. Returns whether it is another server than before.
    ///
    /// # Errors
    /// Why it cannot be told for certain.
    pub(super) fn watch_server(&mut self, files: &Files, process: &ServerProcess) -> ReadResult<bool> {
        if self.server.as_ref().is_some_and(|server| server.is_of(files, process)) {
            return Ok(false);
        }
        self.server = None;
        let server = Server::find(files, process)?;
        // Only the server's own user and root may see it.
        if let Some(device) = files.device(&server.dir()) {
            self.watch_device(device);
        }
        self.server = Some(server);
        Ok(true)
    }

    pub(super) fn watch_device(&mut self, device: u64) {
        self.device = Some((rustix::fs::major(device), rustix::fs::minor(device)));
    }

    /// The processor time of the server; none where none is watched, or it has ended.
    pub(super) fn server_time(&self, files: &Files, at_s: f64) -> Option<ServerTime> {
        self.server.as_ref()?.time(files, at_s).ok()
    }

    /// What the device has done; none where none is watched.
    pub(super) fn device_stat(&self, files: &Files) -> Option<ReadResult<DeviceStat>> {
        let (major, minor) = self.device?;
        // Major number 0 is for file systems without a device: in memory, in layers, over a network.
        let seen = files.see("/proc/diskstats", |text| Some(proc::device_stat(text, (major, minor))));
        let absent =
            || format!("the store is on device {major}:{minor}, which /proc/diskstats does not have");
        Some(seen.and_then(|stat| stat.ok_or_else(absent)))
    }
}
