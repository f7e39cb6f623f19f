//! Measures what erasing costs in a database that is there, and how long others wait to write meanwhile; prints one JSON line.
//!
//! `cargo run --release -p store --example erase_cost DIRECTORY [anew]`, the directory being one that `fill` made: erases what
//! was deleted, twice, by clearing free space; with `anew` the database is written anew instead, as before. It is changed.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{SqliteStore, Store};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().expect("a directory")).join("rotunda.db");
    if arguments.next().as_deref() == Some("anew") {
        let began = Instant::now();
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch("VACUUM")
            .unwrap();
        println!("{{\"anew_s\":{:.2}}}", began.elapsed().as_secs_f64());
        return;
    }
    let bytes = std::fs::metadata(&path).unwrap().len();
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    for round in 1..=2 {
        let began = Instant::now();
        let expunging = {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.expunge().await })
        };
        let (mut writes, mut longest) = (0, Duration::ZERO);
        while !expunging.is_finished() {
            let asked = Instant::now();
            store.check().await.unwrap();
            longest = longest.max(asked.elapsed());
            writes += 1;
        }
        expunging.await.unwrap().unwrap();
        println!(
            "{{\"bytes\":{bytes},\"round\":{round},\"took_s\":{:.2},\"other_writes\":{writes},\"longest_other_write_ms\":{:.1}}}",
            began.elapsed().as_secs_f64(),
            longest.as_secs_f64() * 1e3,
        );
    }
}
