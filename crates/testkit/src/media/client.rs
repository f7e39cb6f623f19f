//! A client of the media plane: a full ICE agent with DTLS, SRTP and SCTP on a thread of its own.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use load::frames::Video;
use load::peer::{Far, Identity};
use negotiation::{Fingerprint, NegotiatedSession};

use super::heard::Heard;
use super::scripted::{Order, Scripted};

/// A running client.
#[derive(Debug)]
pub struct Client {
    tasks: Sender<Task>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    fingerprint: Fingerprint,
    thread: Option<JoinHandle<()>>,
}

enum Task {
    Apply(Arc<NegotiatedSession>),
    Order(Order),
    Rebind,
    Raw(Vec<u8>),
    Stop,
}

impl Client {
    /// Starts a client of a server, or of a relay before it, on this machine.
    pub fn start(server: SocketAddr, server_fingerprint: &Fingerprint) -> io::Result<Self> {
        let identity = Identity::new().map_err(io::Error::other)?;
        let fingerprint = identity.fingerprint();
        let far = Far {
            address: server,
            fingerprint: server_fingerprint.clone(),
        };
        let socket = socket(server)?;
        let (tasks, receiver) = channel();
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let run = Run {
            address: server,
            scripted: Scripted::new(identity, far, socket.local_addr()?),
            socket,
            tasks: receiver,
            heard: heard.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("client".into())
            .spawn(move || run.run())?;
        Ok(Self {
            tasks,
            heard,
            fingerprint,
            thread: Some(thread),
        })
    }

    /// Hash of its certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    /// Takes a session, the same value that the server takes.
    pub fn apply(&self, session: &Arc<NegotiatedSession>) {
        self.give(Task::Apply(session.clone()));
    }

    /// Sends Opus every 20 ms from now on.
    pub fn send_audio(&self, ssrc: u32, payload_type: u8) {
        self.order(Order::Audio {
            ssrc,
            payload_type,
            red_of: None,
        });
    }

    /// Sends Opus in RED, with the frame before as the redundant block.
    pub fn send_red(&self, ssrc: u32, payload_type: u8, of: u8) {
        self.order(Order::Audio {
            ssrc,
            payload_type,
            red_of: Some(of),
        });
    }

    /// Sends 30 frames a second on each layer, with key frames first and when asked.
    pub fn send_video(&self, ssrcs: &[u32], payload_type: u8, video: Video) {
        self.order(Order::Video {
            ssrcs: ssrcs.to_vec(),
            payload_type,
            video,
        });
    }

    /// Stops sending on a stream, or goes on.
    pub fn silence(&self, ssrc: u32, silent: bool) {
        self.order(Order::Silence { ssrc, silent });
    }

    /// Says of a stream's packets from now on that they are so loud, dBov.
    pub fn level(&self, ssrc: u32, level: i8) {
        self.order(Order::Level { ssrc, level });
    }

    /// Asks for a key frame of a stream received.
    pub fn request_keyframe(&self, ssrc: u32) {
        self.order(Order::RequestKeyframe { ssrc });
    }

    /// Asks for a key frame as a mixer would (RFC 5104 section 4.3.1).
    pub fn request_intra(&self, ssrc: u32) {
        self.order(Order::RequestIntra { ssrc });
    }

    /// Reads one in so many datagrams of media from now on, so that it asks for the rest again and again.
    pub fn read_one_in(&self, datagrams: u64) {
        self.order(Order::ReadOneIn(datagrams));
    }

    /// Opens a data channel.
    pub fn open_channel(&self, label: &str, ordered: bool, retransmits: Option<u16>) {
        self.order(Order::OpenChannel {
            label: label.into(),
            ordered,
            retransmits,
        });
    }

    /// Sends a message on a channel that is open.
    pub fn send_message(&self, label: &str, binary: bool, bytes: &[u8]) {
        self.order(Order::Send {
            label: label.into(),
            binary,
            bytes: bytes.to_vec(),
        });
    }

    /// Closes a channel.
    pub fn close_channel(&self, label: &str) {
        self.order(Order::CloseChannel { label: label.into() });
    }

    /// Goes on from another port, without telling anybody.
    pub fn rebind(&self) {
        self.give(Task::Rebind);
    }

    /// Sends a datagram as it is.
    pub fn send_raw(&self, datagram: &[u8]) {
        self.give(Task::Raw(datagram.to_vec()));
    }

    /// Sends a packet with any payload on a stream that it sends, with the next numbers.
    pub fn send_payload(&self, ssrc: u32, payload_type: u8, payload: &[u8]) {
        self.order(Order::Payload {
            ssrc,
            payload_type,
            payload: payload.to_vec(),
        });
    }

    /// Keeps what it sends in [`Heard::sent`], or ends that.
    pub fn record(&self, recording: bool) {
        self.order(Order::Record(recording));
    }

    /// Keeps counts of packets from now on, not the packets.
    pub fn count_only(&self) {
        self.order(Order::CountOnly);
    }

    /// Closes the association; the client goes on running.
    pub fn close(&self) {
        self.order(Order::Close);
    }

    /// What it has seen.
    pub fn heard(&self) -> Heard {
        self.lock().clone()
    }

    /// Forgets the packets and messages seen.
    pub fn forget(&self) {
        let mut heard = self.lock();
        heard.packets.clear();
        heard.counts.clear();
        heard.messages.clear();
        heard.keyframe_requests.clear();
        heard.sender_reports.clear();
    }

    /// Waits until what it has seen satisfies `check`; false if that takes too long.
    pub fn wait(&self, at_most: Duration, mut check: impl FnMut(&Heard) -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        let mut heard = self.lock();
        while !check(&heard) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.heard.1.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: Order) {
        self.give(Task::Order(order));
    }

    fn give(&self, task: Task) {
        // A client whose thread ended has said why in `failed`.
        if self.tasks.send(task).is_err() {
            eprintln!("a client that has ended was given an order");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.tasks.send(Task::Stop).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("a client panicked");
        }
    }
}

struct Run {
    address: SocketAddr,
    scripted: Scripted,
    socket: UdpSocket,
    tasks: Receiver<Task>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Run {
    fn run(mut self) {
        let mut buffer = vec![0; 2048];
        loop {
            while let Ok(task) = self.tasks.try_recv() {
                if matches!(task, Task::Stop) {
                    return;
                }
                self.handle_task(task);
            }
            let now = Instant::now();
            let deadline = self.with(|scripted, heard, transmit| scripted.step(now, heard, transmit));
            let wait = deadline
                .saturating_duration_since(Instant::now())
                .clamp(Duration::from_millis(1), Duration::from_millis(5));
            if self.socket.set_read_timeout(Some(wait)).is_err() {
                return;
            }
            // As browsers: what comes from another address than it was sent to is nobody's.
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer)
                && from == self.address
            {
                let now = Instant::now();
                self.with(|scripted, heard, transmit| {
                    scripted.receive(&buffer[..length], now, heard);
                    scripted.drain(now, heard, transmit)
                });
            }
        }
    }

    fn handle_task(&mut self, task: Task) {
        let now = Instant::now();
        match task {
            Task::Rebind => {
                if let Ok(socket) = socket(self.address) {
                    self.socket = socket;
                }
            }
            Task::Raw(datagram) => send(&self.socket, &datagram, self.address),
            Task::Apply(session) => self.with(|scripted, heard, transmit| {
                scripted.apply(&session, now, heard);
                scripted.drain(now, heard, transmit);
            }),
            Task::Order(order) => self.with(|scripted, heard, transmit| {
                scripted.handle_order(order, now);
                scripted.drain(now, heard, transmit);
            }),
            Task::Stop => {}
        }
    }

    /// Lets the client work, and tells those who wait.
    fn with<R>(&mut self, work: impl FnOnce(&mut Scripted, &mut Heard, &mut dyn FnMut(&[u8])) -> R) -> R {
        let (socket, address) = (&self.socket, self.address);
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut self.scripted, &mut heard, &mut |datagram| {
            send(socket, datagram, address)
        });
        drop(heard);
        self.heard.1.notify_all();
        result
    }
}

/// A socket on a free port of the loopback. What comes while the test waits for a processor waits in it.
fn socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(near(server))?;
    load::engine::enlarge(&socket)?;
    Ok(socket)
}

/// A free port of the loopback that reaches an address.
fn near(server: SocketAddr) -> SocketAddr {
    match server.is_ipv4() {
        true => (Ipv4Addr::LOCALHOST, 0).into(),
        false => (Ipv6Addr::LOCALHOST, 0).into(),
    }
}

/// A lossy loopback is still a network: what cannot be sent is lost.
fn send(socket: &UdpSocket, datagram: &[u8], address: SocketAddr) {
    if let Err(error) = socket.send_to(datagram, address) {
        eprintln!("a client could not send: {error}");
    }
}
