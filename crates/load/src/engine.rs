//! A thread that carries the media of many peers: a socket each, since servers tell peers apart by
//! their addresses, and one wait for all of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use negotiation::NegotiatedSession;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{self, MsgFlags, MultiHeaders, SockaddrStorage, sockopt};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use crate::limits::{FAILURES_KEPT_MAX, RECEIVE_BATCH_MAX, SOCKET_BUFFER_BYTES};
use crate::link::Conditions;
use crate::peer::{Far, Identity, Peer, PeerError};
use crate::slot::{Parts, Slot};
use crate::source::Source;
use crate::stamp::Clock;
use crate::stream::Delays;

/// Bytes for one datagram, more than any that a WebRTC server sends.
const SLOT_BYTES: usize = 2048;
/// How long an order may lie.
const ORDER_WAIT: Duration = Duration::from_millis(5);

/// What an engine has counted since the measurement began, but for what is said to be a state.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Peers whose DTLS came up, ever.
    pub connected: u64,
    /// Streams heard of, ever.
    pub streams: u64,
    /// Streams of which something came.
    pub heard: u64,
    /// Packets that publishers sent, each layer's.
    pub sent: u64,
    /// Packets decrypted, or counted by peers that only count, each once.
    pub received: u64,
    /// Of these, those that came after a later one.
    pub repaired: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets of another room.
    pub strays: u64,
    /// Datagrams that the kernel did not take.
    pub unsent: u64,
    /// Key frames that the server asked for.
    pub keyframes_asked: u64,
    /// From the sending to the decryption.
    pub delays: Delays,
    /// By how much publishers were late: the generator's own fault.
    pub late: Delays,
    /// CPU that the thread has used, ever.
    pub cpu: Duration,
    /// Why peers failed; the first ones.
    pub failures: Vec<String>,
}

impl Tally {
    /// Takes in what another engine counted.
    pub fn add(&mut self, other: &Self) {
        self.connected += other.connected;
        self.streams += other.streams;
        self.heard += other.heard;
        self.sent += other.sent;
        self.received += other.received;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.strays += other.strays;
        self.unsent += other.unsent;
        self.keyframes_asked += other.keyframes_asked;
        self.delays.add(&other.delays);
        self.late.add(&other.late);
        self.cpu += other.cpu;
        self.failures.extend_from_slice(&other.failures);
    }

    /// What begins to be counted anew.
    fn mark(&mut self) {
        *self = Self {
            connected: self.connected,
            failures: std::mem::take(&mut self.failures),
            ..Self::default()
        };
    }
}

/// A peer to be carried.
pub struct NewPeer {
    /// Its number, not used twice.
    pub number: u32,
    /// Of the room that its packets may come from.
    pub room: u32,
    /// Its number as a publisher.
    pub publisher: u32,
    /// From [`socket_to`].
    pub socket: UdpSocket,
    /// Its certificate.
    pub identity: Identity,
    /// Where it sends to.
    pub far: Far,
    /// The first session.
    pub session: Arc<NegotiatedSession>,
    /// What it sends once it is connected and publishers are to send.
    pub sources: Vec<Source>,
    /// It decrypts no media and counts packets by their headers.
    pub only_counts: bool,
    /// Its path, and the bits a second that this lets through; none: the machine's own.
    pub conditions: Option<(Conditions, Option<u64>)>,
}

enum Order {
    Add(Box<NewPeer>),
    Apply(u32, Arc<NegotiatedSession>),
    Remove(u32),
    Mark,
    Play(bool),
    Tally(oneshot::Sender<Tally>),
}

/// A running thread.
#[derive(Debug, Clone)]
pub struct Engine {
    orders: Sender<Order>,
}

/// The engine's thread has ended, which it does only when it cannot wait for its sockets.
#[derive(Debug, thiserror::Error)]
#[error("asking a media thread of the generator")]
pub struct EngineGone;

impl Engine {
    /// Starts a thread; it ends when the engine and its clones are dropped.
    pub fn start(number: usize, clock: Clock) -> io::Result<(Self, JoinHandle<()>)> {
        let (orders, receiver) = channel();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let run = move || {
            Run {
                orders: receiver,
                epoll,
                clock,
                slots: HashMap::new(),
                times: BinaryHeap::new(),
                playing: false,
                tally: Tally::default(),
                buffer: vec![0; SLOT_BYTES * RECEIVE_BATCH_MAX].into_boxed_slice(),
                headers: MultiHeaders::preallocate(RECEIVE_BATCH_MAX, None),
            }
            .run();
        };
        let thread = std::thread::Builder::new().name(format!("load-{number}")).spawn(run)?;
        Ok((Self { orders }, thread))
    }

    /// Carries a peer from now on.
    pub fn add(&self, peer: NewPeer) -> Result<(), EngineGone> {
        self.order(Order::Add(Box::new(peer)))
    }

    /// Gives a peer a later session.
    pub fn apply(&self, number: u32, session: Arc<NegotiatedSession>) -> Result<(), EngineGone> {
        self.order(Order::Apply(number, session))
    }

    /// Forgets a peer.
    pub fn remove(&self, number: u32) -> Result<(), EngineGone> {
        self.order(Order::Remove(number))
    }

    /// Counts from here on.
    pub fn mark(&self) -> Result<(), EngineGone> {
        self.order(Order::Mark)
    }

    /// Publishers send media from now on, those to come included.
    pub fn play(&self) -> Result<(), EngineGone> {
        self.order(Order::Play(true))
    }

    /// Publishers send no more media; what is on its way still comes.
    pub fn silence(&self) -> Result<(), EngineGone> {
        self.order(Order::Play(false))
    }

    /// What was counted.
    pub async fn tally(&self) -> Result<Tally, EngineGone> {
        let (sender, receiver) = oneshot::channel();
        self.order(Order::Tally(sender))?;
        receiver.await.map_err(|_| EngineGone)
    }

    fn order(&self, order: Order) -> Result<(), EngineGone> {
        self.orders.send(order).map_err(|_| EngineGone)
    }
}

/// A socket towards a server, on whichever of our addresses the way there begins.
pub fn socket_to(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    prepare(&socket)?;
    Ok(socket)
}

/// What an engine wants of a connected socket.
pub(crate) fn prepare(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    enlarge(socket)
}

/// Asks for buffers that hold what comes while the client waits for a processor; the kernel gives what it may, and less is no
/// error.
pub fn enlarge(socket: &UdpSocket) -> io::Result<()> {
    socket::setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)?;
    socket::setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER_BYTES)?;
    Ok(())
}

struct Run {
    orders: Receiver<Order>,
    epoll: Epoll,
    clock: Clock,
    slots: HashMap<u32, Slot>,
    /// When each slot is to be looked at; entries that are out of date find nothing due.
    times: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Publishers send.
    playing: bool,
    tally: Tally,
    buffer: Box<[u8]>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Run {
    fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            match self.take_orders() {
                Ok(()) => {}
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            self.run_times();
            match self.epoll.wait(&mut events, self.patience()) {
                Ok(count) => {
                    for event in &events[..count] {
                        self.read(event.data() as u32);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn take_orders(&mut self) -> Result<(), TryRecvError> {
        loop {
            match self.orders.try_recv()? {
                Order::Add(peer) => {
                    if let Err(error) = self.add(*peer) {
                        self.failed(error);
                    }
                }
                Order::Apply(number, session) => {
                    if let Some(slot) = self.slots.get_mut(&number) {
                        slot.peer().apply(&session);
                        self.step(number);
                    }
                }
                Order::Remove(number) => self.remove(number),
                Order::Mark => {
                    self.tally.mark();
                    self.slots.values_mut().for_each(Slot::mark);
                }
                Order::Play(playing) => self.play(playing),
                Order::Tally(sender) => {
                    // Whoever asked may have gone.
                    sender.send(self.count()).ok();
                }
            }
        }
    }

    fn add(&mut self, new: NewPeer) -> Result<(), String> {
        let now = Instant::now();
        let (number, address) = (new.number, new.far.address);
        let local = new.socket.local_addr().map_err(|error| error.to_string())?;
        let made = Peer::new(&new.identity, local, &new.far, &new.session, now);
        let peer = made.map_err(|error: PeerError| error.to_string())?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number.into());
        self.epoll.add(&new.socket, event).map_err(|error| error.to_string())?;
        let parts = Parts {
            socket: new.socket,
            peer,
            far: address,
            room: new.room,
            publisher: new.publisher,
            only_counts: new.only_counts,
            conditions: new.conditions,
            sources: new.sources,
        };
        let mut slot = Slot::new(parts, now).map_err(|error| error.to_string())?;
        slot.play(self.playing);
        self.slots.insert(number, slot);
        self.step(number);
        Ok(())
    }

    fn play(&mut self, playing: bool) {
        self.playing = playing;
        let numbers: Vec<u32> = self.slots.keys().copied().collect();
        for number in numbers {
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.play(playing);
            }
            self.step(number);
        }
    }

    fn remove(&mut self, number: u32) {
        if let Some(slot) = self.slots.remove(&number)
            && let Err(error) = self.epoll.delete(&slot.socket)
        {
            self.failed(error.to_string());
        }
    }

    fn failed(&mut self, error: String) {
        if self.tally.failures.len() < FAILURES_KEPT_MAX {
            self.tally.failures.push(error);
        }
    }

    fn run_times(&mut self) {
        let now = Instant::now();
        while self.times.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, number))) = self.times.pop() else {
                return;
            };
            let Some(slot) = self.slots.get_mut(&number) else {
                continue;
            };
            slot.scheduled = None;
            match slot.deadline <= now {
                true => self.step(number),
                false => self.schedule(number),
            }
        }
    }

    fn step(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        match slot.step(&mut self.tally, &self.clock) {
            Ok(()) => self.schedule(number),
            Err(error) => {
                self.failed(error);
                self.remove(number);
            }
        }
    }

    /// Enters a slot into the table, unless it stands there for an earlier time.
    fn schedule(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        if slot.scheduled.is_none_or(|scheduled| slot.deadline < scheduled) {
            slot.scheduled = Some(slot.deadline);
            self.times.push(Reverse((slot.deadline, number)));
        }
    }

    fn read(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        let mut slices: [[IoSliceMut<'_>; 1]; RECEIVE_BATCH_MAX] = {
            let mut places = self.buffer.chunks_exact_mut(SLOT_BYTES);
            std::array::from_fn(|_| [IoSliceMut::new(places.next().unwrap_or_default())])
        };
        let fd = slot.socket.as_raw_fd();
        let received = socket::recvmmsg(fd, &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        // A refusal by the other end is read here too; the media engine finds out by itself.
        let lengths: Vec<usize> = received
            .map(|all| all.map(|one| one.bytes).collect())
            .unwrap_or_default();
        for (index, length) in lengths.into_iter().enumerate() {
            let datagram = &self.buffer[index * SLOT_BYTES..][..length.min(SLOT_BYTES)];
            if let Err(error) = slot.receive(datagram, &mut self.tally, &self.clock) {
                self.failed(error);
                self.remove(number);
                return;
            }
        }
        self.step_if_due(number);
    }

    /// A slot with a network of its own learns its next time when it is looked at.
    fn step_if_due(&mut self, number: u32) {
        let now = Instant::now();
        match self.slots.get_mut(&number) {
            Some(slot) if slot.deadline <= now || slot.has_network() => self.step(number),
            Some(_) => self.schedule(number),
            None => {}
        }
    }

    fn patience(&self) -> EpollTimeout {
        let wait = self.times.peek().map_or(ORDER_WAIT, |Reverse((at, _))| {
            at.saturating_duration_since(Instant::now()).min(ORDER_WAIT)
        });
        // Rounded up: a wait of nothing would spin through the last part of a millisecond.
        let ms = wait.as_micros().div_ceil(1000);
        EpollTimeout::from(u8::try_from(ms).unwrap_or(5))
    }

    fn count(&self) -> Tally {
        let mut tally = self.tally.clone();
        for stream in self.slots.values().flat_map(Slot::streams) {
            tally.streams += 1;
            tally.heard += u64::from(stream.received() > 0);
            tally.received += stream.received();
            tally.repaired += stream.repaired();
            tally.lost += stream.lost();
        }
        let cpu = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        tally.cpu = cpu.map(Duration::from).unwrap_or_default();
        tally
    }
}
