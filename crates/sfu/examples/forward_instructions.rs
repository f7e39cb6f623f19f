//! Forwards packets of one publisher to fifty subscribers on our own engine, all in memory and in simulated time, so that the
//! instructions of that alone can be counted: from sealed RTP in to sealed datagrams that wait to be sent.
//!
//! The turns that count are a thread's own, by which `scripts/forward-instructions` has callgrind tell them from all else: the
//! release build has no symbols. Prints how many packets were forwarded in them.
//! `cargo run --release -p sfu --features measuring --example forward_instructions [subscribers] [ms]`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use negotiation::{DtlsRole, Layer, MediaKind};
use sfu::in_memory::InMemory;
use sfu::{Command, Route, RouteMedia, TransportId};
use testkit::media::{Far, Heard, Identity, Order, Scripted, SessionBuilder, Video, vp8};

const STEP: Duration = Duration::from_millis(1);

/// How long anything may take, in simulated time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Packets that each subscriber has before the count begins: rings and tables are as large as they will be.
const WARM_UP: u64 = 150;

const PUBLISHED: Layer = Layer {
    ssrc: 10,
    rtx: Some(11),
};
const RECEIVED: Layer = Layer {
    ssrc: 20,
    rtx: Some(21),
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let subscribers = arguments.next().map_or(Ok(50), |argument| argument.parse())?;
    let ms = arguments.next().map_or(Ok(2000), |argument| argument.parse())?;
    let mut world = World::new(subscribers)?;
    world.run_until(|world| world.people.iter().all(|person| person.heard.connected))?;
    // 30 frames a second of 4 packets: 1.2 Mbit/s.
    let order = Order::Video {
        ssrcs: vec![PUBLISHED.ssrc],
        payload_type: 96,
        video: Video::new(4, 1176, 1),
    };
    world.people[0].client.handle_order(order, world.now);
    world.run_until(|world| {
        world
            .subscribers()
            .all(|person| person.heard.count(RECEIVED.ssrc) > WARM_UP)
    })?;
    let counted = Counted::start(Arc::clone(&world.plane));
    let (mut packets, mut forwarded) = (0, 0);
    for _ in 0..ms {
        let (came, went) = world.step(Some(&counted))?;
        packets += came;
        forwarded += went;
    }
    if forwarded == 0 {
        return Err("nothing was forwarded".into());
    }
    println!("{{\"subscribers\":{subscribers},\"datagrams_in\":{packets},\"forwarded\":{forwarded}}}");
    Ok(())
}

type Shared = Arc<Mutex<InMemory>>;

fn lock(plane: &Shared) -> MutexGuard<'_, InMemory> {
    plane.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one client sent in a millisecond.
struct Sent {
    from: SocketAddr,
    datagrams: Vec<Vec<u8>>,
    now: Instant,
}

impl Sent {
    /// A turn of the worker with it.
    fn turn(&self, plane: &mut InMemory) {
        let datagrams = self.datagrams.iter().map(|datagram| (self.from, datagram.as_slice()));
        plane.turn(datagrams, self.now);
    }
}

/// The thread whose instructions are counted.
struct Counted {
    turns: Sender<Sent>,
    done: Receiver<()>,
}

impl Counted {
    fn start(plane: Shared) -> Self {
        let (turns, todo) = mpsc::channel::<Sent>();
        let (tell, done) = mpsc::channel();
        std::thread::spawn(move || {
            for sent in todo {
                sent.turn(&mut lock(&plane));
                if tell.send(()).is_err() {
                    return;
                }
            }
        });
        Self { turns, done }
    }

    fn turn(&self, sent: Sent) -> Result<(), Box<dyn Error>> {
        self.turns.send(sent)?;
        Ok(self.done.recv()?)
    }
}

/// The plane, and all who are there: first who publishes.
struct World {
    plane: Shared,
    people: Vec<Person>,
    now: Instant,
}

/// A client, what it has heard, and what it has sent and the plane has not got yet.
struct Person {
    address: SocketAddr,
    client: Scripted,
    heard: Heard,
    deadline: Instant,
    sent: Vec<Vec<u8>>,
}

impl World {
    fn new(subscribers: u16) -> Result<Self, Box<dyn Error>> {
        let now = Instant::now();
        let mut world = Self {
            plane: Arc::new(Mutex::new(InMemory::new(now)?)),
            people: Vec::new(),
            now,
        };
        world.join(0, |session| {
            session.receive("0", "cam", &[PUBLISHED]);
        })?;
        for number in 1..=subscribers {
            world.join(number, |session| {
                session.send("0", "seen", RECEIVED);
            })?;
            let route = Route {
                source: TransportId(0),
                source_id: "cam".into(),
                id: "seen".into(),
                media: RouteMedia::Rtp(MediaKind::Video),
            };
            let subscribe = Command::Subscribe {
                transport: TransportId(number.into()),
                routes: vec![route],
            };
            lock(&world.plane).command(subscribe, now);
        }
        Ok(world)
    }

    fn join(&mut self, number: u16, media: impl FnOnce(&mut SessionBuilder)) -> Result<(), Box<dyn Error>> {
        let identity = Identity::new()?;
        let mut session = SessionBuilder::new(&format!("c{number}"), identity.fingerprint(), DtlsRole::Server);
        session.section("0", MediaKind::Video, vec![vp8(96, Some(97))]);
        media(&mut session);
        let session = session.build();
        let far = Far {
            address: SocketAddr::from(([192, 0, 2, 1], 1)),
            fingerprint: lock(&self.plane).fingerprint(),
        };
        let address = SocketAddr::from(([192, 0, 2, 2], 1000 + number));
        let mut person = Person {
            address,
            client: Scripted::new(identity, far, address),
            heard: Heard::default(),
            deadline: self.now,
            sent: Vec::new(),
        };
        person.client.handle_order(Order::CountOnly, self.now);
        person.client.apply(&session, self.now, &mut person.heard);
        let transport = TransportId(number.into());
        lock(&self.plane).command(Command::Apply { transport, session }, self.now);
        self.people.push(person);
        Ok(())
    }

    fn subscribers(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().skip(1)
    }

    fn run_until(&mut self, so: impl Fn(&Self) -> bool) -> Result<(), Box<dyn Error>> {
        let deadline = self.now + PATIENCE;
        while !so(self) {
            self.step(None)?;
            if self.now > deadline {
                return Err("a client did not connect, or gets nothing".into());
            }
        }
        Ok(())
    }

    /// A millisecond: a turn with what each subscriber sent, one with what is due by time, then one with what the publisher
    /// sent, counted or not. The publisher's datagrams, and how many packets were forwarded with them.
    fn step(&mut self, counted: Option<&Counted>) -> Result<(usize, u64), Box<dyn Error>> {
        self.now += STEP;
        let now = self.now;
        let mut sent = self.people.iter_mut().map(|person| person.step(now));
        let published = sent.next();
        let others: Vec<Sent> = sent.collect();
        for sent in others.iter().filter(|sent| !sent.datagrams.is_empty()) {
            sent.turn(&mut lock(&self.plane));
        }
        lock(&self.plane).turn(std::iter::empty(), now);
        self.deliver();
        let Some(published) = published.filter(|sent| !sent.datagrams.is_empty()) else {
            return Ok((0, 0));
        };
        let (came, before) = (published.datagrams.len(), lock(&self.plane).forwarded());
        match counted {
            Some(counted) => counted.turn(published)?,
            None => published.turn(&mut lock(&self.plane)),
        }
        let went = lock(&self.plane).forwarded() - before;
        self.deliver();
        Ok((came, went))
    }

    fn deliver(&mut self) {
        let (people, now) = (&mut self.people, self.now);
        lock(&self.plane).take(|to, datagram| {
            if let Some(person) = people.iter_mut().find(|person| person.address == to) {
                person.hear(datagram, now);
            }
        });
    }
}

impl Person {
    /// Lets it do what is due; what it sent since the last time.
    fn step(&mut self, now: Instant) -> Sent {
        if self.deadline <= now {
            let sent = &mut self.sent;
            let transmit = |datagram: &[u8]| sent.push(datagram.to_vec());
            self.deadline = self.client.step(now, &mut self.heard, transmit);
        }
        Sent {
            from: self.address,
            datagrams: std::mem::take(&mut self.sent),
            now,
        }
    }

    fn hear(&mut self, datagram: &[u8], now: Instant) {
        self.client.receive(datagram, now, &mut self.heard);
        let sent = &mut self.sent;
        let transmit = |datagram: &[u8]| sent.push(datagram.to_vec());
        self.deadline = self.client.drain(now, &mut self.heard, transmit).min(self.deadline);
    }
}
