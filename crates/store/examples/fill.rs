//! Makes a large database for benchmarks and prints how to use it.
//!
//! `cargo run --release -p store --example fill DIRECTORY LEFT [LIVE_ROOMS [LIVE]]`:
//! a database `rotunda.db` in this directory with so many participants that left, 200 to a room, and
//! so many rooms in progress (0) with so many connected participants each (3).
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Instant;

use room::{AccountSid, ApiKeySid};
use store::{Bulk, add_open_credentials};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const SECRET: &str = "benchmarks only, no secret";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("a directory"));
    let left: u32 = arguments.next().expect("a number of participants").parse().unwrap();
    let live_rooms = arguments.next().map_or(0, |n| n.parse().unwrap());
    let live = arguments.next().map_or(3, |n| n.parse().unwrap());
    let began = Instant::now();
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("rotunda.db");
    add_open_credentials(&path, ACCOUNT, ApiKeySid::from_bytes([1; 16]), SECRET).unwrap();
    let bulk = Bulk {
        account: ACCOUNT,
        completed_rooms: left / 200,
        live_rooms,
        left,
        live,
    };
    bulk.fill(&path).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "{{\"account\":\"{ACCOUNT}\",\"auth_token\":\"{SECRET}\",\"bytes\":{bytes},\"took_s\":{:.1}}}",
        began.elapsed().as_secs_f64()
    );
}
