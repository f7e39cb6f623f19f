//! PostgreSQL, stopped under a call and started again.

use std::time::{Duration, Instant};

use testkit::postgres::{PostgresServer, Sync};

use super::caller::both_hear;
use super::process::{Start, directory};
use super::store_faults::{all_is_well_again, call, new_work_is_refused};

/// What is said once when it is gone.
const AWAY: &str = "the database cannot be reached";
/// How long it stays away; a few seconds unless the environment wants more.
const AWAY_S: (&str, u64) = ("OUTAGE_SECONDS", 3);

/// What was written of the room "daily", in order.
const EVENTS: &str = "SELECT string_agg(concat_ws(' ', e.kind, p.identity), ', ' ORDER BY e.seq)
    FROM events AS e JOIN rooms AS r ON r.id = e.room_id LEFT JOIN participants AS p ON p.id = e.participant_id
    WHERE r.name = 'daily'";

/// The call goes on; a mute and a leave meanwhile land once, in order; reads and all new work are refused clearly.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_goes_away_under_a_call() {
    let away_s = std::env::var(AWAY_S.0).map_or(AWAY_S.1, |seconds| seconds.parse().unwrap());
    let postgres = PostgresServer::start(Sync::Disk);
    let database = postgres.database();
    let (_directory, data) = directory();
    let server = Start::on(&data)
        .env([("ROTUNDA_DATABASE_URL", database.clone().into())])
        .run();
    let (alice, bob) = call(&server).await;
    postgres.stop();
    let begin = Instant::now();
    bob.enable(false);
    new_work_is_refused(&server, (&alice, &bob), AWAY).await;
    while begin.elapsed() < Duration::from_secs(away_s) {
        both_hear(&alice, &bob).await;
    }
    for path in ["/v1/Rooms/daily", "/v1/Rooms/daily/Participants"] {
        let (status, headers, body) = server.rest(reqwest::Method::GET, path, &[]).await;
        assert_eq!((status, &body["code"]), (503, &20503.into()), "{path}");
        assert!(headers.contains_key("retry-after"));
    }
    assert!(!alice.is_gone() && !bob.is_gone());
    bob.leave().await;
    postgres.resume();
    all_is_well_again(&server, AWAY).await;
    assert!(!alice.is_gone(), "she never lost her socket");
    server
        .settles(
            "daily",
            &[
                ("alice", "connected"),
                ("bob", "disconnected"),
                ("carol", "disconnected"),
            ],
        )
        .await;
    let name = database.rsplit('/').next().and_then(|path| path.split('?').next());
    let expected = [
        "room-created",
        "participant-connected alice",
        "track-added alice",
        "participant-connected bob",
        "track-added bob",
        "track-disabled bob",
        "track-removed bob",
        "participant-disconnected bob",
        "participant-connected carol",
        "track-added carol",
        "track-removed carol",
        "participant-disconnected carol",
    ];
    assert_eq!(postgres.sql(name.unwrap(), EVENTS), expected.join(", "));
}
