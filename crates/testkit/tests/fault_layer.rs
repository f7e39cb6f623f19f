//! The faulting file layer loses what was not synced and nothing else, and fails when it is told to.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use testkit::fault_layer::{FaultLayer, Faults};

/// The environment of the child: what it does, and where.
const PART: &str = "FAULT_LAYER_TEST_PART";
const PLACE: &str = "FAULT_LAYER_TEST_PLACE";

/// The child's part; without its environment this is no test.
#[test]
fn child() {
    let (Ok(part), Ok(place)) = (std::env::var(PART), std::env::var(PLACE)) else {
        return;
    };
    let place = PathBuf::from(place);
    match part.as_str() {
        "files" => files(&place),
        "names" => names(&place),
        "full" => sqlite(&place, "FULL"),
        "off" => sqlite(&place, "OFF"),
        "faults" => faults(&place),
        other => panic!("no such part: {other}"),
    }
}

struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Run {
    fn new(part: &str, place: &Path, layer: &FaultLayer) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(PART, part)
            .env(PLACE, place)
            .envs(layer.env())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line that ends so.
    fn until(&mut self, wanted: &str) {
        for line in self.lines.by_ref() {
            if line.unwrap().ends_with(wanted) {
                return;
            }
        }
        panic!("the child ended before it said {wanted}");
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("the child goes on").unwrap()
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

fn say(line: &str) {
    println!("\n{line}");
}

fn wait() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("data");
    (directory, place)
}

fn files(place: &Path) {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(place.join("a"))
        .unwrap();
    file.write_all(b"one two three").unwrap();
    file.sync_all().unwrap();
    File::open(place).unwrap().sync_all().unwrap();
    file.write_all_at(b"TWO", 4).unwrap();
    file.seek(SeekFrom::Start(13)).unwrap();
    file.write_all(b" four").unwrap();
    file.set_len(6).unwrap();
    file.write_all_at(b"later", 20).unwrap();
    say("ready");
    wait();
}

#[test]
fn what_was_synced_stays_and_the_rest_is_gone() {
    let (_directory, place) = place();
    let layer = FaultLayer::new(&place);
    let mut run = Run::new("files", &place, &layer);
    run.until("ready");
    assert_eq!(
        fs::read(place.join("a")).unwrap(),
        b"one TW\0\0\0\0\0\0\0\0\0\0\0\0\0\0later"
    );
    let lost = layer.crash(&mut run.child, None);
    assert_eq!(fs::read(place.join("a")).unwrap(), b"one two three");
    assert_eq!((lost.unsynced, lost.dropped), (4, 4));
}

#[test]
fn with_a_seed_some_of_what_was_not_synced_is_there_and_other_seeds_keep_other_parts() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..8 {
        let (_directory, place) = place();
        let layer = FaultLayer::new(&place);
        let mut run = Run::new("files", &place, &layer);
        run.until("ready");
        layer.crash(&mut run.child, Some(seed));
        let content = fs::read(place.join("a")).unwrap();
        assert_eq!(&content[..4], b"one ", "what was synced and not written again");
        seen.insert(content);
    }
    assert!(seen.len() > 2, "the seeds differ: {seen:?}");
}

fn names(place: &Path) {
    let file = |name: &str, content: &[u8]| {
        let mut file = File::create_new(place.join(name)).unwrap();
        file.write_all(content).unwrap();
        file.sync_all().unwrap();
    };
    file("kept", b"kept");
    file("removed", b"removed");
    file("replaced", b"before");
    file("moved", b"moved");
    fs::rename(place.join("moved"), place.join("moved and synced")).unwrap();
    File::open(place).unwrap().sync_all().unwrap();
    file("new", b"its directory is not synced");
    fs::remove_file(place.join("removed")).unwrap();
    file("replacement", b"after");
    fs::rename(place.join("replacement"), place.join("replaced")).unwrap();
    File::create(place.join("kept")).unwrap();
    say("ready");
    wait();
}

#[test]
fn names_come_back_until_their_directory_is_synced() {
    let (_directory, place) = place();
    let layer = FaultLayer::new(&place);
    let mut run = Run::new("names", &place, &layer);
    run.until("ready");
    assert_eq!(fs::read(place.join("replaced")).unwrap(), b"after");
    assert_eq!(
        fs::read(place.join("kept")).unwrap(),
        b"",
        "truncated when it was opened"
    );
    layer.crash(&mut run.child, None);
    let mut there: Vec<_> = fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, ["kept", "moved and synced", "removed", "replaced"]);
    for (name, content) in [("kept", "kept"), ("removed", "removed"), ("replaced", "before")] {
        assert_eq!(fs::read_to_string(place.join(name)).unwrap(), content);
    }
}

/// Inserts row after row, each a transaction of its own, and tells of each.
fn sqlite(place: &Path, synchronous: &str) {
    let db = Connection::open(place.join("rows.db")).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", synchronous).unwrap();
    db.pragma_update(None, "wal_autocheckpoint", 20).unwrap();
    db.execute_batch("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)")
        .unwrap();
    loop {
        db.execute("INSERT INTO rows (text) VALUES (hex(randomblob(300)))", [])
            .unwrap();
        say(&format!("ACK {}", db.last_insert_rowid()));
    }
}

/// Lets a child insert rows and kills it, some times; how many rows that it told of are lost.
fn lost_rows(synchronous: &str, kills: u64, seed: Option<u64>) -> usize {
    let (_directory, place) = place();
    let layer = FaultLayer::new(&place);
    let mut told = std::collections::BTreeSet::new();
    let mut lost = 0;
    for kill in 0..kills {
        let mut run = Run::new(synchronous, &place, &layer);
        let until = Instant::now() + Duration::from_millis(30 + kill * 17 % 90);
        let mut mine = 0;
        while mine < 3 || Instant::now() < until {
            if let Some(id) = run.next().strip_prefix("ACK ") {
                told.insert(id.parse::<i64>().unwrap());
                mine += 1;
            }
        }
        layer.crash(&mut run.child, seed.map(|seed| seed + kill));
        let Ok(found) = rows(&place.join("rows.db")) else {
            return lost + told.len();
        };
        lost += told.iter().filter(|id| !found.contains(id)).count();
        // What is lost once is not counted twice.
        told.retain(|id| found.contains(id));
    }
    assert!(layer.counts().syncs > 0 || synchronous == "off");
    assert!(layer.counts().changes > 10 * kills);
    lost
}

fn rows(path: &Path) -> rusqlite::Result<Vec<i64>> {
    let db = Connection::open(path)?;
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::InvalidQuery);
    }
    db.prepare("SELECT id FROM rows")?
        .query_map([], |row| row.get(0))?
        .collect()
}

#[test]
fn a_database_that_syncs_loses_nothing_and_one_that_does_not_loses_rows() {
    assert_eq!(lost_rows("full", 6, None), 0);
    assert_eq!(lost_rows("full", 6, Some(7)), 0, "torn writes");
    assert!(
        lost_rows("off", 3, None) > 0,
        "a layer that finds nothing proves nothing"
    );
}

/// Says how each operation ends, once for each line that it is sent.
fn faults(place: &Path) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(place.join("a"))
        .unwrap();
    file.write_all_at(b"0123456789", 0).unwrap();
    file.sync_all().unwrap();
    File::open(place).unwrap().sync_all().unwrap();
    let word = |result: std::io::Result<()>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{}", error.raw_os_error().unwrap()),
    };
    loop {
        wait();
        let began = Instant::now();
        let overwrites = word(file.write_all_at(b"x", 3));
        let grows = word(file.metadata().and_then(|status| file.write_all_at(b"x", status.len())));
        let reads = word(file.read_exact_at(&mut [0], 0));
        let syncs = word(file.sync_data());
        let slow = began.elapsed() >= Duration::from_millis(200);
        let now_s = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        say(&format!("RESULT {overwrites} {grows} {reads} {syncs} {slow} {now_s}"));
    }
}

#[test]
fn faults_begin_and_end_when_the_harness_says_so() {
    let (_directory, place) = place();
    let layer = FaultLayer::new(&place).without_journal();
    let mut run = Run::new("faults", &place, &layer);
    let now_s = || {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64
    };
    let mut check = |faults: Faults, expected: &str| {
        layer.set(faults);
        run.go_on();
        let line = loop {
            let line = run.next();
            if let Some(line) = line.strip_prefix("RESULT ") {
                break line.to_owned();
            }
        };
        let (words, then_s) = line.rsplit_once(' ').unwrap();
        let (words, slow) = words.rsplit_once(' ').unwrap();
        assert_eq!(words, expected, "{faults:?}");
        assert!(faults.sync_delay.is_zero() || slow == "true", "{faults:?}");
        let off_s = then_s.parse::<i64>().unwrap() - now_s();
        assert!((off_s - faults.clock_step_s).abs() < 30, "{faults:?}: {off_s}");
    };
    let none = Faults::default();
    check(none, "ok ok ok ok");
    check(
        Faults {
            disk_full: true,
            ..none
        },
        "ok 28 ok ok",
    );
    check(
        Faults {
            write_error: true,
            ..none
        },
        "5 5 ok ok",
    );
    check(
        Faults {
            sync_error: true,
            ..none
        },
        "ok ok ok 5",
    );
    check(
        Faults {
            read_error: true,
            ..none
        },
        "ok ok 5 ok",
    );
    check(
        Faults {
            sync_delay: Duration::from_millis(200),
            ..none
        },
        "ok ok ok ok",
    );
    check(
        Faults {
            clock_step_s: -3600,
            ..none
        },
        "ok ok ok ok",
    );
    check(
        Faults {
            clock_step_s: 3600,
            ..none
        },
        "ok ok ok ok",
    );
    check(none, "ok ok ok ok");
    run.child.kill().unwrap();
    run.child.wait().unwrap();
}

#[test]
fn what_a_failed_sync_should_have_saved_is_lost_whatever_is_synced_later() {
    let (_directory, place) = place();
    let layer = FaultLayer::new(&place);
    let mut run = Run::new("faults", &place, &layer);
    let mut turn = |faults: Faults| {
        layer.set(faults);
        run.go_on();
        while !run.next().starts_with("RESULT ") {}
    };
    turn(Faults::default());
    turn(Faults {
        sync_error: true,
        ..Faults::default()
    });
    turn(Faults::default());
    assert_eq!(fs::read(place.join("a")).unwrap(), b"012x456789xxx");
    layer.crash(&mut run.child, None);
    let content = fs::read(place.join("a")).unwrap();
    assert_eq!(
        content, b"012x456789x\0x",
        "the one in the middle is lost, the one after it is there"
    );
}
