//! Subscribe rules: fetched, replaced, and what the clients are told of it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use testkit::signaling::{Client, OFFER, both_tracks, connect};

use crate::world::{Answer, World};

const ROOM: &str = "daily";

fn path(who: &str) -> String {
    format!("/v1/Rooms/{ROOM}/Participants/{who}/SubscribeRules")
}

async fn replace(world: &World, who: &str, rules: &str) -> Answer {
    let form = format!("Rules={}", utf8_percent_encode(rules, NON_ALPHANUMERIC));
    world.post(&path(who), &form).await
}

/// Name and publisher of what somebody receives, oldest first, by the API's word.
async fn received(world: &World, who: &str) -> Vec<String> {
    let list = world
        .get(&format!("/v1/Rooms/{ROOM}/Participants/{who}/SubscribedTracks"))
        .await;
    let mut names = list.column("name");
    names.reverse();
    names
}

/// The next complete list of what the client receives: SID and media id.
async fn subscribed(client: &mut Client) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = client.until(|message| {
        let tracks = message["subscribed"]["tracks"].as_array()?;
        Some(
            tracks
                .iter()
                .map(|track| (text(&track["sid"]), text(&track["id"])))
                .collect(),
        )
    });
    list.await.unwrap()
}

fn all(kind: &str) -> Value {
    json!([{ "type": kind, "all": true, "publisher": null, "track": null, "kind": null, "priority": null }])
}

/// With these rules in its `connect`.
async fn client_with(world: &World, identity: &str, subscribe: Value) -> (Client, Value) {
    let mut message = connect(&world.token(identity), Some(ROOM), both_tracks(), Some(OFFER));
    message["subscribe"] = subscribe;
    let mut client = Client::hello(&world.server.signaling_url(), Some(message)).await;
    let answer = client.message().await.unwrap();
    client.session = answer["session"].as_str().unwrap_or_default().to_owned();
    (client, answer)
}

#[tokio::test]
async fn the_rules_are_those_of_the_connect_until_others_replace_them() {
    let world = World::start().await;
    let (_alice, _) = world.client("alice", ROOM).await;
    let exclude = json!({ "revision": 1, "rules": [{ "type": "exclude", "all": true }] });
    let (_bob, _) = client_with(&world, "bob", exclude).await;
    let audio = json!({ "revision": 1, "rules": [{ "type": "include", "kind": "audio" }] });
    let (_carol, connected) = client_with(&world, "carol", audio).await;
    assert_eq!(connected["subscribed"]["tracks"].as_array().unwrap().len(), 2);
    let (_dave, _) = client_with(&world, "dave", json!({ "revision": 1 })).await;
    for (who, rules, count) in [
        ("alice", all("include"), 6),
        ("bob", all("exclude"), 0),
        ("dave", all("include"), 6),
    ] {
        let answer = world.get(&path(who)).await.json();
        assert_eq!(answer["rules"], rules, "{who}");
        assert_eq!(answer["date_created"], answer["date_updated"]);
        assert_eq!(received(&world, who).await.len(), count, "{who}");
    }
    let carols = world.get(&path("carol")).await.json();
    assert_eq!(carols["rules"][0]["kind"], "audio");
    assert_eq!(received(&world, "carol").await, ["microphone"; 3]);

    let row = world.get(&format!("/v1/Rooms/{ROOM}/Participants/bob")).await.json();
    let answer = replace(&world, "bob", r#"[{"type":"include","publisher":"alice"}]"#).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["participant_sid"], row["sid"]);
    assert_eq!(json["room_sid"], row["room_sid"]);
    assert_eq!(json["date_created"], row["date_created"]);
    assert_eq!(json["rules"][0]["publisher"], "alice");
    assert_eq!(world.get(&path(row["sid"].as_str().unwrap())).await.json(), json);
    assert_eq!(received(&world, "bob").await, ["microphone", "camera"]);
}

#[tokio::test]
async fn a_connect_with_rules_that_are_none_is_an_invalid_message() {
    let world = World::start().await;
    for rules in [
        json!([]),
        json!([{ "type": "include" }]),
        json!([{ "type": "include", "all": true, "kind": "audio" }]),
        json!(vec![json!({ "type": "include", "kind": "audio" }); 21]),
    ] {
        let (_client, answer) = client_with(&world, "alice", json!({ "rules": rules })).await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!(53004)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn new_rules_are_told_to_the_client_at_once_and_a_track_that_returns_has_another_id() {
    let world = World::start().await;
    let (mut alice, _) = world.client("alice", ROOM).await;
    let (_bob, _) = world.client("bob", ROOM).await;
    let before = subscribed(&mut alice).await;
    assert_eq!(before.len(), 2);

    let answer = replace(
        &world,
        "alice",
        r#"[{"type":"include","all":true},{"type":"exclude","kind":"video"}]"#,
    )
    .await;
    assert_eq!(answer.status, 200);
    // The answer comes after what the list says.
    assert_eq!(received(&world, "alice").await, ["microphone"]);
    let without = subscribed(&mut alice).await;
    assert_eq!(without, [before[0].clone()], "what stays keeps its id");
    assert_eq!(
        replace(&world, "alice", r#"[{"type":"exclude","all":true}]"#)
            .await
            .status,
        200
    );
    assert!(subscribed(&mut alice).await.is_empty());

    assert_eq!(
        replace(&world, "alice", r#"[{"type":"include","all":true}]"#)
            .await
            .status,
        200
    );
    let again = subscribed(&mut alice).await;
    for ((sid, id), (old_sid, old_id)) in again.iter().zip(&before) {
        assert_eq!(sid, old_sid);
        assert_ne!(id, old_id);
    }
    assert_eq!(again.len(), 2);
    // Nobody else's changed.
    assert_eq!(received(&world, "bob").await.len(), 2);
}

#[tokio::test]
async fn invalid_lists_leave_the_rules_as_they_were_and_say_why() {
    let world = World::start().await;
    let (_alice, _) = world.client("alice", ROOM).await;
    let valid = r#"[{"type":"include","kind":"audio"}]"#;
    let before = replace(&world, "alice", valid).await.json();
    let many = format!("[{}]", vec![r#"{"type":"include","kind":"audio"}"#; 21].join(","));
    let long = format!(r#"[{{"type":"include","{}":1}}]"#, "x".repeat(5000));
    for (rules, reason) in [
        ("[]", "there are 0 rules, not 1 to 20"),
        (&many, "there are 21 rules, not 1 to 20"),
        ("{}", "invalid type: map, expected a sequence"),
        ("all", "expected value"),
        (
            r#"[{"type":"include","kind":"audio","kind":"audio"}]"#,
            "duplicate field `kind`",
        ),
        (
            r#"[{"type":"include","all":true,"kind":"audio"}]"#,
            "rule 1: all stands beside another filter",
        ),
        (
            r#"[{"type":"include","all":true},{"type":"exclude"}]"#,
            "rule 2: it has no filter",
        ),
        (r#"[{"type":"include","all":false}]"#, "rule 1: all is not true"),
        (&long, "unknown field"),
    ] {
        let answer = replace(&world, "alice", rules).await;
        assert_eq!(answer.error(), (400, 53215), "{rules}");
        let json = answer.json();
        assert_eq!(json["message"], "Invalid Subscribe Rule(s)");
        let told = json["details"]["reason"].as_str().unwrap();
        assert!(told.starts_with(reason) && told.chars().count() <= 200, "{told}");
    }
    for form in ["", "Rules=", "rules=%5B%5D"] {
        let answer = world.post(&path("alice"), form).await;
        assert_eq!(answer.error(), (400, 20001), "{form}");
        assert_eq!(
            answer.json()["message"],
            "Missing required parameter Rules in the post body"
        );
    }
    assert_eq!(world.get(&path("alice")).await.json(), before);
}

#[tokio::test]
async fn who_is_reconnecting_has_rules_to_replace_and_who_left_only_to_look_at() {
    let world = World::start().await;
    let (mut alice, _) = world.client("alice", ROOM).await;
    let (bob, _) = world.client("bob", ROOM).await;
    let session = bob.session.clone();
    alice.sees("bob").await.unwrap();
    bob.cut();
    assert_eq!(alice.sees("bob").await.unwrap(), "reconnecting");
    let rules = r#"[{"type":"include","track":"camera"}]"#;
    let answer = replace(&world, "bob", rules).await;
    assert_eq!(answer.status, 200);
    let sid = answer.json()["participant_sid"].as_str().unwrap().to_owned();
    assert_eq!(received(&world, "bob").await, ["camera"]);
    let resumed = Client::resume(&world.server.signaling_url(), &session, both_tracks(), 1, json!([])).await;
    let (bob, synced) = resumed.unwrap();
    assert_eq!(synced["subscribed"]["tracks"].as_array().unwrap().len(), 1);
    assert_eq!(alice.sees("bob").await.unwrap(), "connected");
    bob.leave().await;
    assert_eq!(alice.sees("bob").await.unwrap(), "disconnected");

    let last = world.get(&path(&sid)).await;
    assert_eq!(
        (last.status, &last.json()["rules"][0]["track"]),
        (200, &json!("camera"))
    );
    for who in ["bob", &sid, "nobody"] {
        assert_eq!(replace(&world, who, rules).await.error(), (404, 20404), "{who}");
    }
    assert_eq!(world.get(&path("bob")).await.error(), (404, 20404));
}

#[tokio::test]
async fn who_replaced_rules_is_written_down_once_for_each_time() {
    let world = World::start().await;
    let (_alice, _) = world.client("alice", ROOM).await;
    for rules in [
        r#"[{"type":"exclude","all":true}]"#,
        r#"[{"type":"exclude","all":true}]"#,
        "[]",
    ] {
        replace(&world, "alice", rules).await;
    }
    let lines = world
        .store()
        .audit(store::AuditFilter::default(), 0, 100)
        .await
        .unwrap();
    let lines: Vec<_> = lines
        .iter()
        .filter(|line| line.audit.operation == "replace-subscribe-rules")
        .collect();
    assert_eq!(lines.len(), 2, "an invalid list changes nothing");
    assert_eq!(lines[0].audit.status, Some(200));
    let alice = world.get(&format!("/v1/Rooms/{ROOM}/Participants/alice")).await.json();
    assert_eq!(
        lines[0].audit.participant.unwrap().to_string(),
        alice["sid"].as_str().unwrap()
    );
}

#[tokio::test]
async fn foreign_participants_have_no_rules() {
    let world = World::start().await;
    let foreign = world.foreign_room(Some("theirs")).await;
    let unknown = crate::world::room_sid(0xdead);
    let target = |room| format!("/v1/Rooms/{room}/Participants/PA00000000000000000000000000000001/SubscribeRules");
    for form in [
        "Rules=%5B%5D",
        "Rules=%5B%7B%22type%22%3A%22exclude%22%2C%22all%22%3Atrue%7D%5D",
        "",
    ] {
        let theirs = world.post(&target(foreign), form).await;
        let nobodys = world.post(&target(unknown), form).await;
        assert_eq!(theirs.error(), (404, 20404));
        assert_eq!(
            theirs.text.replace(&foreign.to_string(), &unknown.to_string()),
            nobodys.text
        );
    }
}
