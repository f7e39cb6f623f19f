//! Both sides of the channel, in one process.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::*;

/// Asks as the command line does, on a thread of its own: the answer, and the progress before it.
async fn asked(directory: PathBuf) -> (Result<String, AskError>, Vec<String>) {
    let ask = move || {
        let mut told = Vec::new();
        let answer = super::ask(&directory, &Request::Status {}, |line| told.push(line.to_owned()));
        (answer, told)
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// Sends these bytes as a request and reads all that is answered.
async fn raw(directory: PathBuf, request: Vec<u8>) -> String {
    let send = move || {
        let mut socket = UnixStream::connect(directory.join(SOCKET)).unwrap();
        socket.write_all(&request).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    };
    tokio::task::spawn_blocking(send).await.unwrap()
}

#[tokio::test]
async fn a_request_is_answered_with_progress_and_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut channel = Channel::listen(directory.path()).unwrap();
    let mode = std::fs::metadata(directory.path().join(SOCKET))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let asking = tokio::spawn(asked(directory.path().to_owned()));
    let job = channel.next().await;
    assert_eq!(job.request, Request::Status {});
    job.reply.progress("half of it");
    job.reply.done("all of it").await;
    let (answer, told) = asking.await.unwrap();
    assert_eq!(
        (answer.unwrap(), told),
        ("all of it".to_owned(), vec!["half of it".to_owned()])
    );

    let asking = tokio::spawn(asked(directory.path().to_owned()));
    channel.next().await.reply.failed("no; try tomorrow").await;
    assert!(matches!(asking.await.unwrap().0, Err(AskError::Failed(why)) if why == "no; try tomorrow"));
}

#[tokio::test]
async fn a_request_that_is_dropped_is_told_as_failed() {
    let directory = tempfile::tempdir().unwrap();
    let mut channel = Channel::listen(directory.path()).unwrap();
    let asking = tokio::spawn(asked(directory.path().to_owned()));
    drop(channel.next().await);
    assert!(matches!(asking.await.unwrap().0, Err(AskError::Failed(_))));
}

#[tokio::test]
async fn an_operator_who_goes_away_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mut channel = Channel::listen(directory.path()).unwrap();
    let mut socket = UnixStream::connect(directory.path().join(SOCKET)).unwrap();
    socket.write_all(b"{\"command\":\"status\"}\n").unwrap();
    let job = channel.next().await;
    drop(socket);
    job.reply.gone().await;
    // Nobody reads it; it ends all the same.
    job.reply.done("in vain").await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let _channel = Channel::listen(directory.path()).unwrap();
    let long = usize::try_from(crate::limits::OPERATOR_REQUEST_LEN_MAX).unwrap();
    for request in [&b"hello\n"[..], b"", b"{\"command\":\"fly\"}\n", &vec![b' '; long]] {
        let answer = raw(directory.path().to_owned(), request.to_vec()).await;
        let line: Line = serde_json::from_str(&answer).unwrap();
        assert!(matches!(line, Line::Failed(why) if why.contains("does not know the request")));
    }
}

#[tokio::test]
async fn without_a_server_there_is_nobody_to_ask() {
    let directory = tempfile::tempdir().unwrap();
    let never = asked(directory.path().to_owned()).await.0;
    assert!(matches!(never, Err(AskError::NotServing { .. })), "{never:?}");
    // A process that was killed leaves its socket; the next one takes its place.
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(SOCKET)).unwrap());
    let killed = asked(directory.path().to_owned()).await.0;
    assert!(matches!(killed, Err(AskError::NotServing { .. })), "{killed:?}");
    let channel = Channel::listen(directory.path()).unwrap();
    drop(channel);
    let ended = asked(directory.path().to_owned()).await.0;
    assert!(matches!(ended, Err(AskError::NotServing { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_directory_with_a_long_path_has_a_socket_too() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&directory).unwrap();
    let mut channel = Channel::listen(&directory).unwrap();
    let asking = tokio::spawn(asked(directory));
    channel.next().await.reply.done("far down").await;
    assert_eq!(asking.await.unwrap().0.unwrap(), "far down");
}
