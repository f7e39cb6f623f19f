//! Asks a running server for pages of participants over HTTP and prints how long they took, as one
//! line of JSON.
//!
//! `cargo run --release -p testkit --example list_load ADDR[,ADDR] USER:PASSWORD [SECONDS [PID [RATE]]]`
//!
//! First as many pages as it can get, one after the other on each connection: the highest rate. Then at
//! half of that rate (or RATE), at times that were fixed before: an answer that comes late does not
//! delay the next request, and each latency counts from when the request was due, so a server that
//! stands still is seen by all who would have asked meanwhile. With the server's PID its CPU time for
//! each page is told, which counts on a machine that others use too.
//!
//! With two addresses two servers are asked by turns, one page at a time, [`ROUNDS`] times the same pages. The times of both
//! are told, and those of each page's median: what the machine does now and then hits both sides alike, and no page in
//! most of its rounds, so what is left of the tails is theirs.
//!
//! Pages are of 50 rows, of random rooms among those completed: first pages, pages of an identity, of
//! a range of dates, and pages behind a cursor.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hdrhistogram::Histogram;

/// Connections, each a thread that waits for one answer at a time.
const CONNECTIONS: u64 = 32;
/// Rooms that are asked for, at most.
const ROOMS: usize = 20_000;
/// Requests before anything is counted.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often two servers are asked for the same pages.
const ROUNDS: usize = 5;
/// Pages that they are asked for where so many seconds were named: about what they answer.
const PAGES_PER_SECOND: usize = 250;
/// Rows of a full page.
const ROWS: usize = 50;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let addr = arguments.next().expect("an address");
    let user = arguments.next().expect("AccountSid:AuthToken");
    let seconds = arguments.next().map_or(10, |n| n.parse().unwrap());
    let pid: Option<u32> = arguments.next().map(|n| n.parse().unwrap());
    let rate: Option<f64> = arguments.next().map(|n| n.parse().unwrap());
    let authorization = base64::engine::general_purpose::STANDARD.encode(user);
    if let Some((one, other)) = addr.split_once(',') {
        let pages = usize::try_from(seconds).unwrap() * PAGES_PER_SECOND;
        println!("{}", by_turns([one, other], &authorization, pages));
        return;
    }
    let mut first = Connection::open(&addr);
    let requests = requests(&mut first, &head(&addr, &authorization));
    run(&addr, &requests, None, WARM_UP, pid);
    let length = Duration::from_secs(seconds);
    let highest = run(&addr, &requests, None, length, pid);
    let rate = rate.unwrap_or(highest.rate / 2.0);
    let half = run(&addr, &requests, Some(rate), length, pid);
    println!(
        "{{\"requests\":{},\"highest\":{},\"half\":{}}}",
        requests.len(),
        highest.json(),
        half.json()
    );
}

/// What stands in each request below its first line.
fn head(addr: &str, authorization: &str) -> String {
    format!("Host: {addr}\r\nAuthorization: Basic {authorization}\r\nAccept: application/json\r\n\r\n")
}

/// Asks two servers for one page each, one after the other, for so many pages, again and again.
fn by_turns(addrs: [&str; 2], authorization: &str, pages: usize) -> String {
    let requests = addrs.map(|addr| requests(&mut Connection::open(addr), &head(addr, authorization)));
    // Those that the requests were found by would be closed by now.
    let mut connections = addrs.map(Connection::open);
    let mut took_us = [vec![Vec::new(); pages], vec![Vec::new(); pages]];
    for _ in 0..ROUNDS {
        for page in 0..pages {
            for side in 0..addrs.len() {
                let of = &requests[side];
                let asked = Instant::now();
                connections[side].ask(&of[place(page as u64, of.len())]);
                took_us[side][page].push(asked.elapsed().as_micros() as u64);
            }
        }
    }
    let told = took_us.map(|mut pages| {
        let every = quantiles(pages.iter().flatten().copied());
        pages.iter_mut().for_each(|rounds| rounds.sort_unstable());
        let medians = quantiles(pages.iter().map(|rounds| rounds[ROUNDS / 2]));
        format!("{{\"every\":{every},\"medians\":{medians}}}")
    });
    format!("[{}]", told.join(","))
}

fn quantiles(took_us: impl Iterator<Item = u64>) -> String {
    let mut all = Histogram::<u64>::new(3).unwrap();
    took_us.for_each(|us| all.record(us).unwrap());
    let at = |quantile| all.value_at_quantile(quantile);
    format!(
        "{{\"pages\":{},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},\"p999_us\":{}}}",
        all.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    )
}

/// Far from its neighbours, as if at random; the same in each run.
fn place(number: u64, of: usize) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize % of
}

/// One keep-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            // More than a page of a thousand rooms.
            buffer: vec![0; 4 << 20],
        }
    }

    /// The body of the answer, which has to be a success.
    fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).unwrap();
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|(_, end)| filled < end) {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if whole.is_none() {
                whole = extent(&self.buffer[..filled]);
            }
        }
        let (begin, end) = whole.unwrap();
        assert!(
            self.buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&self.buffer[..end])
        );
        &self.buffer[begin..end]
    }
}

/// Where the body of an answer begins and ends, once its head is there.
fn extent(answer: &[u8]) -> Option<(usize, usize)> {
    let begin = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..begin]).unwrap().to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).expect("a length");
    let length: usize = length.split("\r\n").next().unwrap().trim().parse().unwrap();
    Some((begin, begin + length))
}

/// Everything that is asked for, complete requests, as answers to real requests suggest them.
fn requests(connection: &mut Connection, head: &str) -> Vec<Vec<u8>> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{head}").into_bytes();
    let mut rooms = Vec::new();
    let mut next = Some("/v1/Rooms?Status=completed&PageSize=1000".to_owned());
    while let Some(path) = next.filter(|_| rooms.len() < ROOMS) {
        let page: serde_json::Value = serde_json::from_slice(connection.ask(&get(&path))).unwrap();
        rooms.extend(page["rooms"].as_array().unwrap().iter().map(|room| text(&room["sid"])));
        next = page["meta"]["next_page_url"].as_str().map(path_of);
    }
    rooms.truncate(ROOMS);
    let mut requests = Vec::new();
    for (number, room) in rooms.iter().enumerate() {
        let list = format!("/v1/Rooms/{room}/Participants?PageSize={ROWS}&Status=disconnected");
        let page: serde_json::Value = serde_json::from_slice(connection.ask(&get(&list))).unwrap();
        let rows = page["participants"].as_array().unwrap();
        assert_eq!(rows.len(), ROWS, "{room} has full pages");
        let middle = text(&rows[ROWS / 2]["date_created"]).replace(':', "%3A");
        let path = match number % 4 {
            0 => list,
            1 => format!("{list}&Identity=desk"),
            2 => format!("{list}&DateCreatedAfter=1970-01-01&DateCreatedBefore={middle}"),
            _ => path_of(page["meta"]["next_page_url"].as_str().expect("a second page")),
        };
        requests.push(get(&path));
    }
    requests
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Without scheme and authority.
fn path_of(url: &str) -> String {
    format!("/v1/{}", url.split_once("/v1/").unwrap().1)
}

struct Run {
    rate: f64,
    took_us: Histogram<u64>,
    bytes: u64,
    cpu_us: Option<f64>,
}

impl Run {
    fn json(&self) -> String {
        let at = |quantile| self.took_us.value_at_quantile(quantile);
        let pages = self.took_us.len();
        format!(
            "{{\"pages_per_s\":{:.0},\"p50_us\":{},\"p99_us\":{},\"p999_us\":{},\"max_us\":{},\"bytes\":{},\"cpu_us\":{}}}",
            self.rate,
            at(0.5),
            at(0.99),
            at(0.999),
            self.took_us.max(),
            self.bytes / pages.max(1),
            self.cpu_us
                .map_or("null".to_owned(), |us| format!("{:.1}", us / pages as f64)),
        )
    }
}

/// Asks for so long: back to back without a rate, else each at its time.
fn run(addr: &str, requests: &[Vec<u8>], rate: Option<f64>, length: Duration, pid: Option<u32>) -> Run {
    let next = AtomicU64::new(0);
    let bytes = AtomicU64::new(0);
    let cpu_before = pid.map(cpu_us);
    let began = Instant::now() + Duration::from_millis(50);
    let histograms: Vec<Histogram<u64>> = std::thread::scope(|scope| {
        let threads = (0..CONNECTIONS).map(|_| {
            scope.spawn(|| {
                let mut took_us = Histogram::new(3).unwrap();
                let mut connection = Connection::open(addr);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = match rate {
                        Some(rate) => began + Duration::from_secs_f64(number as f64 / rate),
                        None => Instant::now().max(began),
                    };
                    if due >= began + length {
                        return took_us;
                    }
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let body = connection.ask(&requests[place(number, requests.len())]);
                    bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                    took_us.record(due.elapsed().as_micros() as u64).unwrap();
                }
            })
        });
        // All are started before the first is waited for.
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let elapsed = began.elapsed();
    let mut took_us = Histogram::new(3).unwrap();
    histograms.iter().for_each(|one| took_us.add(one).unwrap());
    Run {
        rate: took_us.len() as f64 / elapsed.as_secs_f64(),
        took_us,
        bytes: bytes.into_inner(),
        cpu_us: cpu_before.zip(pid).map(|(before, pid)| cpu_us(pid) - before),
    }
}

/// CPU time that a process used, user and system, in the kernel's ticks of a hundredth second.
fn cpu_us(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10_000.0
}
