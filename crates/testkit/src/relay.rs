//! A UDP relay between one client and a server that loses, delays and moves, the same in every run.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use load::link::Conditions;
use load::link::Link;

/// A running relay. The client takes [`Relay::address`] for the server's.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    outer: Mutex<UdpSocket>,
    lost_per_mille: AtomicU32,
    blocked: AtomicBool,
    stop: AtomicBool,
    passed: AtomicU64,
    since_rebind: Mutex<SinceRebind>,
}

/// What came to the server from its client since the address changed last.
#[derive(Debug, Default, Clone, Copy)]
struct SinceRebind {
    first: Option<Instant>,
    first_check: Option<Instant>,
}

impl Relay {
    /// Starts between a client, learned from its first datagram, and a server on loopback.
    pub fn start(server: SocketAddr, conditions: Conditions) -> io::Result<Self> {
        let inner = UdpSocket::bind((server.ip(), 0))?;
        load::engine::enlarge(&inner)?;
        let address = inner.local_addr()?;
        let shared = Arc::new(Shared {
            outer: Mutex::new(outer_socket(server)?),
            lost_per_mille: AtomicU32::new(conditions.lost_per_mille),
            blocked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            passed: AtomicU64::new(0),
            since_rebind: Mutex::new(SinceRebind::default()),
        });
        inner.set_nonblocking(true)?;
        let run = Run {
            inner,
            server,
            shared: shared.clone(),
            client: None,
            link: Link::new(conditions),
        };
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || run.run())?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where the client sends to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server sees another address from now on; what it sends to the old one is lost.
    pub fn rebind(&self, server: SocketAddr) -> io::Result<()> {
        let socket = outer_socket(server)?;
        if let Ok(mut outer) = self.shared.outer.lock() {
            *outer = socket;
        }
        if let Ok(mut since) = self.shared.since_rebind.lock() {
            *since = SinceRebind::default();
        }
        Ok(())
    }

    /// When the first datagram left from the newest address.
    pub fn moved_at(&self, at_most: Duration) -> Option<Instant> {
        self.await_since(at_most, |since| since.first)
    }

    /// When the first STUN check left from the newest address.
    pub fn check_at(&self, at_most: Duration) -> Option<Instant> {
        self.await_since(at_most, |since| since.first_check)
    }

    fn await_since(&self, at_most: Duration, what: impl Fn(&SinceRebind) -> Option<Instant>) -> Option<Instant> {
        let deadline = Instant::now() + at_most;
        loop {
            let found = self.shared.since_rebind.lock().ok().and_then(|since| what(&since));
            if found.is_some() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Changes the loss.
    pub fn set_loss(&self, lost_per_mille: u32) {
        self.shared.lost_per_mille.store(lost_per_mille, Ordering::Relaxed);
    }

    /// Lets nothing through, or everything again.
    pub fn block(&self, blocked: bool) {
        self.shared.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Datagrams let through, both ways.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the relay panicked");
        }
    }
}

struct Run {
    inner: UdpSocket,
    server: SocketAddr,
    shared: Arc<Shared>,
    client: Option<SocketAddr>,
    /// Whether to the server, and the bytes.
    link: Link<(bool, Vec<u8>)>,
}

impl Run {
    fn run(mut self) {
        let mut buffer = [0; 2048];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let mut idle = true;
            while let Ok((length, from)) = self.inner.recv_from(&mut buffer) {
                idle = false;
                self.client = Some(from);
                self.take(true, &buffer[..length]);
            }
            while let Some(length) = self.receive_outer(&mut buffer) {
                idle = false;
                self.take(false, &buffer[..length]);
            }
            self.deliver();
            if idle {
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    }

    fn receive_outer(&self, buffer: &mut [u8]) -> Option<usize> {
        self.shared.outer.lock().ok()?.recv(buffer).ok()
    }

    fn take(&mut self, to_server: bool, datagram: &[u8]) {
        self.link.set_loss(self.shared.lost_per_mille.load(Ordering::Relaxed));
        if !self.shared.blocked.load(Ordering::Relaxed) {
            self.link
                .send((to_server, datagram.to_vec()), datagram.len(), Instant::now());
        }
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some((to_server, datagram)) = self.link.arrived(now) {
            if to_server && let Ok(mut since) = self.shared.since_rebind.lock() {
                since.first.get_or_insert(now);
                // Byte 1 of a binding request; responses carry another class.
                if datagram.starts_with(&[0, 1]) {
                    since.first_check.get_or_insert(now);
                }
            }
            let sent = match (to_server, self.client) {
                (true, _) => self
                    .shared
                    .outer
                    .lock()
                    .ok()
                    .and_then(|outer| outer.send_to(&datagram, self.server).ok()),
                (false, Some(client)) => self.inner.send_to(&datagram, client).ok(),
                (false, None) => None,
            };
            self.shared
                .passed
                .fetch_add(u64::from(sent.is_some()), Ordering::Relaxed);
        }
    }
}

fn outer_socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((server.ip(), 0))?;
    load::engine::enlarge(&socket)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
