//! Options as somebody wrote them, and what they mean or what is told about them.

#![allow(clippy::unwrap_used)]
use super::super::Raw;
use super::*;

fn understand(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let environment = |name: &str| {
        variables
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let written = Written::collect(&Raw::default(), &environment, None, &Raw::defaults())?;
    Settings::understand(&written, &environment, None)
}

fn faults(variables: &[(&str, &str)]) -> Vec<String> {
    let mut all = vec![("HOME", "/home/ann")];
    all.extend(variables);
    understand(&all).unwrap_err().faults
}

#[test]
fn nothing_written_gives_the_defaults() {
    let settings = understand(&[("HOME", "/home/ann")]).unwrap();
    assert_eq!(settings.data, Data::Directory("/home/ann/.local/share/rotunda".into()));
    assert_eq!(settings.http_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.media_addrs[0].to_string(), "0.0.0.0:8081");
    assert_eq!(settings.media_engine, MediaEngine::Own);
    assert_eq!(settings.loudest_audio, NonZeroUsize::new(50));
    assert_eq!(settings.session_timeout, Duration::from_secs(30));
    assert_eq!(settings.rooms.max_participants, 1000);
    assert_eq!(settings.door, DoorSettings::default());
    assert_eq!(settings.rooms.media_region, "us1");
    assert!(settings.advertise.is_empty() && settings.cors_allow_origins.is_empty());
    assert_eq!(settings.keep, Keep::default(), "everything, for ever");
    assert!(settings.public_url.is_none() && settings.certificate.is_none());
    assert!(settings.account.is_none() && settings.api_key.is_none() && !settings.credentials_in_page);
}

#[test]
fn the_data_directory_follows_the_convention() {
    let settings = understand(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]).unwrap();
    assert_eq!(settings.data, Data::Directory("/data/rotunda".into()));
    let faults = understand(&[]).unwrap_err().faults;
    assert_eq!(
        faults,
        [
            "data_dir: there is no default, since neither XDG_DATA_HOME nor HOME is set; name a directory with --data-dir"
        ]
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = faults(&[
        ("ROTUNDA_HTTP_ADDR", "nowhere"),
        ("ROTUNDA_ADVERTISE_ADDR", "192.0.2.7,0.0.0.0"),
        ("ROTUNDA_PUBLIC_URL", "https://video.example.com/rotunda"),
        ("ROTUNDA_TLS_CERT", "/etc/cert.pem"),
        ("ROTUNDA_SESSION_TIMEOUT_S", "4"),
        ("ROTUNDA_ACCOUNT_SID", "AC12"),
        ("ROTUNDA_AUTH_TOKEN", "short"),
        ("ROTUNDA_API_KEY_SECRET", "0123456789abcdef"),
    ]);
    let expected = [
        "ROTUNDA_HTTP_ADDR: \"nowhere\" is not an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080",
        "ROTUNDA_ADVERTISE_ADDR: \"0.0.0.0\" is not an IP address that browsers can send to, with or without a port, such as 192.0.2.7 or 192.0.2.7:8081",
        "ROTUNDA_PUBLIC_URL: \"https://video.example.com/rotunda\" is not an address without a path, such as https://video.example.com",
        "ROTUNDA_TLS_CERT: a certificate needs its private key too: give --tls-key",
        "ROTUNDA_SESSION_TIMEOUT_S: \"4\" is not a whole number from 5 to 300",
        "ROTUNDA_AUTH_TOKEN: a secret has 16 to 128 printable ASCII characters without spaces",
        "ROTUNDA_ACCOUNT_SID: \"AC12\" is not a SID: expected AC followed by 32 hexadecimal digits",
        "ROTUNDA_API_KEY_SECRET: it needs a SID too: set ROTUNDA_API_KEY_SID",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn days_are_counted_from_one() {
    let settings = understand(&[
        ("HOME", "/h"),
        ("ROTUNDA_KEEP_ROOMS_DAYS", "90"),
        ("ROTUNDA_KEEP_CALLBACKS_DAYS", "1"),
    ])
    .unwrap();
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!((settings.keep.rooms, settings.keep.callbacks), (days(90), days(1)));
    assert_eq!(settings.keep.events, None);
    let faults = faults(&[("ROTUNDA_KEEP_EVENTS_DAYS", "0")]);
    assert_eq!(
        faults,
        ["ROTUNDA_KEEP_EVENTS_DAYS: \"0\" is not a whole number from 1 to 36500"]
    );
}

#[test]
fn numbers_have_their_ranges() {
    let rate = "a whole number from 0 to 1000000";
    let options = [
        ("SESSION_TIMEOUT_S", "301", "a whole number from 5 to 300"),
        ("MAX_PARTICIPANTS", "0", "a whole number from 1 to 100000"),
        ("MEDIA_WORKERS", "65", "a whole number from 0 to 64"),
        ("LOUDEST_AUDIO", "1001", "a whole number from 0 to 1000"),
        (
            "MAX_PARTICIPANT_DURATION_S",
            "599",
            "a whole number from 600 to 2592000",
        ),
        ("MAX_ROOM_DURATION_S", "59", "a whole number from 60 to 31536000"),
        ("AD_HOC_MAX_PARTICIPANTS", "1001", "a whole number from 1 to 1000"),
        ("REST_REQUESTS_PER_S", "-1", rate),
        ("JOINS_PER_S", "1.5", rate),
        ("JOINS_PER_ACCOUNT_PER_S", "many", rate),
        ("SOCKETS_PER_ACCOUNT", "1000001", rate),
        ("CONNECTIONS_PER_ADDRESS", "", ""),
    ];
    for (option, value, wanted) in options {
        let variable = format!("ROTUNDA_{option}");
        let told = understand(&[("HOME", "/h"), (&variable, value)]).map_err(|error| error.faults);
        match wanted {
            // An empty variable counts as unset.
            "" => assert_eq!(told.unwrap().door, DoorSettings::default()),
            _ => assert_eq!(told.unwrap_err(), [format!("{variable}: \"{value}\" is not {wanted}")]),
        }
    }
    let settings = understand(&[("HOME", "/h"), ("ROTUNDA_REST_REQUESTS_PER_S", "0")]).unwrap();
    assert_eq!(settings.door.rest_requests_per_s, 0);
    let settings = understand(&[("HOME", "/h"), ("ROTUNDA_LOUDEST_AUDIO", "0")]).unwrap();
    assert_eq!(settings.loudest_audio, None, "all are sent");
    let region = faults(&[("ROTUNDA_MEDIA_REGION", &"r".repeat(limits::MEDIA_REGION_LEN_MAX + 1))]);
    assert_eq!(region.len(), 1);
}

#[test]
fn rooms_that_joining_makes_are_understood() {
    let settings = understand(&[
        ("HOME", "/h"),
        ("ROTUNDA_AD_HOC_ROOMS", "false"),
        ("ROTUNDA_AD_HOC_TYPE", "peer-to-peer"),
        ("ROTUNDA_AD_HOC_MAX_PARTICIPANTS", "10"),
        ("ROTUNDA_AD_HOC_VIDEO_CODECS", "H264,H264"),
        ("ROTUNDA_ACCEPT_MEDIA_REGIONS", "de1, ie1"),
        ("ROTUNDA_MAX_ROOM_DURATION_S", "86400"),
    ])
    .unwrap();
    let ad_hoc = settings.rooms.ad_hoc;
    assert!(!ad_hoc.allowed);
    assert_eq!(
        (ad_hoc.kind, ad_hoc.max_participants),
        (room::RoomType::PeerToPeer, Some(10))
    );
    assert_eq!(ad_hoc.video_codecs, ["H264"]);
    assert_eq!(settings.rooms.accept_media_regions, ["de1", "ie1"]);
    assert_eq!(settings.rooms.max_room_duration, Some(Duration::from_secs(86_400)));
    assert_eq!(understand(&[("HOME", "/h")]).unwrap().rooms, RoomSettings::default());
    let faults = faults(&[
        ("ROTUNDA_AD_HOC_ROOMS", "maybe"),
        ("ROTUNDA_AD_HOC_TYPE", "open"),
        ("ROTUNDA_AD_HOC_VIDEO_CODECS", "VP9"),
    ]);
    let expected = [
        "ROTUNDA_AD_HOC_ROOMS: \"maybe\" is not true or false",
        "ROTUNDA_AD_HOC_TYPE: \"open\" is not group, go, peer-to-peer or group-small",
        "ROTUNDA_AD_HOC_VIDEO_CODECS: \"VP9\" is not VP8 or H264",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn so_many_addresses_are_advertised() {
    let mut settings = understand(&[("HOME", "/h")]).unwrap();
    settings.advertise = (1..=50)
        .map(|number| Advertised {
            ip: IpAddr::from([192, 0, 2, number]),
            port: None,
        })
        .collect();
    let candidates = settings.candidates(0, SocketAddr::from(([0, 0, 0, 0], 8081)));
    assert_eq!(candidates.len(), limits::CANDIDATES_MAX);
    assert_eq!(candidates[0].to_string(), "192.0.2.1:8081");
}

#[test]
fn secrets_come_from_files_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    let file = file.to_str().unwrap();
    let sid = "AC00000000000000000000000000000001";
    let settings = understand(&[
        ("HOME", "/h"),
        ("ROTUNDA_ACCOUNT_SID", sid),
        ("ROTUNDA_AUTH_TOKEN_FILE", file),
    ])
    .unwrap();
    assert_eq!(settings.account.as_ref().unwrap().auth_token, "0123456789abcdef");
    assert!(!format!("{settings:?}").contains("0123456789abcdef"));

    let both = faults(&[
        ("ROTUNDA_ACCOUNT_SID", sid),
        ("ROTUNDA_AUTH_TOKEN_FILE", file),
        ("ROTUNDA_AUTH_TOKEN", "0123456789abcdef"),
    ]);
    assert_eq!(
        both,
        ["ROTUNDA_AUTH_TOKEN: ROTUNDA_AUTH_TOKEN_FILE is given too; give one of the two"]
    );
    let missing = faults(&[
        ("ROTUNDA_ACCOUNT_SID", sid),
        ("ROTUNDA_AUTH_TOKEN_FILE", "/nowhere/token"),
    ]);
    assert_eq!(missing.len(), 1);
    assert!(
        missing[0].starts_with("ROTUNDA_AUTH_TOKEN_FILE: /nowhere/token cannot be read: "),
        "{missing:?}"
    );
}

#[test]
fn a_bound_address_advertises_itself() {
    let settings = Settings::ephemeral();
    let bound: SocketAddr = "192.0.2.7:8081".parse().unwrap();
    assert_eq!(settings.candidates(0, bound), [bound]);
}

#[test]
fn a_wildcard_advertises_the_machine_with_loopback_last() {
    let candidates = Settings::ephemeral().candidates(0, "0.0.0.0:8081".parse().unwrap());
    assert_eq!(candidates.last(), Some(&"127.0.0.1:8081".parse().unwrap()));
    assert!(
        candidates
            .iter()
            .all(|address| address.is_ipv4() && !address.ip().is_unspecified() && address.port() == 8081)
    );
    assert!(
        candidates[..candidates.len() - 1]
            .iter()
            .all(|address| !address.ip().is_loopback())
    );
}

#[test]
fn what_is_advertised_replaces_what_is_found() {
    let settings = understand(&[
        ("HOME", "/h"),
        (
            "ROTUNDA_ADVERTISE_ADDR",
            "192.0.2.7, 192.0.2.8:9, 2001:db8::1, [2001:db8::1]:9",
        ),
    ])
    .unwrap();
    let candidates: Vec<_> = settings
        .candidates(0, "0.0.0.0:8081".parse().unwrap())
        .iter()
        .map(SocketAddr::to_string)
        .collect();
    assert_eq!(
        candidates,
        ["192.0.2.7:8081", "192.0.2.8:9", "[2001:db8::1]:8081", "[2001:db8::1]:9"]
    );
}

#[test]
fn each_media_worker_has_a_port_of_its_own() {
    let ports = |addr, workers| {
        let settings = understand(&[
            ("HOME", "/h"),
            ("ROTUNDA_MEDIA_ADDR", addr),
            ("ROTUNDA_MEDIA_WORKERS", workers),
        ]);
        let addrs = settings.unwrap().media_addrs;
        assert!(addrs.iter().all(|of| of.ip() == addrs[0].ip()));
        addrs.iter().map(SocketAddr::port).collect::<Vec<_>>()
    };
    assert_eq!(ports("192.0.2.7:9000", "3"), [9000, 9001, 9002]);
    assert_eq!(ports("[::]:65535", "1"), [65535]);
    assert_eq!(ports("127.0.0.1:0", "4"), [0; 4], "each a free one");
    let of_machine = ports("0.0.0.0:8081", "0").len();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(
        of_machine,
        (cores / 2).clamp(1, limits::MEDIA_WORKERS_DEFAULT_MAX as usize)
    );
    assert_eq!(understand(&[("HOME", "/h")]).unwrap().media_addrs.len(), of_machine);
    let faults = faults(&[("ROTUNDA_MEDIA_ADDR", "0.0.0.0:65534"), ("ROTUNDA_MEDIA_WORKERS", "3")]);
    let expected =
        "ROTUNDA_MEDIA_WORKERS: each of 3 workers has a port of its own, and there are not as many from 65534 on";
    assert_eq!(faults, [expected]);
}

#[test]
fn each_media_worker_is_advertised_with_its_own_port() {
    let settings = |advertised| {
        understand(&[
            ("HOME", "/h"),
            ("ROTUNDA_ADVERTISE_ADDR", advertised),
            ("ROTUNDA_MEDIA_WORKERS", "3"),
        ])
    };
    let candidates: Vec<_> = settings("192.0.2.7, 192.0.2.8:9000")
        .unwrap()
        .candidates(2, "0.0.0.0:8083".parse().unwrap())
        .iter()
        .map(SocketAddr::to_string)
        .collect();
    assert_eq!(candidates, ["192.0.2.7:8083", "192.0.2.8:9002"]);
    assert!(settings("192.0.2.8:65533").is_ok());
    let error = settings("192.0.2.8:65534").unwrap_err();
    let expected = "ROTUNDA_ADVERTISE_ADDR: each of 3 media workers has a port of its own, and there are not as many from 65534 on";
    assert_eq!(error.faults, [expected]);
}

#[test]
fn addresses_are_kept_as_origins() {
    let settings = understand(&[
        ("HOME", "/h"),
        ("ROTUNDA_PUBLIC_URL", "https://Video.Example.com:443/"),
        ("ROTUNDA_CORS_ALLOW_ORIGINS", "http://localhost:3000"),
    ])
    .unwrap();
    assert_eq!(settings.public_url.as_deref(), Some("https://video.example.com"));
    assert_eq!(settings.cors_allow_origins, ["http://localhost:3000"]);
}

#[test]
fn proxies_are_addresses_or_networks() {
    let proxies = |text| understand(&[("HOME", "/home/ann"), ("ROTUNDA_TRUSTED_PROXIES", text)]);
    let read = proxies("10.1.2.3/8, 192.0.2.1, fd00::/8").unwrap().trusted_proxies;
    let expected = ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"].map(|network| network.parse().unwrap());
    assert_eq!(read.0, expected);
    assert!(proxies("").unwrap().trusted_proxies.0.is_empty());
    for wrong in ["10.0.0.0/33", "proxy.example.com", "10.0.0.0/8/8"] {
        let fault = &proxies(wrong).unwrap_err().faults[0];
        assert!(fault.contains("is not an IP address or a network"), "{fault}");
    }
}
