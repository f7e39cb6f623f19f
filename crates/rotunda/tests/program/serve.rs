//! `serve`, `dev`, `token` and `env` when all goes well.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rotunda::access_token;
use rotunda::credentials::{Account, ApiKey, Credentials};

use super::process::{FREE, Running, after, rotunda, run, said};

#[test]
fn help_teaches() {
    let home = tempfile::tempdir().unwrap();
    let help = said(home.path(), &["--help"]);
    for word in ["Examples:", "serve", "dev", "token", "env", "config.default.toml"] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    let help = said(home.path(), &["serve", "--help"]);
    for word in [
        "--data-dir",
        "ROTUNDA_DATA_DIR",
        "~/.local/share/rotunda",
        "127.0.0.1:8080",
        "0.0.0.0:8081",
        "--media-workers",
        "8081 to 8084",
        "ROTUNDA_API_KEY_SECRET_FILE",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    let help = said(home.path(), &["dev", "--help"]);
    assert!(
        !help.contains("--data-dir") && help.contains("--media-workers"),
        "{help}"
    );
    assert_eq!(
        said(home.path(), &["--version"]),
        concat!("rotunda ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[tokio::test]
async fn dev_prints_one_line_and_serves() {
    let home = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut server = Running::start(rotunda(home.path()).arg("dev").args(FREE));
    let line = server.json();
    let ready = started.elapsed();
    // The promise is made for release builds.
    let bound = Duration::from_millis(if cfg!(debug_assertions) { 5000 } else { 200 });
    assert!(ready < bound, "ready after {ready:?}");

    let text = |name: &str| {
        line[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is missing in {line}"))
            .to_owned()
    };
    let http = text("http");
    assert!(http.starts_with("http://127.0.0.1:"), "{http}");
    assert_eq!(
        text("signaling"),
        format!("ws{}/signaling", http.strip_prefix("http").unwrap())
    );
    assert_eq!(text("page"), format!("{http}/"));
    assert!(text("media").starts_with("127.0.0.1:") && !text("media").ends_with(":0"));
    assert_eq!(line["media_workers"][0], line["media"]);
    assert_eq!(text("account_sid"), "ACdddddddddddddddddddddddddddddddd");
    assert_eq!(text("auth_token"), "devAuthTokenNotForProduction");
    assert_eq!(text("api_key_sid"), "SKdddddddddddddddddddddddddddddddd");
    assert_eq!(text("api_key_secret"), "devApiKeySecretNotForProduction");

    let health = reqwest::get(format!("{http}/healthz")).await.unwrap();
    assert_eq!(
        (health.status().as_u16(), health.text().await.unwrap().as_str()),
        (200, "ok\n")
    );
    let ready: serde_json::Value = serde_json::from_str(
        &reqwest::get(format!("{http}/readyz"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
    )
    .unwrap();
    assert_eq!((&ready["store"], &ready["media"]), (&"ok".into(), &"ok".into()));

    let page = reqwest::get(format!("{http}/")).await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.starts_with("default-src 'self'; connect-src 'self' ws: wss:;"),
        "{policy}"
    );
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    if page.status() == 200 {
        let html = page.text().await.unwrap();
        let meta = "<meta name=\"rotunda-dev-credentials\" content=\"ACdddddddddddddddddddddddddddddddd:SKdddddddddddddddddddddddddddddddd:devApiKeySecretNotForProduction\">";
        assert!(html.contains(meta), "{html}");
    }
    assert!(server.terminate() < Duration::from_secs(6));
    assert!(
        std::fs::read_dir(home.path()).unwrap().next().is_none(),
        "nothing is kept"
    );
}

#[tokio::test]
async fn serve_makes_credentials_once_and_keeps_them() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    let first = server.greeting();
    let (account, token) = (after(&first, "Account SID"), after(&first, "Auth token"));
    let (key, secret) = (after(&first, "API key SID"), after(&first, "API key secret"));
    let url = after(&first, "Open");
    let (address, fragment) = url.split_once("/#").unwrap();
    assert_eq!(fragment, format!("account={account}&key={key}:{secret}"));
    assert!(account.starts_with("AC") && key.starts_with("SK") && token.len() == 32 && secret.len() == 32);

    let dir = home.path().join(".local/share/rotunda");
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(dir.join("rotunda.db").is_file());
    let page = reqwest::get(format!("{address}/")).await.unwrap().text().await.unwrap();
    assert!(
        !page.contains("rotunda-dev-credentials") && !page.contains("rotunda:head"),
        "{page}"
    );

    // While it runs.
    let env = said(home.path(), &["env", "--http-addr", "127.0.0.1:4321"]);
    let expected = format!(
        "export TWILIO_ACCOUNT_SID={account}\nexport TWILIO_AUTH_TOKEN={token}\nexport TWILIO_API_KEY={key}\nexport TWILIO_API_KEY_SID={key}\n\
         export TWILIO_API_SECRET={secret}\nexport TWILIO_API_KEY_SECRET={secret}\n\
         export ROTUNDA_SIGNALING_URL=ws://127.0.0.1:4321/signaling\nexport ROTUNDA_URL=http://127.0.0.1:4321\n"
    );
    assert_eq!(env, expected);
    assert!(server.terminate() < Duration::from_secs(6));

    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    let second = server.greeting();
    assert!(
        second.ends_with("Credentials were printed at the first start; `rotunda env` shows them.\n"),
        "{second}"
    );
    assert!(!second.contains(&secret) && !second.contains(&token));
    server.terminate();
    assert_eq!(
        said(home.path(), &["env", "--http-addr", "127.0.0.1:4321"]),
        expected,
        "after it ended"
    );
}

#[test]
fn tokens_are_valid_while_the_server_runs() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    let greeting = server.greeting();
    let token = said(
        home.path(),
        &["token", "--identity", "alice", "--room", "daily", "--ttl", "4h"],
    );

    let account = Account {
        sid: after(&greeting, "Account SID").parse().unwrap(),
        auth_token: String::new(),
    };
    let key = ApiKey {
        sid: after(&greeting, "API key SID").parse().unwrap(),
        account: account.sid,
        secret: after(&greeting, "API key secret"),
    };
    let credentials = Credentials::new(vec![account], vec![key]);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let verified = access_token::verify(token.trim_end(), &credentials, now_s).unwrap();
    assert_eq!(
        (verified.identity.as_str(), verified.room.as_deref()),
        ("alice", Some("daily"))
    );
    assert!(access_token::verify(token.trim_end(), &credentials, now_s + 4 * 3600 - 60).is_ok());
    assert!(access_token::verify(token.trim_end(), &credentials, now_s + 4 * 3600 + 1).is_err());
}

#[tokio::test]
async fn preset_credentials_replace_what_was_made() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    server.greeting();
    server.terminate();

    let secret = home.path().join("secret");
    std::fs::write(&secret, "a-secret-from-a-file\n").unwrap();
    let sid = "AC0123456789abcdef0123456789abcdef";
    let preset = |command: &mut std::process::Command| {
        command
            .env("ROTUNDA_ACCOUNT_SID", sid)
            .env("ROTUNDA_AUTH_TOKEN", "0123456789abcdef")
            .env("ROTUNDA_API_KEY_SID", "SK0123456789abcdef0123456789abcdef")
            .env("ROTUNDA_API_KEY_SECRET_FILE", &secret);
    };
    let mut command = rotunda(home.path());
    preset(command.arg("serve").args(FREE));
    let mut server = Running::start(&mut command);
    let greeting = server.greeting();
    assert!(!greeting.contains("a-secret-from-a-file"), "{greeting}");
    let rooms = format!("{}v1/Rooms", after(&greeting, "Open"));
    let client = reqwest::Client::new();
    for (user, password, status) in [
        (sid, "0123456789abcdef", 200),
        ("SK0123456789abcdef0123456789abcdef", "a-secret-from-a-file", 200),
        (sid, "a-secret-from-a-file", 401),
    ] {
        let answer = client
            .get(&rooms)
            .basic_auth(user, Some(password))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{user}:{password}");
    }

    let mut command = rotunda(home.path());
    preset(command.arg("env"));
    let env = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        env.contains(&format!("export TWILIO_ACCOUNT_SID={sid}\n"))
            && env.contains("export TWILIO_API_KEY_SECRET=a-secret-from-a-file\n"),
        "{env}"
    );
}

#[test]
fn each_media_worker_has_a_port() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(rotunda(home.path()).args(["dev", "--media-workers", "3"]).args(FREE));
    let line = server.json();
    let addrs = line["media_workers"].as_array().unwrap();
    assert_eq!((addrs.len(), &addrs[0]), (3, &line["media"]));
    let differ = addrs.iter().collect::<std::collections::HashSet<_>>();
    assert_eq!(differ.len(), 3);
    server.terminate();
    let mut server = Running::start(rotunda(home.path()).args(["serve", "--media-workers", "2"]).args(FREE));
    let media = after(&server.greeting(), "Media");
    assert!(media.starts_with("UDP"), "{media}");
    server.terminate();
}

#[test]
fn media_threads_stay_on_a_processor_if_they_are_to() {
    for (pin, stay) in [("true", true), ("false", false)] {
        let home = tempfile::tempdir().unwrap();
        let options = ["dev", "--media-workers", "2", "--pin-media-workers", pin];
        let mut server = Running::start(rotunda(home.path()).args(options).args(FREE));
        server.json();
        let mut threads = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap() {
            let read = |name: &str| std::fs::read_to_string(thread.as_ref().unwrap().path().join(name)).unwrap();
            if read("comm").starts_with("media-") {
                threads += 1;
                let own = std::fs::read_to_string("/proc/self/status").unwrap();
                let processors = if stay { 1 } else { processors_of(&own) };
                assert_eq!(processors_of(&read("status")), processors, "{pin}");
            }
        }
        assert_eq!(threads, 2);
        server.terminate();
    }
}

/// How many processors a thread may use, as its `status` tells: a mask of hexadecimal digits, by commas.
fn processors_of(status: &str) -> u32 {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed:"))
        .unwrap();
    mask.chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(u32::count_ones)
        .sum()
}

#[test]
fn a_file_of_options_is_read() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("rotunda.toml");
    std::fs::write(
        &file,
        "http_addr = '127.0.0.1:0'\nmedia_addr = '127.0.0.1:0'\npublic_url = 'https://video.example.com'\n",
    )
    .unwrap();
    let mut server = Running::start(rotunda(home.path()).args(["dev", "--config"]).arg(&file));
    let line = server.json();
    assert_eq!(line["http"], "https://video.example.com");
    assert_eq!(line["signaling"], "wss://video.example.com/signaling");
}

#[test]
fn the_environment_of_dev_is_known_without_a_server() {
    let home = tempfile::tempdir().unwrap();
    let env = said(home.path(), &["env", "--dev"]);
    assert!(
        env.contains("export TWILIO_API_SECRET=devApiKeySecretNotForProduction\n")
            && env.ends_with("export ROTUNDA_URL=http://127.0.0.1:8080\n"),
        "{env}"
    );
    assert!(
        run(home.path(), &["token", "--dev", "--identity", "bob"])
            .status
            .success()
    );
}
