//! The UDP socket of a media worker: many datagrams a system call, both ways.
//!
//! A socket bound to a wildcard keeps which of our addresses each datagram came to (PKTINFO), and
//! sends from that one; else replies may leave from another address and clients drop them.

mod outbox;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};

use crate::limits;

pub(crate) use outbox::Outbox;
pub(crate) use receive::Receiver;
pub(crate) use send::{Flushed, Sender};

/// A bound socket with its buffers.
pub(crate) struct Socket {
    socket: Arc<UdpSocket>,
    pub(crate) receiver: Receiver,
    pub(crate) sender: Sender,
}

/// A bound socket without buffers for sending: those hold pointers and are made on the thread that uses them.
pub(crate) struct Bound {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    wildcard: bool,
    receiver: Receiver,
}

impl Bound {
    /// Binds; `[::]` takes IPv4 too.
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd: OwnedFd = socket::socket(family, SockType::Datagram, flags, None)?;
        let wildcard = address.ip().is_unspecified();
        if address.is_ipv6() {
            socket::setsockopt(&fd, sockopt::Ipv6V6Only, &!wildcard)?;
        }
        if wildcard && address.is_ipv4() {
            socket::setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
        } else if wildcard {
            socket::setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        // The kernel gives what it may; less than asked for is no error. The first of each pair passes its limit, for those who
        // may administer the network.
        let wanted = limits::SOCKET_BUFFER_BYTES;
        socket::setsockopt(&fd, sockopt::RcvBufForce, &wanted)
            .or_else(|_| socket::setsockopt(&fd, sockopt::RcvBuf, &wanted))?;
        socket::setsockopt(&fd, sockopt::SndBufForce, &wanted)
            .or_else(|_| socket::setsockopt(&fd, sockopt::SndBuf, &wanted))?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        let socket = Arc::new(UdpSocket::from(fd));
        Ok(Self {
            local: socket.local_addr()?,
            receiver: Receiver::new(socket.clone(), wildcard)?,
            socket,
            wildcard,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What the kernel lets wait for us, bytes, its own accounts of each datagram included.
    pub(crate) fn receive_buffer(&self) -> io::Result<usize> {
        Ok(socket::getsockopt(&self.socket, sockopt::RcvBuf)?)
    }
}

impl Socket {
    pub(crate) fn new(bound: Bound) -> Self {
        Self {
            sender: Sender::new(bound.socket.clone(), bound.local, bound.wildcard),
            receiver: bound.receiver,
            socket: bound.socket,
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
