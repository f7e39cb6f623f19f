//! A flood of callbacks through the whole program to a local receiver: all arrive, in order; how fast, and what each costs.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use room::{
    AccountSid, Change, ParticipantSid, Priority, RoomSid, RoomType, Rules, SessionHash, Timestamp, Track, TrackKind,
    TrackSid,
};
use store::{Account, CallbackMethod, NewRoom, PostgresStore, SqliteStore, Store};
use testkit::postgres::{PostgresServer, Sync};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::kills::{ACCOUNT, broken_invariants, broken_invariants_of, port, start};
use crate::storm::read;

/// Events of one room.
const EVENTS: usize = 1000;
/// Changes in one write.
const BATCH: usize = 200;
/// Rooms that are filled at once.
const ROOMS_AT_ONCE: usize = 32;

/// What arrived.
#[derive(Default)]
struct Arrived {
    /// The number that comes next, by room.
    next: HashMap<String, usize>,
    count: usize,
    again: usize,
    wrong: Vec<String>,
}

impl Arrived {
    fn hear(&mut self, body: &str) {
        let value = |name: &str| {
            body.split('&')
                .find_map(|field| field.strip_prefix(name))
                .unwrap_or_default()
        };
        let room = value("RoomSid=");
        let sequence: usize = value("SequenceNumber=").parse().unwrap();
        let next = self.next.entry(room.to_owned()).or_default();
        if sequence < *next {
            self.again += 1;
        } else if sequence == *next {
            *next += 1;
            self.count += 1;
        } else {
            self.wrong
                .push(format!("{room}: {sequence} came, {next} should come next"));
        }
    }
}

/// Rooms that are over, with so many events each, none of which was delivered.
async fn fill(store: &dyn Store, url: &str, rooms: u32, events: usize) {
    let account: AccountSid = ACCOUNT.parse().unwrap();
    store.put_account(Account::new(account)).await.unwrap();
    let numbers: Vec<u32> = (0..rooms).collect();
    // Many at once share commits and what waits for an answer.
    for some in numbers.chunks(ROOMS_AT_ONCE) {
        join_all(
            some.iter()
                .map(|number| fill_room(store, account, url, *number, events)),
        )
        .await;
    }
}

async fn fill_room(store: &dyn Store, account: AccountSid, url: &str, number: u32, events: usize) {
    let at = Timestamp(1_790_000_000_000_000);
    let bytes = |kind: u8| {
        let mut bytes = [kind; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    let (sid, participant, track) = (
        RoomSid::from_bytes(bytes(1)),
        ParticipantSid::from_bytes(bytes(2)),
        TrackSid::from_bytes(bytes(3)),
    );
    let new = NewRoom {
        sid,
        unique_name: Some(format!("room {number}")),
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: Some(url.to_owned()),
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 14_400,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: vec!["VP8".to_owned()],
        media_region: None,
        at,
    };
    store.create_room(account, new).await.unwrap();
    let mut changes = vec![
        Change::ParticipantConnected {
            participant,
            identity: "alice".to_owned(),
            session: SessionHash([7; 32]),
            rules: Rules::everything(),
            at,
        },
        Change::TrackPublished {
            participant,
            track: Track {
                sid: track,
                media_id: "microphone".to_owned(),
                kind: TrackKind::Audio,
                name: "microphone".to_owned(),
                enabled: true,
                priority: Priority::Standard,
            },
            at,
        },
    ];
    changes.extend((0..events - 6).map(|turn| Change::TrackEnabled {
        participant,
        track,
        enabled: turn % 2 == 1,
        at,
    }));
    changes.extend([
        Change::TrackUnpublished { participant, track, at },
        Change::ParticipantDisconnected {
            participant,
            at,
            duration_s: 0,
        },
        Change::RoomCompleted { at, duration_s: 0 },
    ]);
    for batch in changes.chunks(BATCH) {
        store.write(account, sid, 1, batch.to_vec()).await.unwrap();
    }
}

/// Seconds of processor time that the process has used.
fn processor_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    // Linux counts a hundred in a second, whatever the kernel does (USER_HZ).
    ticks / 100.0
}

fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn passes(rooms: u32, events: usize, postgres: Option<&PostgresServer>) {
    let directory = tempfile::tempdir().unwrap();
    let database = postgres.map(PostgresServer::database);
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let total = rooms as usize * events;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let filling = Instant::now();
    match &database {
        None => {
            fill(
                &SqliteStore::open(&data.join("rotunda.db")).unwrap(),
                &url,
                rooms,
                events,
            )
            .await
        }
        Some(database) => {
            let store = PostgresStore::open(&database.parse().unwrap()).await.unwrap();
            fill(&store, &url, rooms, events).await;
        }
    }
    println!(
        "{total} events of {rooms} rooms in {:.0} s",
        filling.elapsed().as_secs_f64()
    );
    let arrived: Arc<Mutex<Arrived>> = Arc::default();
    let (tell, mut count) = watch::channel(0);
    let (tell, heard) = (Arc::new(tell), Arc::clone(&arrived));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (tell, arrived) = (Arc::clone(&tell), Arc::clone(&heard));
            tokio::spawn(async move {
                while let Some((_, body)) = read(&mut socket).await {
                    let count = {
                        let mut arrived = arrived.lock().unwrap();
                        arrived.hear(&body);
                        arrived.count
                    };
                    tell.send_replace(count);
                    if socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let began = Instant::now();
    let environment = database.iter().map(|database| ("ROTUNDA_DATABASE_URL", database));
    let mut child = start(&data, port(&mut fastrand::Rng::new()), environment).await;
    while *count.borrow_and_update() < total {
        let more = tokio::time::timeout(Duration::from_secs(60), count.changed()).await;
        assert!(
            more.is_ok(),
            "nothing came for a minute: {} of {total}",
            *count.borrow()
        );
    }
    let took_s = began.elapsed().as_secs_f64();
    let (cpu_s, memory) = (processor_s(child.id()), memory_mib(child.id()));
    // By SIGTERM, so that the ends of the last are noted.
    let asked = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    assert!(child.wait().unwrap().success());
    let arrived = arrived.lock().unwrap();
    println!(
        "{total} callbacks in {took_s:.1} s: {:.0} a second, {:.0} us of processor time each, at most {memory} MiB; again: {}",
        total as f64 / took_s,
        cpu_s * 1e6 / total as f64,
        arrived.again
    );
    assert_eq!((arrived.count, &arrived.wrong), (total, &Vec::new()));
    assert!(arrived.next.values().all(|next| *next == events));
    let broken = match &database {
        None => broken_invariants(&data),
        Some(database) => broken_invariants_of(database),
    };
    assert_eq!(broken, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_callbacks_arrives_whole() {
    passes(20, 100, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_callbacks_from_postgres_arrives_whole() {
    passes(20, 100, Some(PostgresServer::shared())).await;
}

/// `scripts/soak callbacks-million [COUNT] [postgres]`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: scripts/soak callbacks-million"]
async fn soak() {
    let count: usize = std::env::var("CALLBACK_COUNT").map_or(1_000_000, |count| count.parse().unwrap());
    let rooms = u32::try_from(count.div_ceil(EVENTS)).unwrap();
    match std::env::var("TRUTH_STORE").as_deref() {
        Ok("postgres") => passes(rooms, EVENTS, Some(&PostgresServer::start(Sync::Disk))).await,
        _ => passes(rooms, EVENTS, None).await,
    }
}
