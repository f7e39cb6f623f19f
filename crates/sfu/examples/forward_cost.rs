//! CPU of the media thread for each packet forwarded: one publisher, thirty subscribers, loopback.
//!
//! Prints one line of JSON. `cargo run --release -p sfu --example forward_cost [subscribers] [seconds] [library|own]`

use std::error::Error;
use std::time::{Duration, Instant};

use negotiation::{DtlsRole, Layer, MediaKind};
use sfu::{Command, MediaEngine, Route, RouteMedia, Sfu, SfuConfig, Stats, TransportId};
use testkit::media::{Client, SessionBuilder, Video, vp8};

/// 20 packets of 1200 bytes at 30 frames a second: 5.8 Mbit/s.
const PACKETS_PER_FRAME: usize = 20;
const PAYLOAD_BYTES: usize = 1176;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let subscribers: u32 = arguments.next().map_or(Ok(30), |argument| argument.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(10), |argument| argument.parse())?;
    let engine = arguments
        .next()
        .map_or(Ok(MediaEngine::default()), |argument| argument.parse())?;
    let sfu = Sfu::start(
        SfuConfig {
            binds: vec!["127.0.0.1:0".parse()?],
            engine,
        },
        |_| {},
    )?;
    let publisher = join(&sfu, 0, |session| {
        session.receive(
            "0",
            "cam",
            &[Layer {
                ssrc: 10,
                rtx: Some(11),
            }],
        );
    })?;
    let mut watchers = Vec::new();
    for number in 1..=subscribers {
        let watcher = join(&sfu, u64::from(number), |session| {
            session.send(
                "0",
                "seen",
                Layer {
                    ssrc: 20,
                    rtx: Some(21),
                },
            );
        })?;
        let media = RouteMedia::Rtp(MediaKind::Video);
        let route = Route {
            source: TransportId(0),
            source_id: "cam".into(),
            id: "seen".into(),
            media,
        };
        sfu.workers()[0].send(Command::Subscribe {
            transport: TransportId(u64::from(number)),
            routes: vec![route],
        });
        watchers.push(watcher);
    }
    publisher.send_video(&[10], 96, Video::new(PACKETS_PER_FRAME, PAYLOAD_BYTES, 1));
    for watcher in &watchers {
        if !watcher.wait(Duration::from_secs(30), |heard| heard.count(20) > 100) {
            return Err("a subscriber gets nothing".into());
        }
    }
    let (before, received_before, cpu_before, start) = (sfu.stats(), received(&watchers), media_cpu()?, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, received_after, cpu_after) = (sfu.stats(), received(&watchers), media_cpu()?);
    report(
        &before,
        &after,
        received_after - received_before,
        cpu_after - cpu_before,
        start.elapsed(),
        subscribers,
    );
    Ok(())
}

fn join(sfu: &Sfu, number: u64, media: impl FnOnce(&mut SessionBuilder)) -> Result<Client, Box<dyn Error>> {
    let client = Client::start(sfu.workers()[0].local_addr(), &sfu.fingerprint())?;
    client.count_only();
    let mut session = SessionBuilder::new(&format!("c{number}"), client.fingerprint(), DtlsRole::Server);
    session.section("0", MediaKind::Video, vec![vp8(96, Some(97))]);
    media(&mut session);
    let session = session.build();
    sfu.workers()[0].send(Command::Apply {
        transport: TransportId(number),
        session: session.clone(),
    });
    client.apply(&session);
    match client.wait(Duration::from_secs(30), |heard| heard.connected) {
        true => Ok(client),
        false => Err("a client did not connect".into()),
    }
}

fn received(watchers: &[Client]) -> u64 {
    watchers.iter().map(|watcher| watcher.heard().count(20)).sum()
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

fn report(before: &Stats, after: &Stats, received: u64, cpu: Duration, took: Duration, subscribers: u32) {
    let forwarded = after.packets_forwarded - before.packets_forwarded;
    let micros = cpu.as_secs_f64() * 1e6 / forwarded.max(1) as f64;
    println!(
        "{{\"subscribers\":{subscribers},\"packets_in\":{},\"forwarded\":{forwarded},\"received\":{received},\
         \"datagrams_in\":{},\"datagrams_out\":{},\"refused\":{},\"seconds\":{:.2},\"media_cpu_percent\":{:.1},\
         \"cpu_us_per_forwarded_packet\":{micros:.2}}}",
        after.packets_in - before.packets_in,
        after.datagrams_in - before.datagrams_in,
        after.datagrams_out - before.datagrams_out,
        after.dropped_send - before.dropped_send,
        took.as_secs_f64(),
        cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
    );
}
