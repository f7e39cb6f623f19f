//! Real sockets on loopback addresses.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::ice::Path;

const WAIT: Duration = Duration::from_secs(2);

fn bind(address: &str) -> Socket {
    Socket::new(Bound::new(address.parse().unwrap()).unwrap())
}

fn local(socket: &Socket) -> SocketAddr {
    socket.socket.local_addr().unwrap()
}

fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(WAIT)).unwrap();
    socket
}

fn path_to(client: &UdpSocket) -> Path {
    Path {
        remote: client.local_addr().unwrap(),
        local: None,
    }
}

fn read(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4096];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

/// The next batch that is not empty.
fn receive(socket: &mut Socket) -> Vec<(Path, Vec<u8>)> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(2000_u16)).unwrap();
    socket.receiver.receive().unwrap();
    let datagrams = socket.receiver.datagrams();
    datagrams.map(|(path, datagram)| (path, datagram.to_vec())).collect()
}

fn answers_from_where_it_was_asked(bind_to: &str, ask: &str, client_at: &str) {
    let mut server = bind(bind_to);
    let asked = SocketAddr::new(ask.parse().unwrap(), local(&server).port());
    let client = client(client_at);
    client.send_to(b"question", asked).unwrap();
    let received = receive(&mut server);
    let [(path, question)] = &received[..] else {
        panic!("{received:?}");
    };
    assert_eq!(
        (&question[..], path.remote),
        (&b"question"[..], client.local_addr().unwrap())
    );
    for splits in [true, false] {
        server.sender.set_splits(splits);
        let mut outbox = Outbox::default();
        for i in 0..100_u8 {
            outbox.push(*path, &[i; 10]);
        }
        let flushed = server.sender.flush(&mut outbox);
        assert_eq!((flushed.datagrams, flushed.bytes, flushed.refused), (100, 1000, 0));
        assert!(outbox.is_empty());
        for i in 0..100_u8 {
            assert_eq!(read(&client), (vec![i; 10], asked));
        }
    }
}

#[test]
fn a_single_address() {
    answers_from_where_it_was_asked("127.0.0.1:0", "127.0.0.1", "127.0.0.1:0");
}

#[test]
fn a_wildcard_answers_from_the_address_asked() {
    answers_from_where_it_was_asked("0.0.0.0:0", "127.0.0.3", "127.0.0.1:0");
}

#[test]
fn both_families_on_one_socket() {
    if Bound::new("[::]:0".parse().unwrap()).is_err() || UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here");
        return;
    }
    answers_from_where_it_was_asked("[::]:0", "::1", "[::1]:0");
    answers_from_where_it_was_asked("[::]:0", "127.0.0.3", "127.0.0.1:0");
}

#[test]
fn a_flood_is_taken_in_batches() {
    let mut server = bind("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let sent = 2 * limits::RECEIVE_BATCH_MAX + 1;
    for _ in 0..sent {
        client.send_to(b"x", local(&server)).unwrap();
    }
    let mut counts = Vec::new();
    while counts.iter().sum::<usize>() < sent {
        counts.push(receive(&mut server).len());
        assert_eq!(
            server.receiver.is_full(),
            counts.last() == Some(&limits::RECEIVE_BATCH_MAX)
        );
    }
    assert_eq!(counts, [limits::RECEIVE_BATCH_MAX, limits::RECEIVE_BATCH_MAX, 1]);
    server.receiver.receive().unwrap();
    assert_eq!(server.receiver.datagrams().count(), 0);
}

#[test]
fn a_datagram_of_no_bytes_is_one() {
    let mut server = bind("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    for bytes in [&b""[..], b"x"] {
        client.send_to(bytes, local(&server)).unwrap();
        // An empty slot has no pieces, and nobody misses it.
        let received = receive(&mut server);
        assert!(received.iter().all(|(_, datagram)| datagram == bytes));
    }
    let mut outbox = Outbox::default();
    for bytes in [&b"ab"[..], b"", b"cd"] {
        outbox.push(path_to(&client), bytes);
    }
    assert_eq!(server.sender.flush(&mut outbox).datagrams, 3);
    let answers = [read(&client).0, read(&client).0, read(&client).0];
    assert_eq!(answers, [&b"ab"[..], b"", b"cd"]);
}

#[test]
fn an_unreachable_address_does_not_hold_up_the_others() {
    let mut server = bind("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let broadcast = Path {
        remote: "255.255.255.255:9".parse().unwrap(),
        local: None,
    };
    let mut outbox = Outbox::default();
    for path in [broadcast, path_to(&client), broadcast, path_to(&client)] {
        outbox.push(path, &[1]);
    }
    let flushed = server.sender.flush(&mut outbox);
    assert_eq!((flushed.datagrams, flushed.refused), (2, 2));
    assert_eq!((read(&client).0, read(&client).0), (vec![1], vec![1]));
}

/// Frames of several sizes for several clients, put in client by client and frame by frame, arrive as they were.
#[test]
fn what_is_sent_in_one_piece_arrives_apart() {
    let mut server = bind("0.0.0.0:0");
    let clients: Vec<UdpSocket> = (0..5).map(|_| client("127.0.0.1:0")).collect();
    let sizes = [1200, 1200, 1200, 700, 1200, 50, 60, 60, 60, 1, 900, 900, 901];
    for splits in [true, false] {
        server.sender.set_splits(splits);
        for frame_first in [true, false] {
            let mut outbox = Outbox::default();
            let mut expected: HashMap<SocketAddr, Vec<Vec<u8>>> = HashMap::new();
            let turns: Vec<(usize, usize)> = match frame_first {
                true => (0..sizes.len())
                    .flat_map(|at| (0..5).map(move |who| (at, who)))
                    .collect(),
                false => (0..5)
                    .flat_map(|who| (0..sizes.len()).map(move |at| (at, who)))
                    .collect(),
            };
            for (at, who) in turns {
                // Some clients have a byte more in each packet, as another extension does it.
                let datagram = vec![(at * 16 + who) as u8; sizes[at] + who % 2];
                let path = Path {
                    local: (who == 4).then(|| "127.0.0.9".parse().unwrap()),
                    ..path_to(&clients[who])
                };
                outbox.push(path, &datagram);
                expected.entry(path.remote).or_default().push(datagram);
            }
            let flushed = server.sender.flush(&mut outbox);
            assert_eq!((flushed.datagrams, flushed.refused), (5 * sizes.len() as u64, 0));
            let bytes: usize = expected.values().flatten().map(Vec::len).sum();
            assert_eq!(flushed.bytes, bytes as u64);
            for (who, client) in clients.iter().enumerate() {
                for datagram in &expected[&client.local_addr().unwrap()] {
                    let (read, from) = read(client);
                    assert_eq!(&read, datagram);
                    assert_eq!(from.ip().to_string() == "127.0.0.9", who == 4);
                }
            }
        }
    }
}

#[test]
fn equal_sizes_go_in_one_message() {
    let mut server = bind("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let counts = |server: &mut Socket, sizes: &[usize]| {
        let mut outbox = Outbox::default();
        for size in sizes {
            outbox.push(path_to(&client), &vec![0; *size]);
        }
        server.sender.message_counts(&outbox)
    };
    server.sender.set_splits(true);
    assert_eq!(counts(&mut server, &[1200, 1200, 1200, 700, 1200]), [4, 1]);
    assert_eq!(counts(&mut server, &[700, 1200, 1200]), [1, 2]);
    assert_eq!(counts(&mut server, &[100; 130]), [64, 64, 2]);
    assert_eq!(
        counts(&mut server, &[1700; 60]),
        [38, 22],
        "no more bytes than a message may have"
    );
    server.sender.set_splits(false);
    assert_eq!(counts(&mut server, &[100; 3]), [1, 1, 1]);
}

/// What a device that cannot split, or a path without room, makes of a message.
#[test]
fn a_message_that_is_refused_goes_in_single_datagrams() {
    use nix::errno::Errno;
    for (errno, still_splits) in [(Errno::EINVAL, true), (Errno::EMSGSIZE, true), (Errno::EIO, false)] {
        let mut server = bind("127.0.0.1:0");
        let client = client("127.0.0.1:0");
        server.sender.set_splits(true);
        let mut outbox = Outbox::default();
        for i in 0..10_u8 {
            outbox.push(path_to(&client), &[i; 20]);
        }
        let flushed = server.sender.refuse_first(errno, &outbox);
        assert_eq!((flushed.datagrams, flushed.bytes, flushed.refused), (10, 200, 0));
        assert!((0..10_u8).all(|i| read(&client).0 == [i; 20]));
        let expected = if still_splits { vec![10] } else { vec![1; 10] };
        assert_eq!(server.sender.message_counts(&outbox), expected);
    }
}

/// The kernel hands a message over in one piece where it can; each datagram is seen by itself, with where it came from.
#[test]
fn what_the_kernel_joins_is_taken_apart() {
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let (mut ours, mut theirs) = (bind(address), bind(address));
        let to = SocketAddr::from(([127, 0, 0, 1], local(&ours).port()));
        let path = Path {
            remote: to,
            local: None,
        };
        let mut outbox = Outbox::default();
        let sent: Vec<Vec<u8>> = (0..300_usize)
            .map(|i| vec![i as u8; if i % 50 == 49 { 70 } else { 1100 }])
            .collect();
        for datagram in &sent {
            outbox.push(path, datagram);
        }
        assert_eq!(theirs.sender.flush(&mut outbox).datagrams, 300);
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let batch = receive(&mut ours);
            assert!(!batch.is_empty(), "{} of {}", received.len(), sent.len());
            received.extend(batch);
        }
        for ((path, datagram), expected) in received.iter().zip(&sent) {
            assert_eq!(datagram, expected);
            assert_eq!(path.remote.port(), local(&theirs).port());
            assert_eq!(path.local.is_some(), address == "0.0.0.0:0");
        }
    }
}
