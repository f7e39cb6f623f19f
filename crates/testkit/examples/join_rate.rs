//! Joins rooms of a running server over real sockets, from `connect` to `connected`, and prints how
//! many joins a second were made durable, as one line of JSON.
//!
//! `cargo run --release -p testkit --example join_rate BINARY DATA_DIR [SECONDS [PID [USER:PASSWORD]]]`
//! with a server that runs on this data directory on its default address, whose tokens the program
//! makes. Forty clients at once in 1, 10 and 100 rooms join, leave and join again: first without
//! tracks and media, then with both tracks and a browser's offer. With the server's PID its CPU time for each join, and
//! its leave, is told, and that of this program: whichever fills its processor is what bounds the rate.
//!
//! Rooms are made by who comes first and end with who leaves last, so that with 100 of them nearly each join makes a room
//! and each leave ends it. With an account's credentials the rooms are made before by the API and stay.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use hdrhistogram::Histogram;
use serde_json::json;
use testkit::signaling::{Client, OFFER, both_tracks};

/// Clients at once; fewer than a room that a client makes takes.
const CLIENTS: usize = 40;
const ADDR: &str = "127.0.0.1:8080";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().expect("the program");
    let directory = arguments.next().expect("a data directory");
    let seconds = arguments.next().map_or(5, |n| n.parse().unwrap());
    let length = Duration::from_secs(seconds);
    let pid: Option<u32> = arguments.next().map(|n| n.parse().unwrap());
    let user = arguments.next();
    let tokens: Vec<String> = (0..CLIENTS).map(|number| token(&binary, &directory, number)).collect();
    let mut parts = Vec::new();
    for offer in [None, Some(OFFER)] {
        for rooms in [1, 10, 100] {
            let name = |room| format!("{rooms} rooms: {room}");
            if let Some(user) = &user {
                (0..rooms).for_each(|room| make(user, &name(room)));
            }
            let before = pid.map(|pid| (cpu_us(pid), cpu_us(std::process::id())));
            let began = Instant::now();
            let took_us = run(&tokens, rooms, name, offer, length).await;
            let (joins, took_s) = (took_us.len() as f64, began.elapsed().as_secs_f64());
            let cpu = before.zip(pid).map(|((server, own), pid)| {
                let [server, own] = [cpu_us(pid) - server, cpu_us(std::process::id()) - own];
                format!(
                    ",\"server_cpu_us\":{:.0},\"own_cpu_us\":{:.0}",
                    server / joins,
                    own / joins
                )
            });
            parts.push(format!(
                "{{\"rooms\":{rooms},\"media\":{},\"joins_per_s\":{:.0},\"p50_us\":{},\"p99_us\":{}{}}}",
                offer.is_some(),
                joins / took_s,
                took_us.value_at_quantile(0.5),
                took_us.value_at_quantile(0.99),
                cpu.unwrap_or_default()
            ));
        }
    }
    println!("[{}]", parts.join(",\n "));
}

/// Makes a room by the API, which stays when nobody is in it; one that is there already will do.
fn make(user: &str, name: &str) {
    let authorization = base64::engine::general_purpose::STANDARD.encode(user);
    let body = format!("UniqueName={}", name.replace(' ', "+").replace(':', "%3A"));
    let mut stream = TcpStream::connect(ADDR).unwrap();
    let request = format!(
        "POST /v1/Rooms HTTP/1.1\r\nHost: {ADDR}\r\nAuthorization: Basic {authorization}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let is_there = answer.starts_with("HTTP/1.1 201") || answer.contains("53113");
    assert!(is_there, "{answer}");
}

fn token(binary: &str, directory: &str, number: usize) -> String {
    let identity = format!("guest {number}");
    let output = Command::new(binary)
        .args(["token", "--data-dir", directory, "--identity", &identity])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How long each join took.
async fn run(
    tokens: &[String],
    rooms: usize,
    name: impl Fn(usize) -> String,
    offer: Option<&'static str>,
    length: Duration,
) -> Histogram<u64> {
    let began = Instant::now();
    let url = format!("ws://{ADDR}/signaling");
    let names: Vec<String> = (0..rooms).map(name).collect();
    let clients = tokens.iter().cloned().enumerate().map(|(number, token)| {
        let (names, url) = (names.clone(), url.clone());
        tokio::spawn(async move {
            let mut took_us = Histogram::<u64>::new(3).unwrap();
            let mut turn = number;
            while began.elapsed() < length {
                let room = &names[turn % names.len()];
                let tracks = offer.map_or(json!([]), |_| both_tracks());
                let asked = Instant::now();
                let (client, _) = Client::join_with(&url, &token, Some(room), tracks, offer)
                    .await
                    .unwrap();
                took_us.record(asked.elapsed().as_micros() as u64).unwrap();
                client.leave().await;
                // Other rooms and not always the same neighbours.
                turn += CLIENTS + 1;
            }
            took_us
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut took_us = Histogram::<u64>::new(3).unwrap();
    for client in clients {
        took_us.add(client.await.unwrap()).unwrap();
    }
    took_us
}

/// CPU time that a process used, user and system, in the kernel's ticks of a hundredth second.
fn cpu_us(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10_000.0
}
