//! Commands that ask the running server.

use super::process::{FREE, Running, after, faults, rotunda, said};

#[test]
fn status_tells_whether_a_server_runs() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join(".local/share/rotunda");
    let none = faults(rotunda(home.path()).arg("status"));
    let expected = format!(
        "there is no directory {}; name another one with --data-dir",
        data.display()
    );
    assert_eq!(none, (1, vec![expected]));

    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    let url = after(&server.greeting(), "REST").replace("/v1", "");
    let expected = format!(
        "Rotunda {} serves {url}; rooms in progress: 0\n",
        env!("CARGO_PKG_VERSION")
    );
    let status = said(home.path(), &["status"]);
    let workers = status.strip_prefix(&expected).unwrap_or_else(|| panic!("{status}"));
    assert!(workers.starts_with("  media at UDP 127.0.0.1:"), "{status}");
    assert!(
        workers.ends_with(": rooms 0, connections 0, packets forwarded 0\n"),
        "{status}"
    );
    server.terminate();

    let ended = faults(rotunda(home.path()).arg("status"));
    let expected = format!(
        "no server runs on {}; start it with `rotunda serve`, or name another directory with --data-dir",
        data.display()
    );
    assert_eq!(ended, (1, vec![expected]));
}

#[test]
fn check_tells_what_is_whole_and_what_is_broken() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join(".local/share/rotunda/rotunda.db");
    let (code, sentences) = faults(rotunda(home.path()).arg("check"));
    let expected = format!(
        "there is no database {}; name another directory with --data-dir, or the file itself",
        database.display()
    );
    assert_eq!((code, sentences), (1, vec![expected]));

    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    server.greeting();
    let whole = format!(
        "{}: every invariant holds (0 rooms, 0 participants, 0 events)\n",
        database.display()
    );
    assert_eq!(said(home.path(), &["check"]), whole, "while it serves");
    server.terminate();
    assert_eq!(
        said(home.path(), &["check", database.to_str().unwrap()]),
        whole,
        "by its name"
    );

    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch(
        "INSERT INTO rooms (sid, account_id, name, named, status, ad_hoc, status_callback_method, max_participants,
             max_participant_duration_s, empty_room_timeout_min, unused_room_timeout_min, video_codecs, created_us,
             updated_us, epoch, next_seq)
         VALUES (zeroblob(16), 1, 'daily', 1, 'in-progress', 0, 'POST', 50, 600, 5, 5, 'VP8', 1, 1, 0, 0);
         UPDATE accounts SET last_room_us = 1;",
    )
    .unwrap();
    drop(db);
    let broken = rotunda(home.path()).arg("check").output().unwrap();
    assert_eq!(broken.status.code(), Some(1));
    let told = String::from_utf8(broken.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert_eq!(lines[0], format!("epochs  RM{}  its epoch is 0", "0".repeat(32)));
    assert!(
        lines[1].starts_with(&format!("room-events  RM{}", "0".repeat(32))),
        "{told}"
    );
    let sentence = String::from_utf8(broken.stderr).unwrap();
    assert!(
        sentence.starts_with("rotunda: ") && sentence.contains("breaks its invariants, 2 found"),
        "{sentence}"
    );
}
