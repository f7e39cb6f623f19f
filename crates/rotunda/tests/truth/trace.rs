//! What is told is on the disk before, by the system calls themselves.

use std::process::{Command, Stdio};
use std::time::SystemTime;

use rotunda::access_token;
use testkit::signaling::{Client, both_tracks};

use crate::kills::{key, port, start};

/// The order of system calls: the row is in the log, the log is on the disk, the client hears it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_has_the_row_before_the_client_hears_connected_if_strace_is_installed() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("strace is not installed: nothing was traced");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let port = port(&mut fastrand::Rng::new());
    let no_layer: [(&str, &str); 0] = [];
    let mut server = start(&directory.path().join("data"), port, no_layer).await;
    let calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";
    let pid = server.id().to_string();
    let mut tracer = Command::new("strace")
        .args(["-f", "-s", "8192", "-e", calls, "-p", &pid, "-o"])
        .arg(&trace)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says so for each thread, the last one when all are attached.
    let mut attached = std::io::BufReader::new(tracer.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut attached, &mut line).unwrap();
    assert!(line.contains("attached"), "strace may trace here: {line}");
    let identity = "somebody-to-trace";
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let token = access_token::issue(&key(), identity, None, 3600, now.as_secs().cast_signed()).unwrap();
    let url = format!("ws://127.0.0.1:{port}/signaling");
    let (_client, _) = Client::join_with(&url, &token, Some("daily"), both_tracks(), None)
        .await
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    tracer.wait().unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let find = |from: usize, wanted: &dyn Fn(&str) -> bool| {
        lines[from..].iter().position(|line| wanted(line)).map(|at| from + at)
    };
    let logged = find(0, &|line| line.contains("pwrite64(") && line.contains(identity)).expect("the row is written");
    let synced = find(logged, &|line| line.contains("fdatasync(") || line.contains("fsync(")).expect("and synced");
    let synced = if lines[synced].contains("unfinished") {
        find(synced, &|line| line.contains("sync resumed")).expect("the sync ends")
    } else {
        synced
    };
    let told = find(0, &|line| line.contains(r#"\"type\":\"connected\""#)).expect("the client is told");
    assert!(
        logged < synced && synced < told,
        "written {logged}, synced {synced}, told {told}"
    );
}
