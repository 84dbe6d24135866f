//! Tells systemd when the server listens and when it stops (sd_notify). Elsewhere `NOTIFY_SOCKET` is not set, and nothing happens.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says `READY=1` or `STOPPING=1`. Nobody listens in vain for the answer: there is none.
pub(super) fn tell(state: &str) {
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(name.as_bytes(), state)
    {
        tracing::warn!(%error, "the service manager can't be told: {state}");
    }
}

fn send(name: &[u8], state: &str) -> io::Result<()> {
    let to = match name {
        // An abstract name, which no file system has.
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to).map(drop)
}
