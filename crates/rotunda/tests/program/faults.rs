//! One sentence for each fault, saying what to do next.

use std::net::{TcpListener, UdpSocket};

use super::process::{FREE, Running, faults, rotunda, said};

#[test]
fn wrong_options_are_told_in_one_sentence() {
    let home = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (
            vec!["serve", "--htp-addr", "127.0.0.1:1"],
            "unexpected argument '--htp-addr' found (did you mean --http-addr?); see `rotunda serve --help`",
        ),
        (
            vec!["server"],
            "unrecognized subcommand 'server' (did you mean serve?); see `rotunda --help`",
        ),
        (
            vec!["keys", "creat"],
            "unrecognized subcommand 'creat' (did you mean create?); see `rotunda keys --help`",
        ),
        (
            vec!["token", "--room", "daily"],
            "the following required arguments were not provided: --identity <NAME>; see `rotunda token --help`",
        ),
        (
            vec!["token", "--identity", "a", "--ttl", "25h"],
            "invalid value '25h' for '--ttl <TIME>': a time such as 90s, 30m or 4h, at most 24h; see `rotunda token --help`",
        ),
    ] {
        let (code, sentences) = faults(rotunda(home.path()).args(&args));
        assert_eq!((code, sentences), (2, vec![expected.to_owned()]));
    }
}

#[test]
fn wrong_values_are_all_told_at_once() {
    let home = tempfile::tempdir().unwrap();
    let mut command = rotunda(home.path());
    command
        .args(["serve", "--http-addr", "8080"])
        .env("ROTUNDA_SESSION_TIMEOUT_S", "never")
        .env("ROTUNDA_TLS_KEY", "key.pem");
    let (code, sentences) = faults(&mut command);
    let expected = [
        "--http-addr: \"8080\" is not an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080",
        "ROTUNDA_TLS_KEY: a private key needs its certificate too: give --tls-cert",
        "ROTUNDA_SESSION_TIMEOUT_S: \"never\" is not a whole number from 5 to 300",
    ];
    assert_eq!((code, sentences), (2, expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_taken_http_port() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, sentences) =
        faults(rotunda(home.path()).args(["serve", "--media-addr", "127.0.0.1:0", "--http-addr", &addr]));
    let expected = format!(
        "cannot serve HTTP on {addr}: Address already in use (os error 98); stop the program that uses the port, or choose another one with --http-addr"
    );
    assert_eq!((code, sentences), (1, vec![expected]));
}

#[test]
fn a_taken_media_port() {
    let home = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, sentences) =
        faults(rotunda(home.path()).args(["serve", "--http-addr", "127.0.0.1:0", "--media-addr", &addr]));
    assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
    assert!(
        sentences[0].starts_with(&format!("cannot receive media on UDP {addr}: ")),
        "{sentences:?}"
    );
    assert!(
        sentences[0].ends_with(
            "; stop the program that uses the port, choose another one with --media-addr, or use fewer with --media-workers"
        ),
        "{sentences:?}"
    );
}

#[test]
fn a_taken_port_of_the_second_media_worker() {
    let home = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let first = format!("127.0.0.1:{}", addr.port() - 1);
    let (code, sentences) = faults(rotunda(home.path()).args([
        "serve",
        "--http-addr",
        "127.0.0.1:0",
        "--media-workers",
        "2",
        "--media-addr",
        &first,
    ]));
    assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
    // Of the two, the first may be taken, too, by somebody else.
    assert!(
        sentences[0].starts_with("cannot receive media on UDP 127.0.0.1:"),
        "{sentences:?}"
    );
}

#[test]
fn a_data_directory_that_cannot_be_made_or_written() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let dir = file.join("data");
    let (code, sentences) = faults(rotunda(home.path()).args(["serve", "--data-dir"]).arg(&dir).args(FREE));
    let expected = format!(
        "cannot make the data directory {}: Not a directory (os error 20); name a directory that can be written with --data-dir",
        dir.display()
    );
    assert_eq!((code, sentences), (1, vec![expected]));

    // A directory in the database's place: nobody can write that, not even root.
    let dir = home.path().join("data");
    std::fs::create_dir_all(dir.join("rotunda.db")).unwrap();
    let (code, sentences) = faults(rotunda(home.path()).args(["serve", "--data-dir"]).arg(&dir).args(FREE));
    assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
    assert!(
        sentences[0].starts_with("cannot write the database ")
            && sentences[0].ends_with("; name a directory that can be written with --data-dir"),
        "{sentences:?}"
    );
}

#[test]
fn a_data_directory_in_use() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    server.greeting();
    let (code, sentences) = faults(rotunda(home.path()).arg("serve").args(FREE).env("ROTUNDA_LOG", "warn"));
    let database = home.path().join(".local/share/rotunda/rotunda.db");
    let expected = format!(
        "another process uses the database {}; stop that process, or name another directory with --data-dir",
        database.display()
    );
    assert_eq!((code, sentences), (1, vec![expected]));
    // The first one serves as before.
    let status = said(home.path(), &["status"]);
    assert!(status.contains("rooms in progress: 0\n"), "{status}");
    server.terminate();
}

/// A supervisor may start the next process while the one before is still at its end.
#[test]
fn a_data_directory_that_is_about_to_be_free() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    first.greeting();
    let mut next = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    next.complains("another process uses the database: waiting for its end");
    first.terminate();
    assert!(next.greeting().contains("Rotunda is ready."));
    next.terminate();
}

#[test]
fn a_database_of_a_newer_version() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    server.greeting();
    server.terminate();
    // The version is the big-endian number at byte 60 of an SQLite file.
    let database = home.path().join(".local/share/rotunda/rotunda.db");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(&database, &bytes).unwrap();
    for command in [
        &["serve", "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0"][..],
        &["env"][..],
    ] {
        let (code, sentences) = faults(rotunda(home.path()).args(command));
        assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
        assert!(
            sentences[0].starts_with("the database has schema version 999, this program knows up to ")
                && sentences[0].contains("use the newer program"),
            "{sentences:?}"
        );
    }
    assert_eq!(std::fs::read(&database).unwrap(), bytes, "it is left as it was");
}

#[test]
fn credentials_of_a_server_that_never_started() {
    let home = tempfile::tempdir().unwrap();
    let (code, sentences) = faults(rotunda(home.path()).arg("env"));
    let expected = format!(
        "there is no database in {}; `rotunda serve` makes it, --data-dir names another directory",
        home.path().join(".local/share/rotunda").display()
    );
    assert_eq!((code, sentences), (1, vec![expected]));
}

#[test]
fn dev_keeps_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (code, sentences) = faults(rotunda(home.path()).args(["dev", "--data-dir", "here"]));
    assert_eq!(
        (code, sentences),
        (
            2,
            vec!["--data-dir: `rotunda dev` keeps nothing; use `rotunda serve`".to_owned()]
        )
    );
}

#[test]
fn certificates_that_cannot_be_used() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("cert.pem");
    std::fs::write(&file, "no certificate\n").unwrap();
    let (code, sentences) = faults(
        rotunda(home.path())
            .arg("serve")
            .args(FREE)
            .arg("--tls-cert")
            .arg(&file)
            .arg("--tls-key")
            .arg(&file),
    );
    let expected = format!(
        "cannot use {}: it has no certificate; give PEM files with --tls-cert and --tls-key",
        file.display()
    );
    assert_eq!((code, sentences), (1, vec![expected]));
}

#[test]
fn a_postgresql_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://rotunda:not-to-be-told@127.0.0.1:{port}/rotunda");
    let mut command = rotunda(home.path());
    let (code, sentences) = faults(command.arg("serve").args(FREE).env("ROTUNDA_DATABASE_URL", url));
    assert_eq!((code, sentences.len()), (1, 1));
    assert!(
        sentences[0].starts_with("the database cannot be reached") && sentences[0].contains("see that PostgreSQL runs"),
        "{sentences:?}"
    );
    assert!(!sentences[0].contains("not-to-be-told"));
}
