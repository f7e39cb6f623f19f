//! The socket for HTTP that systemd, or whoever speaks its protocol, holds open over restarts (sd_listen_fds(3)): clients that come while no
//! server runs wait in its queue and are not refused.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

use super::StartError;

/// The socket that is held for this process, if `LISTEN_PID` and `LISTEN_FDS` name one.
///
/// # Errors
/// [`StartError::Held`] if there is another number of sockets than one, or it is not a TCP socket that listens.
pub fn listener() -> Result<Option<TcpListener>, StartError> {
    let mut held = ListenFd::from_env();
    match held.len() {
        0 => Ok(None),
        1 => held.take_tcp_listener(0).map_err(StartError::Held),
        count => Err(StartError::Held(io::Error::other(format!("there are {count} of them")))),
    }
}
