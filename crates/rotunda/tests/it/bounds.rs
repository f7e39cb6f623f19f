//! What a client of REST can make the server hold or wait for, and what it is told at each bound.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::world::{World, authorization};

/// How many seconds anything may take on a busy machine.
const PATIENCE_S: usize = 120;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

#[tokio::test]
async fn too_many_requests_are_429_and_told_when_to_come_back() {
    let world = World::with(|settings| settings.door.rest_requests_per_s = 1).await;
    // Two seconds' worth may come at once; on a slow machine some more come in the course of time.
    let mut refused = None;
    for _ in 0..100 {
        let answer = world.get("/v1/Rooms").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
    }
    let refused = refused.expect("a hundred requests at a rate of one a second");
    assert_eq!(refused.error(), (429, 20429));
    assert_eq!(refused.json()["message"], "Too Many Requests");
    assert_eq!(refused.headers["retry-after"], "1");
    // Who shows no credentials is told that, and takes nothing from the account.
    assert_eq!(world.raw("GET", "/v1/Rooms", &[], b"").await.status, 401);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.get("/v1/Rooms").await.status, 200);
}

#[tokio::test]
async fn sizes_of_a_request() {
    let world = World::start().await;
    let headers = [authorization(), FORM.to_owned()];
    let long = "a".repeat(64 * 1024);
    let body = format!("UniqueName={long}");
    let answer = world.raw("POST", "/v1/Rooms", &headers, body.as_bytes()).await;
    assert_eq!(answer.error(), (413, 20001));
    let query = format!("/v1/Rooms?UniqueName={}", &long[..16 * 1024]);
    assert_eq!(world.get(&query).await.error(), (400, 20001));
    let parameters = format!("/v1/Rooms?{}", "a&".repeat(101));
    assert_eq!(world.get(&parameters).await.error(), (400, 20001));
    let credentials = format!("Authorization: Basic {}", &long[..2048]);
    assert_eq!(world.raw("GET", "/v1/Rooms", &[credentials], b"").await.status, 401);
    let head = format!("X-Long: {long}{long}{long}");
    let answer = world.raw("GET", "/v1/Rooms", &[head], b"").await;
    assert_eq!((answer.status, &*answer.text), (431, ""));
    let host = format!("Host: {}", &long[..300]);
    let answer = raw(
        &world,
        &format!(
            "GET /v1/Rooms HTTP/1.1\r\n{host}\r\n{}\r\nConnection: close\r\n\r\n",
            authorization()
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_page_is_bounded_and_so_are_its_tokens_and_names() {
    let world = World::start().await;
    let room = world.room(None, 0).await;
    let page = world
        .get(&format!("/v1/Rooms/{room}/Participants?PageSize=1000000"))
        .await;
    assert_eq!(page.meta("page_size"), 1000);
    let default = world.get(&format!("/v1/Rooms/{room}/Participants")).await;
    assert_eq!(default.meta("page_size"), 50);
    let token = "A".repeat(5000);
    let answer = world.get(&format!("/v1/Rooms?PageToken={token}")).await;
    assert_eq!(answer.error(), (400, 21481));
    let name = "n".repeat(129);
    assert_eq!(
        world.post("/v1/Rooms", &format!("UniqueName={name}")).await.error(),
        (400, 53101)
    );
    let url = format!("http://127.0.0.1/{}", "u".repeat(1024));
    let answer = world.post("/v1/Rooms", &format!("StatusCallback={url}")).await;
    assert_eq!(answer.error(), (400, 53111));
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let world = World::with(|settings| settings.door.connections_per_address = 2).await;
    let connect = || async { TcpStream::connect(world.server.http_addr()).await.unwrap() };
    let (first, mut second) = (connect().await, connect().await);
    // The second is served, so both are counted.
    ask(&mut second).await.unwrap();
    assert!(ask(&mut connect().await).await.is_err(), "the third is closed");
    drop(first);
    let served = async {
        while ask(&mut connect().await).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    patiently(served).await.expect("a place was given back");
    ask(&mut second).await.unwrap();
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let world = World::start().await;
    let mut silent = TcpStream::connect(world.server.http_addr()).await.unwrap();
    let mut dribbling = TcpStream::connect(world.server.http_addr()).await.unwrap();
    dribbling.write_all(b"GET /v1/Rooms HTTP/1.1\r\nHost: a").await.unwrap();
    for socket in [&mut silent, &mut dribbling] {
        let closed = patiently(socket.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_some(), "after half a minute");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_go_on_is_closed() {
    let certificate = rotunda::tls::throwaway(&[[127, 0, 0, 1].into()]).unwrap();
    let world = World::with(|settings| settings.certificate = Some(certificate)).await;
    let mut silent = TcpStream::connect(world.server.http_addr()).await.unwrap();
    let closed = patiently(silent.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_some(), "after ten seconds");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let world = World::start().await;
    let head = format!(
        "POST /v1/Rooms HTTP/1.1\r\nHost: a\r\n{}\r\n{FORM}\r\nContent-Length: 100\r\n\r\nUniqueName=",
        authorization()
    );
    let answer = patiently(raw(&world, &head)).await.expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        world.get("/v1/Rooms").await.json()["rooms"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_hold_a_connection() {
    let world = World::with(|settings| settings.door.connections_per_address = 1).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut reader = socket.connect(world.server.http_addr()).await.unwrap();
    // The page is 1 kB at least; so many of them fill the buffers of both sides.
    let asking = async { while reader.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok() {} };
    // The server stops reading when it cannot write, so the client stalls, until the kernel gives up.
    patiently(asking).await.expect("the connection is broken");
    let served = async {
        while ask(&mut TcpStream::connect(world.server.http_addr()).await.unwrap())
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    patiently(served).await.expect("its place was given back");
}

/// What comes of it within [`PATIENCE_S`]. Seconds are counted one by one, so that a process that is stopped for minutes
/// loses one: clocks go on meanwhile, and all that is waited for is late by as much.
async fn patiently<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..PATIENCE_S {
        if let Ok(output) = timeout(Duration::from_secs(1), future.as_mut()).await {
            return Some(output);
        }
    }
    None
}

/// Sends bytes; all that comes back until the end.
async fn raw(world: &World, bytes: &str) -> String {
    let mut socket = TcpStream::connect(world.server.http_addr()).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    socket.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

/// A request on a connection that stays open, and the first bytes of its answer.
async fn ask(socket: &mut TcpStream) -> std::io::Result<()> {
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    // The rest of the answer ends with its body.
    let mut rest = Vec::new();
    while !rest.ends_with(b"\r\n\r\nok\n") {
        rest.push(socket.read_u8().await?);
    }
    Ok(())
}
