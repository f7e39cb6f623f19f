//! What is sent to a server in each state.

use std::net::UdpSocket;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::mutate::{Attacks, Dice};
use testkit::signaling::{Client, both_tracks, connect, track};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{World, seeds};

/// Sockets, requests or messages of each kind in a round.
const EACH: usize = 40;

/// How long an answer is waited for; that none comes is right, too.
const SHORT: Duration = Duration::from_millis(20);

/// Frames as the SDK was recorded to send them.
fn frames() -> Vec<Value> {
    let texts = seeds("signaling").into_iter();
    texts
        .map(|text| serde_json::from_slice(&text).expect("seeds are frames"))
        .collect()
}

/// A mutation of a frame, as text: of its structure or of its bytes.
fn mutated(frame: &Value, dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => dice.text(&frame.to_string()),
        _ => dice.json(frame).to_string(),
    }
}

/// Takes what comes for a short while.
async fn hear(client: &mut Client) {
    while let Ok(Ok(_)) = timeout(SHORT, client.frame()).await {}
}

/// Sockets whose first frame is anything, and those that go on after a good hello.
pub(crate) async fn sockets_before_authentication(world: &World, dice: &mut Dice, attacks: &mut Attacks) {
    let frames = frames();
    for _ in 0..EACH {
        let first = mutated(dice.choose(&frames).unwrap(), dice);
        let mut client = Client::hello_raw(&world.url(), json!({ "type": "from-the-future" })).await;
        client.raw(first).await;
        attacks.count("signaling: first frame mutated");
        hear(&mut client).await;
        client.raw(mutated(dice.choose(&frames).unwrap(), dice)).await;
        attacks.count("signaling: second frame mutated");
        hear(&mut client).await;
        client.cut();
    }
    for _ in 0..EACH {
        let mut client = Client::hello(&world.url(), None).await;
        for _ in 0..3 {
            client.raw(mutated(dice.choose(&frames).unwrap(), dice)).await;
            attacks.count("signaling: welcomed, without a token");
        }
        hear(&mut client).await;
        client.cut();
    }
}

/// Joins by mutated messages that carry a good token.
pub(crate) async fn sockets_with_a_token(world: &World, dice: &mut Dice, attacks: &mut Attacks) {
    let connects: Vec<Value> = frames()
        .into_iter()
        .filter(|frame| frame["body"]["type"] == "connect")
        .collect();
    for number in 0..EACH {
        let mut frame = dice.choose(&connects).unwrap().clone();
        let body = dice.json(&frame["body"]);
        if body.is_object() {
            frame["body"] = body;
        }
        frame["body"]["type"] = json!("connect");
        frame["body"]["token"] = json!(world.token(&format!("joiner{number}")));
        frame["body"]["name"] = json!("attacked");
        let mut client = Client::hello(&world.url(), None).await;
        client.send(frame).await;
        attacks.count("signaling: connect mutated, with a good token");
        hear(&mut client).await;
        if dice.below(2) == 0 {
            client.cut();
        } else {
            client.leave().await;
        }
    }
}

/// A participant of the call's own room.
pub(crate) async fn a_participant(world: &World, dice: &mut Dice, attacks: &mut Attacks) {
    let frames = frames();
    for _ in 0..EACH / 4 {
        let token = world.token("mallory");
        let (mut mallory, connected) = Client::join(&world.url(), &token, Some("attacked"))
            .await
            .expect("let in");
        let session = mallory.session.clone();
        let offer = connect(&token, None, both_tracks(), Some(testkit::signaling::OFFER));
        for revision in 2..12 {
            let mut update = json!({
                "type": "msg",
                "body": {
                    "type": "update", "version": 2, "session": session,
                    "participant": { "revision": revision, "tracks": many_tracks(dice) },
                    "peer_connections": offer["peer_connections"],
                },
            });
            update["body"]["peer_connections"][0]["description"]["revision"] = json!(revision);
            match dice.below(4) {
                0 => mallory.raw(mutated(dice.choose(&frames).unwrap(), dice)).await,
                1 => mallory.send(update).await,
                _ => {
                    update["body"] = dice.json(&update["body"]);
                    mallory.send(update).await;
                }
            }
            attacks.count("signaling: in the room, mutated");
        }
        hear(&mut mallory).await;
        mallory.cut();
        let mut sync = json!({
            "type": "sync", "version": 2, "session": session, "token": "x", "name": "attacked",
            "participant": { "revision": 20, "tracks": both_tracks() },
            "peer_connections": connected["peer_connections"],
        });
        sync = dice.json(&sync);
        let mut again = Client::hello(&world.url(), Some(sync)).await;
        attacks.count("signaling: resume mutated");
        hear(&mut again).await;
        again.leave().await;
    }
}

fn many_tracks(dice: &mut Dice) -> Value {
    let kinds = ["audio", "video", "data", "smell"];
    let number = |dice: &mut Dice| dice.below(80);
    (0..dice.below(70))
        .map(|_| {
            track(
                &format!("t{}", number(dice)),
                kinds[dice.below(4)],
                &format!("n{}", number(dice)),
            )
        })
        .collect()
}

/// Requests to the API, as they should be and with anything changed.
pub(crate) async fn requests(world: &World, dice: &mut Dice, attacks: &mut Attacks) {
    let owner = world.server.owner();
    let credentials = STANDARD.encode(format!("{}:{}", owner.account.sid, owner.account.auth_token));
    let forms = seeds("form");
    for _ in 0..2 * EACH {
        let body = dice.choose(&forms).map(|form| form[1..].to_vec()).unwrap();
        let body = dice.bytes(&body);
        let targets = [
            "/v1/Rooms",
            "/v1/Rooms/none",
            "/v1/Rooms/none/Participants",
            "/healthz",
            "/signaling",
        ];
        let target = targets[dice.below(targets.len())];
        let target = dice.text(target);
        let length = body.len() + dice.below(3);
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
        );
        request(world, &[head.as_bytes(), &body].concat()).await;
        attacks.count("REST: target and body mutated, authenticated");
        let query = String::from_utf8_lossy(&body).replace([' ', '\r', '\n'], "+");
        let get =
            format!("GET /v1/Rooms?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n\r\n");
        request(world, get.as_bytes()).await;
        attacks.count("REST: query mutated, authenticated");
        request(world, &dice.bytes(head.as_bytes())).await;
        attacks.count("REST: head mutated");
    }
    let alive = request(world, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(
        alive.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&alive)
    );
}

async fn request(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(world.server.http_addr()).await.unwrap();
    // The server may have closed before it has read all.
    socket.write_all(bytes).await.ok();
    let mut answer = vec![0; 4096];
    let read = timeout(10 * SHORT, socket.read(&mut answer)).await;
    answer.truncate(read.map_or(0, |read| read.unwrap_or(0)));
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.starts_with("HTTP/1.1 500 "), "{text}");
    answer
}

/// Datagrams of strangers to the port of media.
pub(crate) async fn datagrams(world: &World, dice: &mut Dice, attacks: &mut Attacks) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut originals = seeds("stun");
    originals.extend(seeds("handshake").into_iter().map(|seed| seed[1..].to_vec()));
    originals.extend(seeds("datagrams").into_iter().map(|seed| seed[3..].to_vec()));
    for sent in 0..5 * EACH {
        let original = dice.choose(&originals).unwrap().clone();
        for (kind, datagram) in [
            ("UDP: replayed by a stranger", original.clone()),
            ("UDP: mutated by a stranger", dice.bytes(&original)),
        ] {
            // Longer than a datagram may be is refused by the kernel.
            for addr in world.server.media_addrs() {
                if socket.send_to(&datagram, addr).is_ok() {
                    attacks.count(kind);
                }
            }
        }
        // Slower than any machine reads: a full socket buffer would lose frames of the call, too.
        if sent % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
