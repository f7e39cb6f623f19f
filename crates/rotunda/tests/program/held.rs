//! A socket for HTTP that somebody else holds open, as systemd does: nobody is refused while the server is away.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::{FREE, Running, after, faults, rotunda};

/// The program with a socket as descriptor 3, told of it as systemd tells.
fn held(home: &Path, socket: OwnedFd, args: &[&str]) -> Command {
    let program = rotunda(home);
    let mut command = Command::new("sh");
    command
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .args(["-c", r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 </dev/null"#])
        .arg(program.get_program())
        .args(args)
        .stdin(Stdio::from(socket));
    command
}

/// Asks without waiting for the answer.
fn ask(listener: &TcpListener) -> TcpStream {
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn who_comes_while_the_server_is_away_waits_for_it() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // `--http-addr` is where the program would listen by itself: the held socket takes its place.
    let args = ["serve", FREE[0], "127.0.0.1:1", FREE[2], FREE[3]];
    for _ in 0..2 {
        let early = ask(&listener);
        let socket = listener.try_clone().unwrap();
        let mut server = Running::start(&mut held(home.path(), socket.into(), &args));
        let rest = after(&server.greeting(), "REST");
        assert_eq!(rest, format!("http://{}/v1", listener.local_addr().unwrap()));
        assert!(answer(early).starts_with("HTTP/1.1 200"), "who came before it");
        assert!(answer(ask(&listener)).starts_with("HTTP/1.1 200"));
        // Killed.
        drop(server);
    }
}

#[test]
fn what_is_held_has_to_be_a_socket_of_tcp() {
    let home = tempfile::tempdir().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (code, lines) = faults(&mut held(home.path(), socket.into(), &["dev"]));
    assert_eq!(code, 1);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("cannot serve HTTP on the socket that is held for this program (LISTEN_FDS)")
            && lines[0].contains("ListenStream="),
        "{lines:?}"
    );
}
