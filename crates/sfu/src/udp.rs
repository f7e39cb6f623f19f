//! The UDP socket of a media worker: many datagrams a system call, both ways.
//!
//! A socket bound to a wildcard keeps which of our addresses each datagram came to (PKTINFO), and
//! sends from that one; else replies may leave from another address and clients drop them.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType,
    SockaddrStorage, sockopt,
};

use crate::ice::Path;
use crate::limits;

/// Bytes for one datagram; one more than allowed shows that it was longer.
const SLOT_BYTES: usize = 2048;

/// How long a full socket buffer is waited for before datagrams are given up, ms.
const SEND_WAIT_MS: u16 = 2;

/// A datagram to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
}

/// A bound socket with its buffers.
pub(crate) struct Socket {
    socket: UdpSocket,
    local: SocketAddr,
    /// Keeps local addresses: bound to a wildcard.
    wildcard: bool,
    buffer: Box<[u8]>,
    receive_headers: MultiHeaders<SockaddrStorage>,
    received: Vec<(Path, usize)>,
    plain_headers: MultiHeaders<SockaddrStorage>,
    from_headers: MultiHeaders<SockaddrStorage>,
}

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flushed {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    pub(crate) refused: u64,
}

/// A bound socket without buffers: those hold pointers and are made on the thread that uses them.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: UdpSocket,
    local: SocketAddr,
    wildcard: bool,
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
        // The kernel gives what it may; less than asked for is no error.
        socket::setsockopt(&fd, sockopt::RcvBuf, &limits::SOCKET_BUFFER_BYTES)?;
        socket::setsockopt(&fd, sockopt::SndBuf, &limits::SOCKET_BUFFER_BYTES)?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        let socket = UdpSocket::from(fd);
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            local,
            wildcard,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Socket {
    pub(crate) fn new(bound: Bound) -> Self {
        let Bound {
            socket,
            local,
            wildcard,
        } = bound;
        Self {
            local,
            socket,
            wildcard,
            buffer: vec![0; SLOT_BYTES * limits::RECEIVE_BATCH_MAX].into_boxed_slice(),
            receive_headers: receive_headers(local, wildcard),
            received: Vec::with_capacity(limits::RECEIVE_BATCH_MAX),
            plain_headers: MultiHeaders::preallocate(limits::SEND_BATCH_MAX, None),
            from_headers: from_headers(local),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes what has arrived, up to the batch's bound, without waiting; returns how many.
    pub(crate) fn receive(&mut self) -> io::Result<usize> {
        self.received.clear();
        let mut slices: [[IoSliceMut<'_>; 1]; limits::RECEIVE_BATCH_MAX] = {
            let mut slots = self.buffer.chunks_exact_mut(SLOT_BYTES);
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())])
        };
        let fd = self.socket.as_raw_fd();
        let results = match socket::recvmmsg(
            fd,
            &mut self.receive_headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        ) {
            Ok(results) => results,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(errno) => return Err(errno.into()),
        };
        let mut incomplete = false;
        for message in results {
            let remote = message.address.as_ref().and_then(socket_addr);
            let local = if self.wildcard { local_ip(&message) } else { None };
            incomplete |= self.wildcard && local.is_none();
            let remote = remote.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
            self.received.push((Path { remote, local }, message.bytes));
        }
        if incomplete {
            // The kernel shortened the room for control data; the next call needs it whole.
            self.receive_headers = receive_headers(self.local, self.wildcard);
        }
        Ok(self.received.len())
    }

    /// A datagram of the last batch.
    pub(crate) fn datagram(&self, index: usize) -> (Path, &[u8]) {
        let (path, length) = self.received[index];
        let start = index * SLOT_BYTES;
        (path, &self.buffer[start..start + length.min(SLOT_BYTES)])
    }

    /// Sends all and empties the queue. What the kernel refuses is dropped, as a network would.
    pub(crate) fn flush(&mut self, queue: &mut Vec<Outgoing>) -> Flushed {
        let mut flushed = Flushed::default();
        let mut rest = queue.as_slice();
        while let Some(first) = rest.first() {
            let local = first.path.local.filter(|_| self.wildcard);
            let same = |o: &&Outgoing| o.path.local.filter(|_| self.wildcard) == local;
            let run = rest.iter().take(limits::SEND_BATCH_MAX).take_while(same).count();
            let sent = self.send_run(&rest[..run], local, &mut flushed);
            rest = &rest[sent..];
        }
        queue.clear();
        flushed
    }

    /// Sends datagrams of one local address; returns how many are done with.
    fn send_run(&mut self, run: &[Outgoing], local: Option<IpAddr>, flushed: &mut Flushed) -> usize {
        let mapped = self.local.is_ipv6();
        let slices: Vec<[IoSlice<'_>; 1]> = run.iter().map(|o| [IoSlice::new(&o.bytes)]).collect();
        let addresses: Vec<Option<SockaddrStorage>> = run
            .iter()
            .map(|o| Some(wire_address(o.path.remote, mapped).into()))
            .collect();
        let fd = self.socket.as_raw_fd();
        let info4;
        let info6;
        let (headers, control) = match (local, mapped) {
            (None, _) => (&mut self.plain_headers, None),
            (Some(IpAddr::V4(ip)), false) => {
                info4 = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: in_addr(ip),
                    ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED),
                };
                (&mut self.from_headers, Some(ControlMessage::Ipv4PacketInfo(&info4)))
            }
            (Some(ip), _) => {
                let octets = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                info6 = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: octets },
                    ipi6_ifindex: 0,
                };
                (&mut self.from_headers, Some(ControlMessage::Ipv6PacketInfo(&info6)))
            }
        };
        let control: Vec<ControlMessage<'_>> = control.into_iter().collect();
        let result = socket::sendmmsg(fd, headers, slices.iter(), addresses, control, MsgFlags::MSG_DONTWAIT)
            .map(|results| results.count());
        match result {
            Ok(sent) => {
                flushed.datagrams += sent as u64;
                flushed.bytes += run[..sent].iter().map(|o| o.bytes.len() as u64).sum::<u64>();
                sent
            }
            Err(Errno::EINTR) => 0,
            Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut fds, PollTimeout::from(SEND_WAIT_MS)) {
                    Ok(ready) if ready > 0 => 0,
                    _ => {
                        flushed.refused += run.len() as u64;
                        run.len()
                    }
                }
            }
            Err(errno) => {
                // One address that cannot be reached must not hold the others up.
                tracing::trace!(%errno, "a datagram was refused");
                flushed.refused += 1;
                1
            }
        }
    }
}

fn receive_headers(local: SocketAddr, wildcard: bool) -> MultiHeaders<SockaddrStorage> {
    let space = match (wildcard, local.is_ipv4()) {
        (false, _) => None,
        (true, true) => Some(cmsg_space!(libc::in_pktinfo)),
        (true, false) => Some(cmsg_space!(libc::in6_pktinfo)),
    };
    MultiHeaders::preallocate(limits::RECEIVE_BATCH_MAX, space)
}

fn from_headers(local: SocketAddr) -> MultiHeaders<SockaddrStorage> {
    let space = if local.is_ipv4() {
        cmsg_space!(libc::in_pktinfo)
    } else {
        cmsg_space!(libc::in6_pktinfo)
    };
    MultiHeaders::preallocate(limits::SEND_BATCH_MAX, Some(space))
}

fn local_ip(message: &socket::RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical()),
        _ => None,
    })
}

/// IPv4 addresses always look like IPv4, also on a socket of both families.
fn socket_addr(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = storage.as_sockaddr_in6()?;
    let canonical = IpAddr::from(v6.ip()).to_canonical();
    Some(match canonical {
        IpAddr::V4(_) => SocketAddr::new(canonical, v6.port()),
        // The scope names the interface of a link-local address.
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id())),
    })
}

fn wire_address(address: SocketAddr, mapped: bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if mapped => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port()),
        _ => address,
    }
}

fn in_addr(ip: Ipv4Addr) -> libc::in_addr {
    libc::in_addr {
        s_addr: u32::from_ne_bytes(ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::time::Duration;

    fn receive(socket: &mut Socket) -> usize {
        for _ in 0..200 {
            let count = socket.receive().unwrap();
            if count > 0 {
                return count;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        0
    }

    fn answers_from_where_it_was_asked(bind: &str, ask: &str, client: &str) {
        let mut server = Socket::new(Bound::new(bind.parse().unwrap()).unwrap());
        let asked = SocketAddr::new(ask.parse().unwrap(), server.local.port());
        let client = UdpSocket::bind(client).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        client.send_to(b"question", asked).unwrap();
        assert_eq!(receive(&mut server), 1);
        let (path, bytes) = server.datagram(0);
        assert_eq!(bytes, b"question");
        assert_eq!(path.remote, client.local_addr().unwrap());
        let mut queue: Vec<Outgoing> = (0..100_u8)
            .map(|i| Outgoing {
                path,
                bytes: vec![i; 10],
            })
            .collect();
        let flushed = server.flush(&mut queue);
        assert_eq!((flushed.datagrams, flushed.bytes, flushed.refused), (100, 1000, 0));
        for i in 0..100_u8 {
            let mut buffer = [0; 32];
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&[i; 10][..], asked));
        }
    }

    #[test]
    fn a_single_address() {
        answers_from_where_it_was_asked("127.0.0.1:0", "127.0.0.1", "127.0.0.1:0");
    }

    #[test]
    fn a_wildcard_answers_from_the_address_asked() {
        answers_from_where_it_was_asked("0.0.0.0:0", "127.0.0.3", "127.0.0.1:0");
    }

    #[test]
    fn both_families_on_one_socket() {
        if Bound::new("[::]:0".parse().unwrap()).is_err() || UdpSocket::bind("[::1]:0").is_err() {
            eprintln!("no IPv6 here");
            return;
        }
        answers_from_where_it_was_asked("[::]:0", "::1", "[::1]:0");
        answers_from_where_it_was_asked("[::]:0", "127.0.0.3", "127.0.0.1:0");
    }

    #[test]
    fn a_flood_is_taken_in_batches() {
        let mut server = Socket::new(Bound::new("127.0.0.1:0".parse().unwrap()).unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 2 * limits::RECEIVE_BATCH_MAX + 1;
        for _ in 0..sent {
            client.send_to(b"x", server.local).unwrap();
        }
        let counts = [receive(&mut server), receive(&mut server), receive(&mut server)];
        assert!(
            counts.iter().all(|count| *count <= limits::RECEIVE_BATCH_MAX),
            "{counts:?}"
        );
        assert_eq!(counts.iter().sum::<usize>(), sent);
    }

    #[test]
    fn an_unreachable_address_does_not_hold_up_the_others() {
        let mut server = Socket::new(Bound::new("127.0.0.1:0".parse().unwrap()).unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let to = |remote: SocketAddr| Outgoing {
            path: Path { remote, local: None },
            bytes: vec![1],
        };
        let mut queue = vec![
            to("255.255.255.255:9".parse().unwrap()),
            to(client.local_addr().unwrap()),
        ];
        let flushed = server.flush(&mut queue);
        assert_eq!((flushed.datagrams, flushed.refused), (1, 1));
        assert_eq!(client.recv_from(&mut [0; 8]).unwrap().0, 1);
    }
}
