//! `rotunda load`: small runs, and what their reports say.

use std::process::{Command, Output};

use serde_json::Value;

use crate::process::{FREE, Running, faults, rotunda, run};

/// Little media, so that a busy machine loses none of it in full buffers.
const SMALL: [&str; 8] = ["--duration", "3", "--video-kbps", "100", "--fps", "10", "--seed", "7"];

fn report(output: Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn load(home: &std::path::Path, args: &[&str]) -> Value {
    let args = [&["load", "--json"], &SMALL[..], args].concat();
    report(run(home, &args))
}

fn number(report: &Value, path: &str) -> f64 {
    report
        .pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {path} of {report}"))
}

#[test]
fn everybody_hears_everybody_and_the_report_says_at_what_cost() {
    let home = tempfile::tempdir().unwrap();
    let report = load(
        home.path(),
        &["--rooms", "2", "--participants", "3", "--codec", "vp8,h264"],
    );
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(
        (&report["streams"]["heard"], &report["join"]["joined"]),
        (&24.into(), &6.into())
    );
    assert_eq!(
        report["packets"]["strays"], 0,
        "rooms hear nothing of each other: {report}"
    );
    // 8 frames of audio and 8 of video at the least, in each of 24 streams.
    assert!(number(&report, "/packets/received") > 200.0, "{report}");
    assert!(
        number(&report, "/packets/loss_percent") < 0.5,
        "nothing was to be lost: {report}"
    );
    for known in [
        "/delay_ms/p50",
        "/delay_ms/p99",
        "/server/cpu_us_per_packet",
        "/server/memory_kib",
        "/sdp/largest_from_server_bytes",
        "/join/connected_ms/p99",
    ] {
        assert!(number(&report, known) > 0.0, "{known}: {report}");
    }
}

#[test]
fn loss_is_seen_where_nothing_repairs_it_and_repaired_where_something_does() {
    let home = tempfile::tempdir().unwrap();
    // Audio is not resent: 2 % each way are 4 % of it.
    let audio = load(home.path(), &["--participants", "3", "--codec", "none", "--loss", "2"]);
    let lost = number(&audio, "/packets/loss_percent");
    assert!((1.0..10.0).contains(&lost), "{audio}");
    let video = load(
        home.path(),
        &[
            "--participants",
            "3",
            "--no-audio",
            "--simulcast",
            "--loss",
            "2",
            "--delay",
            "5",
        ],
    );
    assert!(number(&video, "/packets/repaired") > 0.0, "{video}");
    assert!(number(&video, "/packets/loss_percent") < lost, "{video} {audio}");
    assert!(
        number(&video, "/delay_ms/p50") >= 10.0,
        "twice the path's delay: {video}"
    );
}

#[test]
fn those_who_come_and_go_leave_no_sections_behind() {
    let home = tempfile::tempdir().unwrap();
    let args = [
        "--participants",
        "3",
        "--publishers",
        "2",
        "--speakers",
        "1",
        "--passing",
        "12",
    ];
    let report = load(home.path(), &args);
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(
        report["streams"]["heard"], 4,
        "sound and pictures of one who speaks, at two: {report}"
    );
    // Two tracks of each publisher and of the ten who are there at once, the data channels', and two to spare.
    let sections = number(&report, "/sdp/most_sections");
    assert!((22.0..=27.0).contains(&sections), "{report}");
}

#[test]
fn a_server_that_runs_is_loaded_with_the_credentials_of_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).arg("dev").args(FREE));
    let line = server.json();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    let with_credentials = |command: &mut Command| {
        command
            .env("TWILIO_ACCOUNT_SID", text("account_sid"))
            .env("TWILIO_AUTH_TOKEN", text("auth_token"))
            .env("TWILIO_API_KEY", text("api_key_sid"))
            .env("TWILIO_API_SECRET", text("api_key_secret"));
    };
    let url = text("http");
    let args = [&["load", "--json", "--participants", "2", "--url", &url], &SMALL[..]].concat();
    let mut command = rotunda(home.path());
    with_credentials(command.args(&args));
    let report = report(command.output().unwrap());
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(
        report["server"]["cpu_us_per_packet"],
        Value::Null,
        "its process was not named"
    );

    server.terminate();
    let mut command = rotunda(home.path());
    with_credentials(command.args(&args));
    let (code, sentences) = faults(&mut command);
    assert_eq!(code, 1);
    assert!(sentences[0].contains("/v1/Rooms"), "{sentences:?}");
}

#[test]
fn options_that_make_no_sense_are_told_so() {
    let home = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["--publishers", "6"][..], "--publishers"),
        (&["--codec", "none", "--no-audio"], "--no-audio"),
        (&["--codec", "none,vp8"], "--codec"),
        (&["--loss", "101"], "--loss"),
        (&["--target", "janus", "--passing", "1"], "--passing"),
        (&["--duration", "0"], "--duration"),
        (&["--url", "https://example.com"], "--url"),
        (&["--url", "http://127.0.0.1:1"], "rotunda env"),
        (&["--pid", "1"], "--url"),
        (&["--server-cpus", "0"], "--load-cpus"),
        (&["--server-cpus", "x", "--load-cpus", "0"], "--server-cpus"),
    ] {
        let (code, sentences) = faults(rotunda(home.path()).arg("load").args(args));
        assert_eq!(code, 2, "{args:?}");
        assert!(sentences[0].contains(expected), "{args:?}: {sentences:?}");
    }
}
