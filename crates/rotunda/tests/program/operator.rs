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
    assert_eq!(said(home.path(), &["status"]), expected);
    server.terminate();

    let ended = faults(rotunda(home.path()).arg("status"));
    let expected = format!(
        "no server runs on {}; start it with `rotunda serve`, or name another directory with --data-dir",
        data.display()
    );
    assert_eq!(ended, (1, vec![expected]));
}
