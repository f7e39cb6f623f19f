//! CPU of the media thread for each packet that receivers got: rooms of scripted clients over loopback.
//!
//! The media thread has the first processor, the clients the second. Prints a line of JSON.
//! `cargo run --release -p sfu --example forward_cost [NAME=VALUE]...`, for the names see [`Shape`].

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use load::description::VideoCodec;
use load::engine::{Engine, NewPeer, Tally, socket_to};
use load::frames::{Clip, Opus, Playing};
use load::peer::{Far, Identity};
use load::process::{Cpus, raise_file_limit};
use load::source::{Media, Source};
use load::stamp::Clock;
use negotiation::{DtlsRole, Layer, MediaKind, NegotiatedSession};
use sfu::{Command, MediaEngine, Route, RouteMedia, Sfu, SfuConfig, Stats, TransportId};
use testkit::media::{SessionBuilder, opus, vp8};

/// What is made and measured.
#[derive(Debug, Clone)]
struct Shape {
    rooms: u64,
    participants: u64,
    /// Of each room.
    publishers: u64,
    /// Of a video; 0 for none.
    kbps: u64,
    fps: u32,
    /// Bytes of a frame of sound; 0 for none.
    sound: usize,
    seconds: u64,
    engine: MediaEngine,
    /// Each so manyth decrypts, the others count.
    decrypt_every: u64,
}

impl Shape {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut shape = Self {
            rooms: 1,
            participants: 50,
            publishers: 1,
            kbps: 600,
            fps: 30,
            sound: 80,
            seconds: 5,
            engine: MediaEngine::Own,
            decrypt_every: 10,
        };
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or("NAME=VALUE")?;
            match name {
                "rooms" => shape.rooms = value.parse()?,
                "participants" => shape.participants = value.parse()?,
                "publishers" => shape.publishers = value.parse()?,
                "kbps" => shape.kbps = value.parse()?,
                "fps" => shape.fps = value.parse()?,
                "sound" => shape.sound = value.parse()?,
                "seconds" => shape.seconds = value.parse()?,
                "engine" => shape.engine = value.parse()?,
                "decrypt_every" => shape.decrypt_every = value.parse()?,
                _ => return Err(format!("no such name: {name}").into()),
            }
        }
        Ok(shape)
    }

    fn kinds(&self) -> impl Iterator<Item = MediaKind> {
        let sound = (self.sound > 0).then_some(MediaKind::Audio);
        sound.into_iter().chain((self.kbps > 0).then_some(MediaKind::Video))
    }

    /// Streams that arrive when everybody hears everybody.
    fn streams(&self) -> u64 {
        self.rooms * self.publishers * (self.participants - 1) * self.kinds().count() as u64
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let shape = Shape::read(std::env::args().skip(1))?;
    raise_file_limit()?;
    "0".parse::<Cpus>()?.pin_this_thread()?;
    let sfu = Sfu::start(
        SfuConfig {
            binds: vec!["127.0.0.1:0".parse()?],
            engine: shape.engine,
            loudest_audio: None,
            pinned: false,
        },
        |_| {},
    )?;
    "1".parse::<Cpus>()?.pin_this_thread()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (clients, thread) = Engine::start(0, Clock::start())?;
    runtime.block_on(measure(&shape, &sfu, &clients))?;
    drop(clients);
    thread
        .join()
        .map_err(|_| "the clients' thread panicked")
        .map_err(Into::into)
}

async fn measure(shape: &Shape, sfu: &Sfu, clients: &Engine) -> Result<(), Box<dyn Error>> {
    join_all(shape, sfu, clients).await?;
    clients.play()?;
    let began = Instant::now();
    while clients.tally().await?.streams < shape.streams() {
        if began.elapsed() > Duration::from_secs(60) {
            return Err(format!("not everybody hears everybody: {:?}", clients.tally().await?.streams).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    clients.mark()?;
    let before = (sfu.stats(), clients.tally().await?, media_cpu()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(shape.seconds)).await;
    let after = (sfu.stats(), clients.tally().await?, media_cpu()?);
    report(
        shape,
        [before.0, after.0],
        [&before.1, &after.1],
        after.2 - before.2,
        before.3.elapsed(),
    );
    Ok(())
}

async fn join_all(shape: &Shape, sfu: &Sfu, clients: &Engine) -> Result<(), Box<dyn Error>> {
    let identity = Identity::new()?;
    let far = Far {
        address: sfu.workers()[0].local_addr(),
        fingerprint: sfu.fingerprint(),
    };
    let clip = Arc::new(Clip::new(VideoCodec::Vp8, shape.kbps * 1000, shape.fps, 1));
    let total = shape.rooms * shape.participants;
    for number in 0..total {
        let transport = TransportId(number);
        let session = session(shape, &identity, number);
        sfu.workers()[0].send(Command::Apply {
            transport,
            session: session.clone(),
        });
        sfu.workers()[0].send(Command::Subscribe {
            transport,
            routes: routes(shape, number),
        });
        let place = number % shape.participants;
        clients.add(NewPeer {
            number: number as u32,
            room: (number / shape.participants) as u32,
            publisher: number as u32,
            socket: socket_to(far.address)?,
            identity: identity.clone(),
            far: far.clone(),
            sources: sources(shape, number, &session, &clip),
            session,
            only_counts: !place.is_multiple_of(shape.decrypt_every.max(1)),
            conditions: None,
        })?;
        // Handshakes are slow, and their datagrams are lost when there are too many.
        while clients.tally().await?.connected + 20 <= number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// The other publishers of a participant's room.
fn others(shape: &Shape, number: u64) -> impl Iterator<Item = u64> + use<> {
    let room = number / shape.participants;
    let first = room * shape.participants;
    let publishers = first..first + shape.publishers;
    publishers.filter(move |other| *other != number)
}

fn session(shape: &Shape, identity: &Identity, number: u64) -> Arc<NegotiatedSession> {
    let mut session = SessionBuilder::new(&format!("c{number}"), identity.fingerprint(), DtlsRole::Server);
    for kind in shape.kinds() {
        let (name, codecs) = match kind {
            MediaKind::Audio => ("sound", vec![opus(111)]),
            MediaKind::Video => ("picture", vec![vp8(96, Some(97))]),
        };
        let layer = |ssrc: u32| Layer {
            ssrc: ssrc + 2 * u32::from(kind == MediaKind::Video),
            rtx: (kind == MediaKind::Video).then_some(ssrc + 3),
        };
        session.section(name, kind, codecs.clone());
        if number % shape.participants < shape.publishers {
            session.receive(name, name, &[layer(1000)]);
        }
        for other in others(shape, number) {
            let mid = format!("{name}{other}");
            session.section(&mid, kind, codecs.clone());
            session.send(&mid, &mid, layer(10_000 + 10 * other as u32));
        }
    }
    session.build()
}

fn routes(shape: &Shape, number: u64) -> Vec<Route> {
    let mut routes = Vec::new();
    for kind in shape.kinds() {
        let name = match kind {
            MediaKind::Audio => "sound",
            MediaKind::Video => "picture",
        };
        routes.extend(others(shape, number).map(|other| Route {
            source: TransportId(other),
            source_id: name.into(),
            id: format!("{name}{other}").into(),
            media: RouteMedia::Rtp(kind),
        }));
    }
    routes
}

fn sources(shape: &Shape, number: u64, session: &NegotiatedSession, clip: &Arc<Clip>) -> Vec<Source> {
    let published = session
        .sections
        .iter()
        .filter_map(|section| Some((section, section.receive.as_ref()?)));
    let source = |(section, receive): (&negotiation::Section, &negotiation::Receive)| Source {
        ssrc: receive.layers[0].ssrc,
        payload_type: section.codecs[0].payload_type,
        sequence: 1000,
        timestamp: 0,
        next: Instant::now(),
        silent: false,
        level: load::source::SPEECH_DBOV,
        media: match section.kind {
            MediaKind::Audio => Media::Audio {
                opus: Opus::new(shape.sound),
                red_of: None,
                before: None,
            },
            MediaKind::Video => Media::Clip {
                playing: Playing::new(clip.clone(), number),
                key: true,
            },
        },
    };
    published.map(source).collect()
}

/// Time the media thread has run.
fn media_cpu() -> Result<Duration, Box<dyn Error>> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if std::fs::read_to_string(path.join("comm"))?.trim() == "media-0" {
            let text = std::fs::read_to_string(path.join("schedstat"))?;
            let ns = text.split_whitespace().next().ok_or("an empty schedstat")?;
            return Ok(Duration::from_nanos(ns.parse()?));
        }
    }
    Err("no media thread".into())
}

fn report(shape: &Shape, stats: [Stats; 2], tallies: [&Tally; 2], cpu: Duration, took: Duration) {
    let [before, after] = stats;
    let [began, ended] = tallies;
    let received = ended.received - began.received;
    let per = |many: u64, one: u64| many as f64 / one.max(1) as f64;
    let turns = after.turns - before.turns;
    let datagrams_out = after.datagrams_out - before.datagrams_out;
    println!(
        "{{\"shape\":\"{} rooms of {}, {} publish, {} kbit/s, sound {}, {:?}\",\"packets_per_second\":{:.0},\
         \"cpu_us_per_packet\":{:.2},\"media_cpu_percent\":{:.1},\"lost\":{},\"delay_ms\":[{:.2},{:.2}],\
         \"turns_per_second\":{:.0},\"datagrams_in_per_turn\":{:.2},\"datagrams_per_message\":{:.2},\
         \"packets_in_per_second\":{:.0},\"datagrams_in_per_second\":{:.0},\"dropped_send\":{},\
         \"clients_cpu_percent\":{:.0},\"late_ms_p99\":{:.2}}}",
        shape.rooms,
        shape.participants,
        shape.publishers,
        shape.kbps,
        shape.sound,
        shape.engine,
        received as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / received.max(1) as f64,
        cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
        ended.lost,
        ended.delays.quantile_ms(0.5),
        ended.delays.quantile_ms(0.99),
        turns as f64 / took.as_secs_f64(),
        per(after.datagrams_in - before.datagrams_in, turns),
        per(datagrams_out, after.messages_out - before.messages_out),
        (after.packets_in - before.packets_in) as f64 / took.as_secs_f64(),
        (after.datagrams_in - before.datagrams_in) as f64 / took.as_secs_f64(),
        after.dropped_send - before.dropped_send,
        (ended.cpu - began.cpu).as_secs_f64() / took.as_secs_f64() * 100.0,
        ended.late.quantile_ms(0.99),
    );
}
