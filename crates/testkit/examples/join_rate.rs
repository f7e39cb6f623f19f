//! Joins rooms of a running server over real sockets, from `connect` to `connected`, and prints how
//! many joins a second were made durable, as one line of JSON.
//!
//! `cargo run --release -p testkit --example join_rate BINARY DATA_DIR [SECONDS [PID_OF_SERVER]]`
//! with a server that runs on this data directory on its default address, whose tokens the program
//! makes. Forty clients at once in 1, 10 and 100 rooms join, leave and join again: first without
//! tracks and media, then with both tracks and a browser's offer.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use testkit::signaling::{Client, OFFER, both_tracks};

/// Clients at once; fewer than a room that a client makes takes.
const CLIENTS: usize = 40;
const URL: &str = "ws://127.0.0.1:8080/signaling";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().expect("the program");
    let directory = arguments.next().expect("a data directory");
    let seconds = arguments.next().map_or(5, |n| n.parse().unwrap());
    let length = Duration::from_secs(seconds);
    let tokens: Vec<String> = (0..CLIENTS).map(|number| token(&binary, &directory, number)).collect();
    let mut parts = Vec::new();
    for offer in [None, Some(OFFER)] {
        for rooms in [1, 10, 100] {
            parts.push(run(&tokens, rooms, offer, length).await);
        }
    }
    println!("[{}]", parts.join(","));
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

async fn run(tokens: &[String], rooms: usize, offer: Option<&'static str>, length: Duration) -> String {
    let began = Instant::now();
    let clients = tokens.iter().cloned().enumerate().map(|(number, token)| {
        tokio::spawn(async move {
            let mut took_us = Histogram::<u64>::new(3).unwrap();
            let mut turn = number;
            while began.elapsed() < length {
                let room = format!("{rooms} rooms: {}", turn % rooms);
                let tracks = offer.map_or(json!([]), |_| both_tracks());
                let asked = Instant::now();
                let (client, _) = Client::join_with(URL, &token, Some(&room), tracks, offer)
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
    let per_second = took_us.len() as f64 / began.elapsed().as_secs_f64();
    format!(
        "{{\"rooms\":{rooms},\"media\":{},\"joins_per_s\":{per_second:.0},\"p50_us\":{},\"p99_us\":{}}}",
        offer.is_some(),
        took_us.value_at_quantile(0.5),
        took_us.value_at_quantile(0.99)
    )
}
