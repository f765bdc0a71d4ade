//! [`ClearText`]: who could read a password that is sent as text.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::net::UnixStream;

/// The bit of a directory's mode with which everybody can make a socket there.
const WRITABLE_BY_ALL: u32 = 0o002;
const ROOT: u32 = 0;

/// Who could read a password that is sent as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClearText {
    /// Nobody else than the server that was meant, or the user accepts it.
    Accepted,
    /// Everybody on the way.
    Unencrypted,
    /// Whoever answers: nothing shows which server that is.
    Unverified,
    /// Another user of this machine, who may have made the socket.
    ForeignSocket,
}

impl ClearText {
    /// Returns who could read it at the other end of a socket in `dir`. What cannot be found out counts against it.
    pub(crate) fn over_socket(socket: &UnixStream, dir: &Path) -> Self {
        let found = || -> io::Result<Self> {
            let (dir, server) = (fs::metadata(dir)?, socket.peer_cred()?.uid());
            Ok(Self::of_server(server, dir.mode(), &[ROOT, dir.uid(), rustix::process::geteuid().as_raw()]))
        };
        found().unwrap_or(Self::ForeignSocket)
    }

    /// A directory in which everybody can make a socket says nothing of who made this one: only these users are trusted.
    fn of_server(server: u32, dir_mode: u32, trusted: &[u32]) -> Self {
        match dir_mode & WRITABLE_BY_ALL == 0 || trusted.contains(&server) {
            true => Self::Accepted,
            false => Self::ForeignSocket,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_socket_of_this_user_is_trusted_wherever_its_directory_can_be_looked_at() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _server) = runtime.block_on(async { UnixStream::pair() }).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o700, 0o1777] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(ClearText::over_socket(&socket, dir.path()), ClearText::Accepted);
        }
        assert_eq!(ClearText::over_socket(&socket, &dir.path().join("none")), ClearText::ForeignSocket);
    }

    #[test]
    fn a_server_in_a_directory_of_all_must_be_of_a_trusted_user() {
        use ClearText::{Accepted, ForeignSocket};
        let trusted = [ROOT, 111, 1000];
        for (server, dir_mode, wanted) in [
            (1001, 0o041_777, ForeignSocket),
            (1001, 0o040_777, ForeignSocket),
            (1001, 0o043_777, ForeignSocket),
            (1001, 0o040_702, ForeignSocket),
            (ROOT, 0o041_777, Accepted),
            (111, 0o043_777, Accepted),
            (1000, 0o041_777, Accepted),
            // Only those that the owner lets in can make a socket there.
            (1001, 0o042_775, Accepted),
            (1001, 0o040_700, Accepted),
        ] {
            assert_eq!(ClearText::of_server(server, dir_mode, &trusted), wanted, "{server} {dir_mode:o}");
        }
    }
}
