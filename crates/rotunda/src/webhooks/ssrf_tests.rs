//! Addresses and tricks by which somebody who names a callback's URL may try to have this server ask what they cannot
//! reach themselves: each a test of its own, with a victim on a real socket that must not hear anything.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use room::{AccountSid, EventKind, RoomSid, Timestamp};
use store::{CallbackMethod, DueCallback};
use tokio::net::UdpSocket;

use super::address::AddressRule;
use super::deliver::{Answer, Sender, message};
use super::resolver::{Lookup, system};

fn due(url: &str) -> DueCallback {
    DueCallback {
        id: 1,
        attempts: 0,
        url: url.to_owned(),
        receiver: store::receiver_of(url),
        method: CallbackMethod::Post,
        account: AccountSid::from_bytes([1; 16]),
        room: RoomSid::from_bytes([2; 16]),
        room_name: "daily".to_owned(),
        room_type: room::RoomType::Group,
        event: EventKind::RoomCreated,
        sequence: 0,
        at: Timestamp(0),
        duration_s: None,
        participant: None,
        track: None,
    }
}

/// A service on loopback that nobody outside may reach.
struct Victim(TcpListener);

impl Victim {
    fn on(ip: impl Into<IpAddr>) -> Option<Self> {
        let listener = TcpListener::bind((ip.into(), 0)).ok()?;
        listener.set_nonblocking(true).unwrap();
        Some(Self(listener))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn was_asked(&self) -> bool {
        self.0.accept().is_ok()
    }
}

async fn send(url: &str, allow: &[&str], lookup: Lookup) -> Answer {
    let rule = Arc::new(AddressRule::allowing(allow).unwrap());
    let sender = Sender::new(rule, lookup).unwrap();
    let due = due(url);
    sender.send(due.account, message(&due, "token"), false).await
}

/// Sends to a URL, in which `PORT` is that of the victim; by default nothing is allowed.
async fn refused(url: &str, expected: &str) {
    let victim = Victim::on(Ipv4Addr::LOCALHOST).unwrap();
    let answer = send(&url.replace("PORT", &victim.port().to_string()), &[], system()).await;
    let (Answer::Impossible(error) | Answer::Failed(error)) = answer else {
        panic!("{url} was asked: {answer:?}");
    };
    assert!(error.contains(expected), "{url}: {error}");
    assert!(!victim.was_asked(), "{url}");
}

macro_rules! refused {
    ($($name:ident: $url:expr, $expected:expr;)+) => {
        $(#[tokio::test]
        async fn $name() {
            refused($url, $expected).await;
        })+
    };
}

refused! {
    loopback: "http://127.0.0.1:PORT/", "is a loopback address";
    loopback_elsewhere_in_its_network: "http://127.8.9.1:PORT/", "is a loopback address";
    loopback_as_one_number: "http://2130706433:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_octal: "http://0177.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_octal_as_one_number: "http://017700000001:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_hex: "http://0x7f000001:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_parts_of_hex: "http://0x7f.0x0.0x0.0x1:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_mixed_notation: "http://0x7f.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_cut_short: "http://127.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_with_a_dot_at_the_end: "http://127.0.0.1.:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_wide_digits: "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_in_circled_digits: "http://\u{2460}\u{2461}\u{2466}.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_with_ideographic_dots: "http://127\u{3002}0\u{3002}0\u{3002}1:PORT/", "127.0.0.1 is a loopback address";
    loopback_percent_encoded: "http://%31%32%37.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_behind_a_user: "http://hooks.example.com@127.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_behind_a_user_and_password: "http://hooks.example.com:80@127.0.0.1:PORT/", "127.0.0.1 is a loopback";
    loopback_before_a_fragment: "http://127.0.0.1:PORT#@hooks.example.com/", "127.0.0.1 is a loopback address";
    loopback_before_a_query: "http://127.0.0.1:PORT?@hooks.example.com/", "127.0.0.1 is a loopback address";
    loopback_before_a_backslash: "http://127.0.0.1:PORT\\@hooks.example.com/", "127.0.0.1 is a loopback address";
    loopback_with_a_tab_in_it: "http://127.0.\t0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_with_a_line_feed_in_it: "http://127.0.\n0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_of_a_loud_scheme: "HTTP://127.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_without_slashes: "http:127.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_over_tls: "https://127.0.0.1:PORT/", "127.0.0.1 is a loopback address";
    loopback_v6: "http://[::1]:PORT/", "::1 is a loopback address";
    loopback_v6_in_full: "http://[0:0:0:0:0:0:0:1]:PORT/", "::1 is a loopback address";
    loopback_mapped: "http://[::ffff:127.0.0.1]:PORT/", "is a loopback address";
    loopback_mapped_in_hex: "http://[::ffff:7f00:1]:PORT/", "is a loopback address";
    loopback_mapped_in_full: "http://[0:0:0:0:0:ffff:7f00:0001]:PORT/", "is a loopback address";
    loopback_compatible: "http://[::127.0.0.1]:PORT/", "is a reserved address";
    loopback_by_nat64: "http://[64:ff9b::7f00:1]:PORT/", "is a loopback address";
    loopback_by_local_nat64: "http://[64:ff9b:1::7f00:1]:PORT/", "is a reserved address";
    loopback_by_6to4: "http://[2002:7f00:1::]:PORT/", "is a reserved address";
    loopback_by_teredo: "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]:PORT/", "is a reserved address";
    loopback_by_isatap: "http://[2606:4700::5efe:7f00:1]:PORT/", "is a reserved address";
    loopback_by_isatap_with_the_universal_bit: "http://[2606:4700::200:5efe:7f00:1]:PORT/", "is a reserved address";
    localhost: "http://localhost:PORT/", "refused: localhost is";
    localhost_in_capitals: "http://LOCALHOST:PORT/", "refused: localhost is";
    // Not every system knows it with the dot; none may ask it.
    localhost_with_a_dot_at_the_end: "http://localhost.:PORT/", "";
    localhost_with_an_ideographic_dot: "http://localhost\u{3002}:PORT/", "";
    localhost_in_circled_letters: "http://\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}:PORT/", "refused: localhost is";
    unspecified: "http://0.0.0.0:PORT/", "is an unspecified address";
    unspecified_as_one_number: "http://0:PORT/", "0.0.0.0 is an unspecified address";
    unspecified_v6: "http://[::]:PORT/", "is an unspecified address";
    unspecified_mapped: "http://[::ffff:0.0.0.0]:PORT/", "is an unspecified address";
    this_network: "http://0.1.2.3/", "is an unspecified address";
    private_10: "http://10.0.0.1/", "is a private address";
    private_172: "http://172.16.0.1/", "is a private address";
    private_192: "http://192.168.1.1/", "is a private address";
    private_mapped: "http://[::ffff:192.168.1.1]/", "is a private address";
    private_by_nat64: "http://[64:ff9b::10.0.0.1]/", "is a private address";
    private_by_6to4: "http://[2002:a00:1::1]/", "is a reserved address";
    unique_local: "http://[fd12:3456::1]/", "is a private address";
    unique_local_of_the_other_half: "http://[fc00::1]/", "is a private address";
    site_local: "http://[fec0::1]/", "is a private address";
    link_local: "http://169.254.1.1/", "is a link-local address";
    link_local_v6: "http://[fe80::1]/", "is a link-local address";
    link_local_with_a_zone: "http://[fe80::1%25lo]:PORT/", "the URL cannot be used";
    loopback_with_a_zone: "http://[::1%lo]:PORT/", "the URL cannot be used";
    shared: "http://100.64.0.1/", "is a shared address";
    metadata: "http://169.254.169.254/latest/meta-data/", "is a metadata address";
    metadata_as_one_number: "http://2852039166/", "169.254.169.254 is a metadata address";
    metadata_in_octal: "http://0251.0376.0251.0376/", "169.254.169.254 is a metadata address";
    metadata_mapped: "http://[::ffff:a9fe:a9fe]/", "is a metadata address";
    metadata_by_nat64: "http://[64:ff9b::a9fe:a9fe]/", "is a metadata address";
    metadata_of_containers: "http://169.254.170.2/", "is a metadata address";
    metadata_in_shared_space: "http://100.100.100.200/", "is a metadata address";
    metadata_in_reserved_space: "http://192.0.0.192/", "is a metadata address";
    metadata_at_a_public_address: "http://168.63.129.16/", "is a metadata address";
    metadata_v6: "http://[fd00:ec2::254]/", "is a metadata address";
    metadata_v6_of_another_cloud: "http://[fd20:ce::254]/", "is a metadata address";
    documentation_1: "http://192.0.2.1/", "is a documentation address";
    documentation_2: "http://198.51.100.1/", "is a documentation address";
    documentation_3: "http://203.0.113.1/", "is a documentation address";
    documentation_v6: "http://[2001:db8::1]/", "is a documentation address";
    documentation_v6_of_late: "http://[3fff::1]/", "is a documentation address";
    benchmark: "http://198.18.0.1/", "is a benchmark address";
    benchmark_v6: "http://[2001:2::1]/", "is a reserved address";
    multicast: "http://224.0.0.1/", "is a multicast address";
    multicast_v6: "http://[ff02::1]/", "is a multicast address";
    broadcast: "http://255.255.255.255/", "is a broadcast address";
    reserved: "http://240.0.0.1/", "is a reserved address";
    protocol_assignments: "http://192.0.0.8/", "is a reserved address";
    relay_of_6to4: "http://192.88.99.1/", "is a reserved address";
    discard_v6: "http://[100::1]/", "is a reserved address";
    segment_routing_v6: "http://[5f00::1]/", "is a reserved address";
    outside_of_what_is_given_out_v6: "http://[8000::1]/", "is a reserved address";
    no_scheme_of_the_web: "file:///etc/passwd", "the URL cannot be used";
    a_scheme_of_another_protocol: "gopher://127.0.0.1:PORT/", "the URL cannot be used";
}

/// A DNS server on loopback: what it answers to each question for a name, in turn; the last for ever.
async fn dns(answers: &[(&'static str, &[&[&str]])]) -> (Lookup, Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    let mut table: BTreeMap<String, Vec<Vec<IpAddr>>> = BTreeMap::new();
    for (name, turns) in answers {
        let turns = turns
            .iter()
            .map(|turn| turn.iter().map(|ip| ip.parse().unwrap()).collect());
        table.insert((*name).to_owned(), turns.collect());
    }
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut packet).await {
            let (name, kind) = question(&packet[..len]);
            heard.lock().unwrap().push(name.clone());
            let turns = table.entry(name).or_default();
            let now = if turns.len() > 1 && kind == AAAA {
                turns.remove(0)
            } else {
                turns.first().cloned().unwrap_or_default()
            };
            let reply = reply(&packet[..len], kind, &now);
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    let lookup: Lookup = Arc::new(move |host| Box::pin(resolve(server, host)));
    (lookup, asked)
}

const A: u16 = 1;
const AAAA: u16 = 28;

/// The name that is asked for, and the kind of record.
fn question(packet: &[u8]) -> (String, u16) {
    let (mut at, mut labels) = (12, Vec::new());
    while packet[at] != 0 {
        let len = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..at + 1 + len]).into_owned());
        at += 1 + len;
    }
    (labels.join("."), u16::from_be_bytes([packet[at + 1], packet[at + 2]]))
}

fn reply(query: &[u8], kind: u16, addresses: &[IpAddr]) -> Vec<u8> {
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) if kind == A => Some(ip.octets().to_vec()),
            IpAddr::V6(ip) if kind == AAAA => Some(ip.octets().to_vec()),
            _ => None,
        })
        .collect();
    let mut packet = query.to_vec();
    packet[2..4].copy_from_slice(&[0x81, 0x80]);
    packet[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    for record in records {
        // The name of the question, IN, no time to live.
        packet.extend([0xc0, 12]);
        packet.extend(kind.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 0]);
        packet.extend((record.len() as u16).to_be_bytes());
        packet.extend(record);
    }
    packet
}

/// Asks the server for both kinds of addresses, first IPv4.
async fn resolve(server: SocketAddr, host: String) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for kind in [A, AAAA] {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in host.trim_end_matches('.').split('.') {
            query.push(label.len() as u8);
            query.extend(label.bytes());
        }
        query.push(0);
        query.extend(kind.to_be_bytes());
        query.extend([0, 1]);
        socket.send_to(&query, server).await?;
        let mut answer = [0; 512];
        let len = socket.recv(&mut answer).await?;
        let mut at = query.len();
        while at < len {
            let size = usize::from(u16::from_be_bytes([answer[at + 10], answer[at + 11]]));
            let bytes = &answer[at + 12..at + 12 + size];
            found.push(match size {
                4 => IpAddr::from(<[u8; 4]>::try_from(bytes).unwrap()),
                _ => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap()),
            });
            at += 12 + size;
        }
    }
    Ok(found)
}

async fn name_refused(ip: &'static str, expected: &str) {
    let victim = Victim::on(Ipv4Addr::LOCALHOST).unwrap();
    let (lookup, asked) = dns(&[("hooks.test", &[&[ip]])]).await;
    let answer = send(&format!("http://hooks.test:{}/", victim.port()), &[], lookup).await;
    // A name may stand for something else tomorrow, so it is tried again.
    let Answer::Failed(error) = answer else {
        panic!("{ip} was asked: {answer:?}");
    };
    assert!(error.contains(expected), "{ip}: {error}");
    assert!(!victim.was_asked(), "{ip}");
    assert_eq!(asked.lock().unwrap().len(), 2, "A and AAAA, once");
}

macro_rules! names_refused {
    ($($name:ident: $ip:expr, $expected:expr;)+) => {
        $(#[tokio::test]
        async fn $name() {
            name_refused($ip, $expected).await;
        })+
    };
}

names_refused! {
    a_name_of_loopback: "127.0.0.1", "refused: hooks.test is 127.0.0.1, a loopback address";
    a_name_of_loopback_v6: "::1", "a loopback address";
    a_name_of_a_private_address: "10.0.0.1", "a private address";
    a_name_of_a_mapped_address: "::ffff:127.0.0.1", "a loopback address";
    a_name_of_metadata: "169.254.169.254", "a metadata address";
    a_name_of_metadata_by_nat64: "64:ff9b::a9fe:a9fe", "a metadata address";
    a_name_of_the_unspecified_address: "0.0.0.0", "an unspecified address";
    a_name_of_a_unique_local_address: "fd00::1", "a private address";
    a_name_of_a_link_local_address: "fe80::1", "a link-local address";
}

/// Answers one request with this head, and hands over what was asked.
fn receiver(ip: Ipv4Addr, answers: Vec<String>) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = move || {
        let each = answers.into_iter().map(|answer| {
            let (mut socket, _) = listener.accept().unwrap();
            let mut text = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                let len = socket.read(&mut chunk).unwrap();
                text.extend_from_slice(&chunk[..len]);
                let all = String::from_utf8_lossy(&text);
                let Some((head, body)) = all.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head
                    .to_ascii_lowercase()
                    .split_once("content-length: ")
                    .map_or(0, |(_, rest)| {
                        rest.split("\r\n").next().unwrap().parse::<usize>().unwrap()
                    });
                if body.len() >= length {
                    break;
                }
            }
            socket.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(text).unwrap()
        });
        each.collect()
    };
    (addr, std::thread::spawn(serve))
}

fn answer(status: &str, location: &str) -> String {
    format!("HTTP/1.1 {status} Of Its Own\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A receiver that is allowed redirects to a victim that is not.
async fn redirect_refused(status: &str, location: &str, expected: &str) {
    let victim = Victim::on(Ipv4Addr::LOCALHOST).unwrap();
    let location = location.replace("PORT", &victim.port().to_string());
    let (addr, asked) = receiver(NEIGHBOUR, vec![answer(status, &location)]);
    let (lookup, _) = dns(&[("rebound.test", &[&["127.0.0.1"]])]).await;
    let ended = send(&format!("http://{addr}/hook"), &["127.0.0.2"], lookup).await;
    let (Answer::Impossible(error) | Answer::Failed(error)) = ended else {
        panic!("followed: {ended:?}");
    };
    assert!(error.contains(expected), "{error}");
    assert!(!victim.was_asked());
    assert_eq!(asked.join().unwrap().len(), 1);
}

macro_rules! redirects_refused {
    ($($name:ident: $status:expr, $location:expr, $expected:expr;)+) => {
        $(#[tokio::test]
        async fn $name() {
            redirect_refused($status, $location, $expected).await;
        })+
    };
}

redirects_refused! {
    a_redirect_301_to_loopback: "301", "http://127.0.0.1:PORT/", "a loopback address";
    a_redirect_302_to_loopback: "302", "http://127.0.0.1:PORT/", "a loopback address";
    a_redirect_303_to_loopback: "303", "http://127.0.0.1:PORT/", "a loopback address";
    a_redirect_307_to_loopback: "307", "http://127.0.0.1:PORT/", "a loopback address";
    a_redirect_308_to_loopback: "308", "http://127.0.0.1:PORT/", "a loopback address";
    a_redirect_without_a_scheme: "307", "//127.0.0.1:PORT/", "a loopback address";
    a_redirect_in_hex: "307", "http://0x7f.1:PORT/", "a loopback address";
    a_redirect_to_metadata: "302", "http://169.254.169.254/latest/", "a metadata address";
    a_redirect_to_a_name_of_loopback: "307", "http://rebound.test:PORT/", "a loopback address";
    a_redirect_to_a_file: "302", "file:///etc/passwd", "a redirect from http to file";
    a_redirect_to_another_protocol: "302", "gopher://127.0.0.1:PORT/", "a redirect from http to gopher";
}

#[tokio::test]
async fn a_name_that_moves_after_the_check_moves_nothing() {
    let victim = Victim::on(Ipv4Addr::LOCALHOST).unwrap();
    let (addr, asked) = receiver(NEIGHBOUR, vec![OK.to_owned()]);
    let (lookup, questions) = dns(&[("hooks.test", &[&["127.0.0.2"], &["127.0.0.1"]])]).await;
    let url = format!("http://hooks.test:{}/", addr.port());
    let delivered = Answer::Status {
        status: 200,
        retry_after: None,
    };
    assert_eq!(send(&url, &["127.0.0.2"], Arc::clone(&lookup)).await, delivered);
    // One look-up: what was checked was connected to.
    assert_eq!(questions.lock().unwrap().len(), 2);
    assert_eq!(asked.join().unwrap().len(), 1);
    let url = format!("http://hooks.test:{}/", victim.port());
    let moved = send(&url, &["127.0.0.2"], lookup).await;
    assert!(
        matches!(&moved, Answer::Failed(error) if error.contains("a loopback address")),
        "{moved:?}"
    );
    assert!(!victim.was_asked());
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_asked() {
    let (addr, asked) = receiver(NEIGHBOUR, vec![OK.to_owned()]);
    let victim = TcpListener::bind((Ipv4Addr::LOCALHOST, addr.port())).unwrap();
    victim.set_nonblocking(true).unwrap();
    let (lookup, _) = dns(&[("hooks.test", &[&["127.0.0.1", "127.0.0.2", "::1"]])]).await;
    let ended = send(&format!("http://hooks.test:{}/", addr.port()), &["127.0.0.2"], lookup).await;
    assert!(matches!(ended, Answer::Status { status: 200, .. }), "{ended:?}");
    assert!(victim.accept().is_err());
    assert_eq!(asked.join().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_is_allowed_may_be_anywhere() {
    let (addr, asked) = receiver(Ipv4Addr::LOCALHOST, vec![OK.to_owned()]);
    let (lookup, _) = dns(&[("hooks.test", &[&["127.0.0.1"]])]).await;
    let ended = send(&format!("http://Hooks.Test.:{}/", addr.port()), &["hooks.test"], lookup).await;
    assert!(matches!(ended, Answer::Status { status: 200, .. }), "{ended:?}");
    asked.join().unwrap();
}

/// The HTTP client looks names up in the task that sends, so the share is the account's.
#[tokio::test]
async fn names_that_are_never_answered_take_no_places_of_other_accounts() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let nobody = silent.local_addr().unwrap();
    let (known, _) = dns(&[("hooks.test", &[&["127.0.0.2"]])]).await;
    let lookup: Lookup = Arc::new(move |host| match host.as_str() {
        "hooks.test" => known(host),
        _ => Box::pin(resolve(nobody, host)),
    });
    let rule = Arc::new(AddressRule::allowing(["127.0.0.2"]).unwrap());
    let sender = Sender::new(rule, lookup).unwrap();
    let theirs = AccountSid::from_bytes([9; 16]);
    // Broken off at the end.
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..crate::limits::CALLBACK_LOOKUPS_MAX {
        let (sender, due) = (sender.clone(), due(&format!("http://name{number}.test/")));
        attempts.spawn(async move { sender.send(theirs, message(&due, "token"), false).await });
    }
    // They have all that they may.
    let mut packet = [0; 512];
    for _ in 0..crate::limits::CALLBACK_LOOKUPS_PER_ACCOUNT_MAX {
        silent.recv_from(&mut packet).await.unwrap();
    }
    let (addr, asked) = receiver(NEIGHBOUR, vec![OK.to_owned()]);
    let due = due(&format!("http://hooks.test:{}/", addr.port()));
    let ended = sender.send(due.account, message(&due, "token"), false).await;
    assert!(matches!(ended, Answer::Status { status: 200, .. }), "{ended:?}");
    asked.join().unwrap();
    assert!(silent.try_recv_from(&mut packet).is_err(), "more than their share");
}

#[tokio::test]
async fn redirects_are_followed_with_all_fields_where_the_rule_lets_them() {
    for (status, begins, has_body) in [
        ("307", "POST /there?u=8 ", true),
        ("302", "GET /there?u=8&RoomStatus=", false),
    ] {
        let (second, heard) = receiver(NEIGHBOUR, vec![OK.to_owned()]);
        let (first, asked) = receiver(NEIGHBOUR, vec![answer(status, &format!("http://{second}/there?u=8"))]);
        let url = format!("http://user:secret@{first}/hook");
        let ended = send(&url, &["127.0.0.2"], system()).await;
        assert!(matches!(ended, Answer::Status { status: 200, .. }), "{ended:?}");
        let (first, second) = (asked.join().unwrap().remove(0), heard.join().unwrap().remove(0));
        assert!(second.starts_with(begins), "{second}");
        assert_eq!(
            second.ends_with("AccountSid=AC01010101010101010101010101010101"),
            has_body
        );
        let header = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.map(str::to_owned)
        };
        assert_eq!(
            header(&first, "x-twilio-signature:"),
            header(&second, "x-twilio-signature:")
        );
        assert!(header(&first, "authorization:").is_some());
        assert_eq!(header(&second, "authorization:"), None, "it was for the first");
    }
}

#[tokio::test]
async fn redirects_without_end_are_given_up() {
    let there = crate::limits::CALLBACK_REDIRECTS_MAX + 1;
    let (addr, asked) = receiver(NEIGHBOUR, vec![answer("307", "/again"); there]);
    let ended = send(&format!("http://{addr}/hook"), &["127.0.0.2"], system()).await;
    assert_eq!(ended, Answer::Impossible("more than 5 redirects".to_owned()));
    assert_eq!(asked.join().unwrap().len(), there);
}

#[tokio::test]
async fn loopback_v6_hears_nothing_either() {
    // Where the machine has no IPv6 there is nobody to hear.
    let Some(victim) = Victim::on(Ipv6Addr::LOCALHOST) else {
        return;
    };
    let ended = send(&format!("http://[::1]:{}/", victim.port()), &[], system()).await;
    assert!(matches!(ended, Answer::Impossible(_)), "{ended:?}");
    assert!(!victim.was_asked());
}
