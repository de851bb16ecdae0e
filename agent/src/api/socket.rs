//! Makes the API's socket: readable by its owner only from the first moment, and never another agent's.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixSocket};

/// So many connections may wait to be accepted.
const BACKLOG: u32 = 64;
/// Its owner may connect, nobody else.
const MODE: u32 = 0o600;

/// A socket that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The directory it would be in cannot be made.
    #[error("cannot make {} for the API socket", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody answers there.
    #[error("another agent is running at {}; stop it first, or choose another place with --api-socket", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{} is there and is no socket; remove it, or choose another place with --api-socket", path.display())]
    NotASocket {
        /// The place.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("cannot listen at {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Listens at `path`, in a directory that is made if need be. What a dead agent left there is removed. Needs the runtime.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        make.map_err(|source| SocketError::Directory { path: directory.to_owned(), source })?;
    }
    clear(path)?;
    listen(path).map_err(|source| SocketError::Listen { path: path.to_owned(), source })
}

/// Removes a socket at which nobody answers. Two agents that do this at the same moment are kept apart by the ledger.
fn clear(path: &Path) -> Result<(), SocketError> {
    let error = |source| SocketError::Listen { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(error(source)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(error)
        }
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(error(source)),
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
    }
}

/// Nobody can connect before `listen`, so the mode is right before anybody can.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn only_its_owner_can_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/holdfast/api.sock");
        let _listener = bind(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        // What an agent that was killed leaves: a name at which nobody listens.
        UnixSocket::new_stream().unwrap().bind(&path).unwrap();
        assert!(path.exists());
        let _living = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("another agent is running at {}", path.display())));
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path).unwrap_err(), SocketError::NotASocket { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let long = dir.path().join("x".repeat(120));
        assert!(matches!(bind(&long).unwrap_err(), SocketError::Listen { .. }));
    }
}
