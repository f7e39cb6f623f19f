//! `callbacks`: what became of status callbacks, and delivering them again, as the program's users do it; where callbacks
//! may go.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::audit::post;
use super::process::{FREE, Running, after, faults, rotunda, said};

/// Answers each request with the next of these statuses, then with 204; hands over the event of each.
fn receiver(statuses: Vec<u16>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut text = String::new();
            let mut chunk = [0; 4096];
            while !text.contains("&AccountSid=AC") {
                let len = socket.read(&mut chunk).unwrap();
                text += std::str::from_utf8(&chunk[..len]).unwrap();
            }
            let status = statuses.next().unwrap_or(204);
            write!(
                socket,
                "HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let event = text
                .split('&')
                .find_map(|field| field.strip_prefix("StatusCallbackEvent="));
            // The test may be over.
            tell.send(event.unwrap().to_owned()).ok();
        }
    });
    (port, told)
}

/// The list, once its first line says this state.
fn list_when(home: &Path, state: &str) -> Vec<Value> {
    loop {
        let text = said(home, &["callbacks", "list", "--json"]);
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if rows.first().is_some_and(|row| row["state"] == state) {
            return rows;
        }
    }
}

struct Served {
    server: Running,
    url: String,
    user: (String, String),
}

fn serve(home: &Path, environment: &[(&str, &str)]) -> Served {
    let mut server = Running::start(rotunda(home).arg("serve").args(FREE).envs(environment.iter().copied()));
    let url = after(&server.greeting(), "REST").replace("/v1", "");
    let env = said(home, &["env"]);
    let of = |name: &str| after(&env, &format!("export {name}="));
    let user = (of("TWILIO_ACCOUNT_SID"), of("TWILIO_AUTH_TOKEN"));
    Served { server, url, user }
}

impl Served {
    fn room(&self, name: &str, callback: &str) -> String {
        let form = format!("UniqueName={name}&StatusCallback={callback}");
        let (status, room) = post(&self.url, "/v1/Rooms", &self.user.0, &self.user.1, &form);
        assert_eq!(status, 201);
        room["sid"].as_str().unwrap().to_owned()
    }
}

#[test]
fn what_was_given_up_is_listed_shown_and_delivered_again() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (code, sentences) = faults(rotunda(home).args(["callbacks", "list"]));
    assert!(
        code == 1 && sentences[0].starts_with("there is no database "),
        "{sentences:?}"
    );
    let (port, told) = receiver(vec![410, 410]);
    // A proxy of the environment is not asked.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let environment = [
        ("ROTUNDA_CALLBACK_ALLOW", "loopback"),
        ("HTTP_PROXY", proxy_url.as_str()),
        ("http_proxy", &proxy_url),
        ("ALL_PROXY", &proxy_url),
    ];
    let served = serve(home, &environment);
    assert_eq!(said(home, &["callbacks", "list"]), "", "nothing was to be told");
    let room = served.room("daily", &format!("http://127.0.0.1:{port}/hook?key=very-secret"));
    assert_eq!(told.recv().unwrap(), "room-created");
    let rows = list_when(home, "given-up");
    let number = rows[0]["callback"].to_string();
    assert_eq!(
        (
            rows[0]["room"].as_str(),
            rows[0]["sequence"].as_u64(),
            rows[0]["event"].as_str()
        ),
        (Some(&*room), Some(0), Some("room-created"))
    );
    assert_eq!(rows[0]["receiver"], format!("127.0.0.1:{port}"));
    assert_eq!(rows[0]["last_answer"], "HTTP 410");
    let table = said(
        home,
        &[
            "callbacks",
            "list",
            "--state",
            "given-up",
            "--room",
            &room,
            "--since",
            "1h",
        ],
    );
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.starts_with("CALLBACK  TIME "), "{table}");
    assert_eq!(said(home, &["callbacks", "list", "--receiver", "example.com"]), "");
    let shown = said(home, &["callbacks", "show", &number]);
    assert!(
        shown.contains("given up at") && shown.contains("HTTP 410") && !shown.contains("very-secret"),
        "{shown}"
    );

    // By the running server, once more in vain.
    let again = said(home, &["callbacks", "redeliver", &number]);
    assert_eq!(again, "callbacks to be delivered again: 1\n");
    assert_eq!(told.recv().unwrap(), "room-created");
    let rows = list_when(home, "given-up");
    assert_eq!(rows[0]["attempts"], 2);
    let log = served.server.terminate_and_read();
    assert!(
        log.contains("a callback was given up: HTTP 410; see `rotunda callbacks show"),
        "{log}"
    );
    assert!(
        log.contains(&format!("receiver=\"127.0.0.1:{port}\"")) && !log.contains("very-secret"),
        "{log}"
    );

    // By the next start.
    let (code, sentences) = faults(rotunda(home).args(["callbacks", "redeliver"]));
    assert!(
        code == 2 && sentences[0].starts_with("which callbacks?"),
        "{sentences:?}"
    );
    let (code, sentences) = faults(rotunda(home).args(["callbacks", "redeliver", "--receiver", "example.com"]));
    assert_eq!(
        (code, sentences),
        (1, vec!["no callback that matches was given up".to_owned()])
    );
    let again = said(home, &["callbacks", "redeliver", "--receiver", "127.0.0.1"]);
    assert_eq!(
        again,
        "callbacks to be delivered again: 1; the next start of the server delivers them\n"
    );
    let server = serve_again(home, &environment);
    assert_eq!(told.recv().unwrap(), "room-created");
    list_when(home, "delivered");
    server.terminate();
    let audit = said(home, &["audit"]);
    assert_eq!(audit.matches("redeliver-callbacks").count(), 2, "{audit}");
    assert!(proxy.accept().is_err(), "the proxy was asked");
}

fn serve_again(home: &Path, environment: &[(&str, &str)]) -> Running {
    let mut server = Running::start(rotunda(home).arg("serve").args(FREE).envs(environment.iter().copied()));
    server.greeting();
    server
}

#[test]
fn a_private_receiver_is_refused_unless_it_is_allowed() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (port, told) = receiver(Vec::new());
    let served = serve(home, &[]);
    served.room("daily", &format!("http://127.0.0.1:{port}/hook"));
    let rows = list_when(home, "given-up");
    assert_eq!(
        rows[0]["last_answer"],
        "refused: 127.0.0.1 is a loopback address; callback_allow would allow it"
    );
    assert!(told.try_recv().is_err());
    served.server.terminate();
    let wrong = [("ROTUNDA_CALLBACK_ALLOW", "loopback,http://x")];
    let (code, sentences) = faults(rotunda(home).arg("serve").args(FREE).envs(wrong));
    assert!(
        code == 2 && sentences[0].contains("\"http://x\" is not a word"),
        "{sentences:?}"
    );
}
