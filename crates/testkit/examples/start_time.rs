//! Starts a server again and again and prints, as one line of JSON, how long it took from starting the
//! process until `/readyz` answered 200.
//!
//! `cargo run --release -p testkit --example start_time BINARY DATA_DIR [TIMES [kill]]`: ends the
//! server by SIGTERM, or by SIGKILL with `kill`.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any start.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().expect("the program");
    let directory = arguments.next().expect("a data directory");
    let times = arguments.next().map_or(5, |n| n.parse().unwrap());
    let signal = match arguments.next().as_deref() {
        Some("kill") => "-KILL",
        _ => "-TERM",
    };
    let mut took_ms: Vec<f64> = (0..times).map(|_| start(&binary, &directory, signal)).collect();
    let list: Vec<String> = took_ms.iter().map(|ms| format!("{ms:.0}")).collect();
    took_ms.sort_by(f64::total_cmp);
    println!(
        "{{\"ready_ms\":[{}],\"median_ms\":{:.0}}}",
        list.join(","),
        took_ms[took_ms.len() / 2]
    );
}

fn start(binary: &str, directory: &str, signal: &str) -> f64 {
    // Free a moment ago; nobody else takes ports of this range one after the other.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let mut child = Command::new(binary)
        .args(["serve", "--data-dir", directory, "--media-addr", "127.0.0.1:0"])
        .args(["--http-addr", &addr.to_string(), "--log", "warn"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !is_ready(&addr.to_string()) {
        assert!(began.elapsed() < PATIENCE, "it does not get ready");
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_micros(500));
    }
    let took = began.elapsed();
    let told = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(told.unwrap().success());
    child.wait().unwrap();
    took.as_secs_f64() * 1000.0
}

fn is_ready(addr: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(addr) else {
        return false;
    };
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
