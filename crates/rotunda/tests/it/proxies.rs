//! Proxies in between: whose word is taken, for addresses, for URLs, and for what one address may have.

use room::Timestamp;
use store::AuditFilter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{World, authorization};

/// A server that trusts this network, and that sees 127.0.0.1 as who connects.
async fn trusting(network: &str, connections_per_address: u32) -> World {
    World::with(|settings| {
        settings.trusted_proxies.0 = vec![network.parse().unwrap()];
        settings.door.connections_per_address = connections_per_address;
    })
    .await
}

/// Makes a room with these headers: its URL, and the address in the audit log.
async fn made_by(world: &World, headers: &[&str]) -> (String, String) {
    let mut lines = vec![authorization()];
    lines.extend(headers.iter().map(|header| (*header).to_owned()));
    let answer = world.raw("POST", "/v1/Rooms", &lines, b"").await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let sid = answer.json()["sid"].as_str().unwrap().to_owned();
    let url = answer.json()["url"]
        .as_str()
        .unwrap()
        .replace(&format!("/v1/Rooms/{sid}"), "");
    let filter = AuditFilter {
        since: Some(Timestamp(0)),
        room: Some(sid.parse().unwrap()),
    };
    let line = world.store().audit(filter, 0, 10).await.unwrap().remove(0);
    (url, line.audit.remote.unwrap())
}

#[tokio::test]
async fn a_trusted_proxy_tells_whose_the_request_is_and_what_the_server_is_called() {
    let world = trusting("127.0.0.0/8", 0).await;
    let x = [
        "X-Forwarded-For: 203.0.113.66, 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: video.example.com",
    ];
    let client = ("https://video.example.com".to_owned(), "192.0.2.7".to_owned());
    assert_eq!(made_by(&world, &x).await, client);
    let forwarded = ["Forwarded: for=192.0.2.7;proto=https;host=video.example.com"];
    assert_eq!(made_by(&world, &forwarded).await, client);
    assert_eq!(made_by(&world, &[]).await, (world.base(), "127.0.0.1".to_owned()));
    let answer = world
        .raw(
            "GET",
            "/v1/Rooms",
            &[authorization(), x[1].to_owned(), x[2].to_owned()],
            b"",
        )
        .await;
    let url = answer.meta("url");
    assert!(
        url.as_str().unwrap().starts_with("https://video.example.com/v1/Rooms?"),
        "{url}"
    );
    // What is no host bends no URL.
    let bent = world
        .raw(
            "GET",
            "/v1/Rooms",
            &[authorization(), "X-Forwarded-Host: a/b".to_owned()],
            b"",
        )
        .await;
    assert_eq!(bent.error(), (400, 20001));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let headers = [
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: video.example.com",
        "Forwarded: for=192.0.2.7;proto=https;host=video.example.com",
    ];
    for network in ["192.0.2.0/24", "127.0.0.2/32", "::/0"] {
        let world = trusting(network, 0).await;
        assert_eq!(
            made_by(&world, &headers).await,
            (world.base(), "127.0.0.1".to_owned()),
            "{network}"
        );
    }
    let world = World::with(|settings| {
        settings.trusted_proxies.0 = vec!["127.0.0.1/32".parse().unwrap()];
        settings.public_url = Some("https://public.example.com".to_owned());
    })
    .await;
    let (url, remote) = made_by(&world, &headers).await;
    assert_eq!(
        (url.as_str(), remote.as_str()),
        ("https://public.example.com", "192.0.2.7")
    );
}

/// Opens a WebSocket by hand, as a proxy passes one on for this client; the status that it is answered with.
async fn socket(world: &World, client: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(world.server.http_addr()).await.unwrap();
    let request = format!(
        "GET /signaling HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    (stream, String::from_utf8_lossy(&head[9..]).into_owned())
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_its_own_places() {
    let world = trusting("127.0.0.1/32", 2).await;
    let (one, first) = socket(&world, "192.0.2.7").await;
    let (_two, second) = socket(&world, "192.0.2.7").await;
    assert_eq!((first.as_str(), second.as_str()), ("101", "101"));
    assert_eq!(
        socket(&world, "192.0.2.7").await.1,
        "429",
        "as many as one address may have"
    );
    let asked_by = |client: &str| [authorization(), format!("X-Forwarded-For: {client}")];
    let full = world.raw("GET", "/v1/Rooms", &asked_by("192.0.2.7"), b"").await;
    assert_eq!(full.error(), (429, 20429));
    assert!(full.headers.contains_key("retry-after"));
    let other = world.raw("GET", "/v1/Rooms", &asked_by("192.0.2.8"), b"").await;
    assert_eq!(other.status, 200, "another client of the same proxy");
    // The proxy itself may have any number of connections.
    let mut sockets = Vec::new();
    for client in 10..20 {
        let (socket, status) = socket(&world, &format!("192.0.2.{client}")).await;
        assert_eq!(status, "101");
        sockets.push(socket);
    }
    drop(one);
    let served = async {
        while world.raw("GET", "/v1/Rooms", &asked_by("192.0.2.7"), b"").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, served)
        .await
        .expect("its place was given back");
    // Who comes without a proxy between, by an address that is not trusted, is counted by connection.
    let world = trusting("192.0.2.0/24", 1).await;
    let (_one, status) = socket(&world, "198.51.100.1").await;
    assert_eq!(status, "101");
    let mut second = TcpStream::connect(world.server.http_addr()).await.unwrap();
    let mut nothing = Vec::new();
    let closed = second.read_to_end(&mut nothing).await;
    assert!(closed.is_err() || nothing.is_empty(), "{nothing:?}");
}
