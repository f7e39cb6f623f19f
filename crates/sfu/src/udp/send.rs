//! The sending half: many messages a call, and many datagrams of one size to one destination in a message, which the
//! kernel takes apart as late as it can (GSO).

use std::cmp::Reverse;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use arrayvec::ArrayVec;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sockopt};

use super::outbox::Outbox;
use crate::limits;

/// How long a full socket buffer is waited for before datagrams are given up, ms.
const SEND_WAIT_MS: u16 = 2;

/// Datagrams in one message (UDP_MAX_SEGMENTS of older kernels).
const SEGMENTS_MAX: usize = 64;

/// Bytes in one message: what IPv6 carries, less its headers, and something to spare.
const MESSAGE_BYTES_MAX: usize = 65_000;

/// Pieces of memory in one call.
const PIECES_MAX: usize = 1024;

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flushed {
    pub(crate) datagrams: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) refused: u64,
}

/// Sends datagrams through a socket.
pub(crate) struct Sender {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    /// Says from which of our addresses to send.
    wildcard: bool,
    /// The kernel takes messages apart.
    splits: bool,
    plain: MultiHeaders<SockaddrStorage>,
    with_source: MultiHeaders<SockaddrStorage>,
    with_size: MultiHeaders<SockaddrStorage>,
    with_source_and_size: MultiHeaders<SockaddrStorage>,
    messages: Vec<Message>,
}

/// Datagrams to one destination that the kernel gets in one piece: all of one size, but the last, which may be shorter.
#[derive(Debug, Clone, Copy)]
struct Message {
    destination: u32,
    /// How many of its destination come before it: they are sent before it.
    round: u32,
    /// The first datagram.
    first: u32,
    count: usize,
    /// Of the first.
    size: usize,
}

impl Sender {
    pub(super) fn new(socket: Arc<UdpSocket>, local: SocketAddr, wildcard: bool) -> Self {
        let splits = socket::getsockopt(&socket, sockopt::UdpGsoSegment).is_ok();
        let (source, source_and_size) = match local.is_ipv4() {
            true => (cmsg_space!(libc::in_pktinfo), cmsg_space!(libc::in_pktinfo, u16)),
            false => (cmsg_space!(libc::in6_pktinfo), cmsg_space!(libc::in6_pktinfo, u16)),
        };
        let headers = |space| MultiHeaders::preallocate(limits::SEND_BATCH_MAX, space);
        Self {
            socket,
            local,
            wildcard,
            splits,
            plain: headers(None),
            with_source: headers(Some(source)),
            with_size: headers(Some(cmsg_space!(u16))),
            with_source_and_size: headers(Some(source_and_size)),
            messages: Vec::new(),
        }
    }

    /// Sends all and empties the box. What the kernel refuses is dropped, as a network would.
    pub(crate) fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let mut flushed = Flushed::default();
        let mut messages = std::mem::take(&mut self.messages);
        self.plan(outbox, &mut messages);
        self.send_all(outbox, &messages, &mut flushed);
        messages.clear();
        self.messages = messages;
        outbox.clear();
        flushed
    }

    /// Makes messages of all datagrams, those that can go in one call next to each other.
    fn plan(&self, outbox: &Outbox, messages: &mut Vec<Message>) {
        for destination in 0..outbox.destinations() {
            let mut chain = outbox.chain(destination).peekable();
            for round in 0.. {
                let Some(first) = chain.next() else { break };
                let size = outbox.datagram(first).len();
                let (mut count, mut last, mut total) = (1, size, size);
                while let Some(next) = chain.peek().filter(|_| self.splits) {
                    let length = outbox.datagram(*next).len();
                    let has_room = count < SEGMENTS_MAX && total + length <= MESSAGE_BYTES_MAX;
                    // A shorter one ends it; an empty one would be lost in it.
                    if last < size || length > size || length == 0 || !has_room {
                        break;
                    }
                    (count, last, total) = (count + 1, length, total + length);
                    chain.next();
                }
                messages.push(Message {
                    destination,
                    round,
                    first,
                    count,
                    size,
                });
            }
        }
        messages.sort_unstable_by_key(|message| {
            let source = self.source(outbox, message);
            let order = (message.count == 1, Reverse(message.size), message.destination);
            (message.round, source, order)
        });
    }

    fn send_all(&mut self, outbox: &Outbox, messages: &[Message], flushed: &mut Flushed) {
        let mut rest = messages;
        while let Some((batch, size)) = self.batch(outbox, rest) {
            let done = self.send_batch(outbox, batch, size, flushed);
            rest = &rest[done..];
        }
    }

    /// The next messages that go in one call: all its messages have the same source and size of datagrams; a message of
    /// one datagram may be shorter. The size is told only if a message has several.
    fn batch<'a>(&self, outbox: &Outbox, messages: &'a [Message]) -> Option<(&'a [Message], Option<u16>)> {
        let first = messages.first()?;
        let source = self.source(outbox, first);
        let mut pieces = 0;
        let fits = |message: &&Message| {
            pieces += message.count;
            pieces <= PIECES_MAX
                && self.source(outbox, message) == source
                && match (first.count, message.count) {
                    (1, count) => count == 1,
                    (_, 1) => message.size <= first.size,
                    _ => message.size == first.size,
                }
        };
        let count = messages.iter().take(limits::SEND_BATCH_MAX).take_while(fits).count();
        let size = u16::try_from(first.size).ok().filter(|_| first.count > 1);
        Some((&messages[..count.max(1)], size))
    }

    /// Sends messages; returns how many are done with.
    fn send_batch(&mut self, outbox: &Outbox, batch: &[Message], size: Option<u16>, flushed: &mut Flushed) -> usize {
        let fd = self.socket.as_raw_fd();
        let mapped = self.local.is_ipv6();
        let mut pieces = ArrayVec::<IoSlice<'_>, PIECES_MAX>::new();
        let mut ends = ArrayVec::<usize, { limits::SEND_BATCH_MAX }>::new();
        let mut addresses = ArrayVec::<Option<SockaddrStorage>, { limits::SEND_BATCH_MAX }>::new();
        for message in batch {
            pieces.extend(outbox.pieces(message.first, message.count).map(IoSlice::new));
            ends.push(pieces.len());
            let remote = outbox.path(message.destination).remote;
            addresses.push(Some(wire_address(remote, mapped).into()));
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let groups = starts.zip(&ends).map(|(start, end)| &pieces[start..*end]);
        let groups: ArrayVec<&[IoSlice<'_>], { limits::SEND_BATCH_MAX }> = groups.collect();
        let source = Source::new(self.source(outbox, &batch[0]), mapped);
        let mut control = ArrayVec::<ControlMessage<'_>, 2>::new();
        control.extend(source.control());
        control.extend(size.as_ref().map(ControlMessage::UdpGsoSegments));
        let headers = match (&source, size) {
            (Source::Default, None) => &mut self.plain,
            (Source::Default, Some(_)) => &mut self.with_size,
            (_, None) => &mut self.with_source,
            (_, Some(_)) => &mut self.with_source_and_size,
        };
        let flags = MsgFlags::MSG_DONTWAIT;
        let result = socket::sendmmsg(fd, headers, groups.iter(), addresses, control, flags);
        match result.map(|results| results.count()) {
            Ok(sent) => {
                flushed.messages += sent as u64;
                for message in &batch[..sent] {
                    flushed.datagrams += message.count as u64;
                    let pieces = outbox.pieces(message.first, message.count);
                    flushed.bytes += pieces.map(|piece| piece.len() as u64).sum::<u64>();
                }
                sent
            }
            Err(errno) => self.recover(errno, outbox, batch, flushed),
        }
    }

    /// After a call that sent nothing; returns how many messages are done with.
    fn recover(&mut self, errno: Errno, outbox: &Outbox, batch: &[Message], flushed: &mut Flushed) -> usize {
        let first = &batch[0];
        match errno {
            Errno::EINTR => 0,
            Errno::EAGAIN | Errno::ENOBUFS => {
                let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut fds, PollTimeout::from(SEND_WAIT_MS)) {
                    Ok(ready) if ready > 0 => 0,
                    _ => {
                        flushed.refused += batch.iter().map(|message| message.count as u64).sum::<u64>();
                        batch.len()
                    }
                }
            }
            // EIO: the device of this route cannot do it, and nothing tells so before. Else the path has no room for
            // datagrams of this size: one by one they are fragmented.
            Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE if first.count > 1 => {
                if errno == Errno::EIO && self.splits {
                    tracing::info!("a network device cannot split messages: datagrams are sent one by one");
                    self.splits = false;
                }
                let datagrams = (0..).zip(outbox.chain_from(first.first)).take(first.count);
                let singles = datagrams.map(|(round, index)| Message {
                    round,
                    first: index,
                    count: 1,
                    size: outbox.datagram(index).len(),
                    ..*first
                });
                let singles: ArrayVec<Message, SEGMENTS_MAX> = singles.collect();
                self.send_all(outbox, &singles, flushed);
                1
            }
            errno => {
                // One address that cannot be reached must not hold the others up.
                tracing::trace!(%errno, "a datagram was refused");
                flushed.refused += first.count as u64;
                1
            }
        }
    }

    fn source(&self, outbox: &Outbox, message: &Message) -> Option<IpAddr> {
        outbox.path(message.destination).local.filter(|_| self.wildcard)
    }

    #[cfg(any(test, feature = "measuring"))]
    pub(crate) fn set_splits(&mut self, splits: bool) {
        self.splits = splits;
    }

    /// How many datagrams each message has that would be sent, in the order of sending.
    #[cfg(test)]
    pub(super) fn message_counts(&self, outbox: &Outbox) -> Vec<usize> {
        let mut messages = Vec::new();
        self.plan(outbox, &mut messages);
        messages.iter().map(|message| message.count).collect()
    }

    /// Goes on as if the kernel had refused the first message.
    #[cfg(test)]
    pub(super) fn refuse_first(&mut self, errno: Errno, outbox: &Outbox) -> Flushed {
        let (mut messages, mut flushed) = (Vec::new(), Flushed::default());
        self.plan(outbox, &mut messages);
        self.recover(errno, outbox, &messages[..1], &mut flushed);
        flushed
    }
}

/// The address of ours to send from, as the kernel wants it.
enum Source {
    Default,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    fn new(source: Option<IpAddr>, mapped: bool) -> Self {
        let octets = match (source, mapped) {
            (None, _) => return Self::Default,
            (Some(IpAddr::V4(ip)), false) => {
                return Self::V4(libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: in_addr(ip),
                    ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED),
                });
            }
            (Some(IpAddr::V4(ip)), true) => ip.to_ipv6_mapped().octets(),
            (Some(IpAddr::V6(ip)), _) => ip.octets(),
        };
        Self::V6(libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: octets },
            ipi6_ifindex: 0,
        })
    }

    fn control(&self) -> Option<ControlMessage<'_>> {
        match self {
            Self::Default => None,
            Self::V4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Self::V6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
        }
    }
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
