//! The receiving half: a batch of messages a call, each of them many datagrams where the kernel joins them (GRO).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;

use nix::sys::socket::{self, sockopt};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};

use crate::ice::Path;
use crate::limits;

/// Bytes for one datagram; one more than allowed shows that it was longer.
const SLOT_BYTES: usize = 2048;

/// Bytes for datagrams that the kernel joined: as many as it joins, and an odd number of cache lines, so that the
/// beginnings of all slots do not compete for the same ones.
const JOINED_SLOT_BYTES: usize = (64 << 10) + 64 * 33;

const _: () = assert!(limits::RECEIVE_BATCH_MAX <= BATCH_SIZE);

/// Takes datagrams from a socket.
pub(crate) struct Receiver {
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    /// Says which of our addresses a datagram came to.
    wildcard: bool,
    slot_bytes: usize,
    buffer: Box<[u8]>,
    messages: [RecvMeta; limits::RECEIVE_BATCH_MAX],
    count: usize,
}

impl Receiver {
    pub(super) fn new(socket: Arc<UdpSocket>, wildcard: bool) -> io::Result<Self> {
        // Its constructor forbids fragmentation on the socket it is given, which would cut off paths with less room than a
        // packet of video has. Receiving needs nothing of that: it gets a socket to throw away.
        let state = UdpSocketState::new(UdpSockRef::from(&UdpSocket::bind(("127.0.0.1", 0))?))?;
        let joins = socket::setsockopt(&socket, sockopt::UdpGroSegment, &true).is_ok();
        let slot_bytes = if joins { JOINED_SLOT_BYTES } else { SLOT_BYTES };
        Ok(Self {
            socket,
            state,
            wildcard,
            slot_bytes,
            buffer: vec![0; slot_bytes * limits::RECEIVE_BATCH_MAX].into_boxed_slice(),
            messages: [RecvMeta::default(); limits::RECEIVE_BATCH_MAX],
            count: 0,
        })
    }

    /// Takes what has arrived, up to the batch's bound, without waiting. What the batch before brought is gone.
    pub(crate) fn receive(&mut self) -> io::Result<()> {
        self.count = 0;
        let mut slots = self.buffer.chunks_exact_mut(self.slot_bytes);
        let mut slices: [IoSliceMut<'_>; limits::RECEIVE_BATCH_MAX] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        let socket = UdpSockRef::from(&self.socket);
        self.count = match self.state.recv(socket, &mut slices, &mut self.messages) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Whether nothing had arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the batch was full, so that there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.count == limits::RECEIVE_BATCH_MAX
    }

    /// The datagrams of the batch.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (Path, &[u8])> {
        let slots = self.buffer.chunks_exact(self.slot_bytes);
        let messages = self.messages.iter().take(self.count).zip(slots);
        messages.flat_map(|(message, slot)| {
            let path = Path {
                remote: canonical(message.addr),
                local: message.dst_ip.filter(|_| self.wildcard).map(|ip| ip.to_canonical()),
            };
            let bytes = &slot[..message.len.min(slot.len())];
            bytes
                .chunks(message.stride.max(1))
                .map(move |datagram| (path, datagram))
        })
    }
}

/// IPv4 addresses always look like IPv4, also on a socket of both families.
fn canonical(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(v6) = address else {
        return address;
    };
    match v6.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, v6.port())),
        // The scope names the interface of a link-local address.
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id())),
    }
}
