//! Web pages may read every answer, errors included.

use crate::world::{World, authorization};

const NAMES: [&str; 4] = [
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
];

#[tokio::test]
async fn on_every_answer() {
    let world = World::start().await;
    let room = world.room(None, 0).await;
    let long = vec![b'a'; 70_000];
    for (method, path, headers, body) in [
        ("GET", "/v1/Rooms", vec![authorization()], &b""[..]),
        ("GET", "/v1/Rooms", vec![], b""),
        ("GET", "/v1/Nothing", vec![authorization()], b""),
        ("DELETE", "/v1/Rooms", vec![authorization()], b""),
        ("GET", "/v1/Compositions", vec![authorization()], b""),
        ("GET", "/v1/Rooms?PageSize=0", vec![authorization()], b""),
        ("POST", &format!("/v1/Rooms/{room}"), vec![authorization()], b""),
        (
            "POST",
            "/v1/Rooms",
            vec![authorization(), "Content-Type: text/xml".to_owned()],
            b"<a/>",
        ),
        ("POST", "/v1/Rooms", vec![authorization()], &long),
    ] {
        let answer = world.raw(method, path, &headers, body).await;
        for name in NAMES {
            assert!(answer.headers.contains_key(name), "{method} {path}: {name}");
        }
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn options_needs_no_credentials() {
    let world = World::start().await;
    for path in [
        "/v1",
        "/v1/Rooms",
        "/v1/Rooms/",
        "/v1/Rooms/x/Participants",
        "/v1/Nothing",
    ] {
        let headers = [
            "Origin: https://a.example".to_owned(),
            "Access-Control-Request-Method: GET".to_owned(),
        ];
        let answer = world.raw("OPTIONS", path, &headers, b"").await;
        assert_eq!((answer.status, &*answer.text), (204, ""), "{path}");
        assert!(answer.headers["access-control-allow-headers"].contains("Authorization"));
        for name in NAMES {
            assert!(answer.headers.contains_key(name), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn with_a_list_only_its_origins_get_credentials() {
    let allowed = vec!["https://a.example".to_owned()];
    let world = World::with(|settings| settings.cors_allow_origins = allowed).await;
    for (origin, expected) in [
        ("https://a.example", Some("https://a.example")),
        ("https://b.example", None),
    ] {
        for (method, headers) in [("GET", vec![authorization()]), ("GET", vec![]), ("OPTIONS", vec![])] {
            let headers: Vec<_> = headers.into_iter().chain([format!("Origin: {origin}")]).collect();
            let answer = world.raw(method, "/v1/Rooms", &headers, b"").await;
            let header = |name: &str| answer.headers.get(name).map(String::as_str);
            assert_eq!(header("access-control-allow-origin"), expected);
            assert_eq!(header("access-control-allow-credentials"), expected.map(|_| "true"));
            assert_eq!(header("vary"), Some("Origin"));
        }
    }
}
