//! Rooms: create, fetch, list, complete.

use serde_json::{Value, json};

use crate::world::{World, authorization, room_sid};

async fn create(form: &str) -> (World, crate::world::Answer) {
    let world = World::start().await;
    let answer = world.post("/v1/Rooms", form).await;
    (world, answer)
}

async fn refused(world: &World, form: &str, code: u64) {
    assert_eq!(world.post("/v1/Rooms", form).await.error(), (400, code), "{form}");
}

#[tokio::test]
async fn a_default_room() {
    let (world, answer) = create("").await;
    assert_eq!(answer.status, 201);
    let mut room = answer.json();
    let sid = room["sid"].as_str().unwrap().to_owned();
    assert_eq!(room["date_created"], room["date_updated"]);
    assert_eq!(room["unique_name"], sid);
    assert_eq!(room["url"], format!("{}/v1/Rooms/{sid}", world.base()));
    for varying in ["sid", "unique_name", "date_created", "date_updated", "url", "links"] {
        room.as_object_mut().unwrap().remove(varying);
    }
    let expected = json!({
        "status": "in-progress", "type": "group", "duration": null, "end_time": null, "enable_turn": true,
        "audio_only": false, "large_room": false, "max_participants": 50, "max_participant_duration": 14400,
        "max_concurrent_published_tracks": 170, "media_region": "us1", "record_participants_on_connect": false,
        "status_callback": null, "status_callback_method": "POST", "empty_room_timeout": 5,
        "unused_room_timeout": 5, "video_codecs": ["VP8", "H264"], "account_sid": "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    });
    assert_eq!(room, expected);
    assert_eq!(world.get(&format!("/v1/Rooms/{sid}")).await.text, answer.text);
    assert_eq!(world.get("/v1/Rooms").await.column("sid"), [sid]);
}

#[tokio::test]
async fn every_parameter_that_is_there() {
    let form = "UniqueName=daily%20%C3%A9&Type=group&StatusCallback=https%3A%2F%2Fapp.example%2Fcb%3Fa%3Db\
                &StatusCallbackMethod=GET&MaxParticipants=1000&MaxParticipantDuration=600&EmptyRoomTimeout=60\
                &UnusedRoomTimeout=1&VideoCodecs=H264&VideoCodecs=H264&MediaRegion=gll&EnableTurn=false\
                &AudioOnly=false&LargeRoom=false&RecordParticipantsOnConnect=false\
                &TranscribeParticipantsOnConnect=false&Unknown=1\
                &RecordingRules=%5B%7B%22type%22%3A%22exclude%22%2C%22all%22%3A%20true%7D%5D";
    let (_world, answer) = create(form).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let room = answer.json();
    for (name, value) in [
        ("unique_name", json!("daily é")),
        ("status_callback", json!("https://app.example/cb?a=b")),
        ("status_callback_method", json!("GET")),
        ("max_participants", json!(1000)),
        ("max_participant_duration", json!(600)),
        ("empty_room_timeout", json!(60)),
        ("unused_room_timeout", json!(1)),
        ("video_codecs", json!(["H264"])),
        ("media_region", json!("us1")),
        ("enable_turn", json!(true)),
    ] {
        assert_eq!(room[name], value, "{name}");
    }
}

#[tokio::test]
async fn parameters_out_of_range() {
    let world = World::start().await;
    let long = "n".repeat(129);
    for (form, code) in [
        (&*format!("UniqueName={long}"), 53101),
        ("UniqueName=a%00b", 53102),
        ("UniqueName=%FF", 53102),
        ("UniqueName=RM00000000000000000000000000000001", 53100),
        ("MaxParticipants=0", 53107),
        ("MaxParticipants=1001", 53107),
        ("MaxParticipants=-1", 53107),
        ("MaxParticipants=many", 53107),
        ("MaxParticipants=99999999999", 53107),
        ("Type=open", 53108),
        ("EmptyRoomTimeout=0", 53109),
        ("EmptyRoomTimeout=61", 53109),
        ("UnusedRoomTimeout=0", 53109),
        ("UnusedRoomTimeout=1.5", 53109),
        ("StatusCallbackMethod=PUT", 53110),
        ("StatusCallback=here", 53111),
        ("StatusCallback=ftp%3A%2F%2Fa", 53111),
        (
            &*format!("StatusCallback=https%3A%2F%2Fa%2F{}", "x".repeat(1014)),
            53111,
        ),
        ("MediaRegion=mars", 53115),
        ("MediaRegion=de1", 53116),
        ("MaxParticipantDuration=599", 53123),
        ("MaxParticipantDuration=86401", 53123),
        ("VideoCodecs=VP8&VideoCodecs=VP9", 20001),
        ("AudioOnly=yes", 20001),
        ("LargeRoom=maybe", 20001),
        ("Type=Group", 53108),
        ("Type=go&MaxParticipants=3", 53107),
        ("Type=group-small&MaxParticipants=5", 53107),
        ("Type=peer-to-peer&MaxParticipants=11", 53107),
    ] {
        refused(&world, form, code).await;
    }
    assert!(world.get("/v1/Rooms").await.column("sid").is_empty());
    let longest = format!(
        "UniqueName={}&StatusCallback=https://a/{}",
        &long[1..],
        "x".repeat(1013)
    );
    assert_eq!(world.post("/v1/Rooms", &longest).await.status, 201);
}

#[tokio::test]
async fn what_is_not_there_yet_is_refused() {
    let world = World::start().await;
    for (form, code) in [
        ("RecordParticipantsOnConnect=true", 53122),
        (
            "RecordingRules=%5B%7B%22type%22%3A%22include%22%2C%22all%22%3Atrue%7D%5D",
            53122,
        ),
        ("RecordingRules=%5B%5D", 53120),
        ("RecordingRules=none", 53120),
        ("RecordingRules=%5B1%5D", 53120),
        ("TranscribeParticipantsOnConnect=true", 20001),
        ("TranscriptionsConfiguration=%7B%7D", 20001),
    ] {
        refused(&world, form, code).await;
    }
}

#[tokio::test]
async fn every_type_with_its_own_caps() {
    let world = World::start().await;
    for (kind, max, tracks) in [
        ("group", 50, 170),
        ("go", 2, 0),
        ("peer-to-peer", 10, 0),
        ("group-small", 4, 170),
    ] {
        let answer = world.post("/v1/Rooms", &format!("Type={kind}")).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.text);
        let room = answer.json();
        assert_eq!(room["type"], kind);
        assert_eq!(room["max_participants"], max, "{kind}");
        assert_eq!(room["max_concurrent_published_tracks"], tracks, "{kind}");
        assert_eq!(room["video_codecs"], json!(["VP8", "H264"]));
        let most = world
            .post("/v1/Rooms", &format!("Type={kind}&MaxParticipants={max}"))
            .await;
        assert_eq!(most.json()["max_participants"], max, "{kind}");
    }
    // The server's own cap holds for all of them.
    let small = World::with(|settings| settings.rooms.max_participants = 3).await;
    for (kind, max) in [("group", 3), ("go", 2), ("peer-to-peer", 3), ("group-small", 3)] {
        let room = small.post("/v1/Rooms", &format!("Type={kind}")).await.json();
        assert_eq!(room["max_participants"], max, "{kind}");
    }
}

#[tokio::test]
async fn what_goes_with_a_type_and_what_does_not() {
    let world = World::start().await;
    for kind in ["go", "peer-to-peer", "group-small"] {
        refused(&world, &format!("Type={kind}&AudioOnly=true"), 53124).await;
        refused(&world, &format!("Type={kind}&LargeRoom=true"), 53114).await;
        refused(&world, &format!("Type={kind}&RecordParticipantsOnConnect=true"), 53122).await;
    }
    for kind in ["go", "peer-to-peer"] {
        refused(&world, &format!("Type={kind}&VideoCodecs=VP8"), 53114).await;
        refused(&world, &format!("Type={kind}&MediaRegion=us1"), 53114).await;
    }
    refused(&world, "AudioOnly=true&VideoCodecs=H264", 53114).await;
    for (form, member, value) in [
        (
            "Type=group-small&VideoCodecs=VP8&MediaRegion=us1",
            "video_codecs",
            json!(["VP8"]),
        ),
        ("AudioOnly=true", "audio_only", json!(true)),
        ("AudioOnly=true", "video_codecs", json!([])),
        ("LargeRoom=true&MaxParticipants=90", "large_room", json!(true)),
        ("LargeRoom=true&AudioOnly=true", "audio_only", json!(true)),
        ("EnableTurn=false", "enable_turn", json!(true)),
        (
            "VideoCodecs=H264&VideoCodecs=VP8",
            "video_codecs",
            json!(["H264", "VP8"]),
        ),
    ] {
        let answer = world.post("/v1/Rooms", form).await;
        assert_eq!(answer.status, 201, "{form}: {}", answer.text);
        assert_eq!(answer.json()[member], value, "{form}");
        let sid = answer.json()["sid"].as_str().unwrap().to_owned();
        assert_eq!(
            world.get(&format!("/v1/Rooms/{sid}")).await.json()[member],
            value,
            "{form}"
        );
    }
}

#[tokio::test]
async fn caps_and_regions_are_settings() {
    let world = World::with(|settings| {
        settings.rooms.max_participant_duration_s = 2_592_000;
        settings.rooms.accept_media_regions = vec!["de1".to_owned()];
    })
    .await;
    let room = world
        .post("/v1/Rooms", "MaxParticipantDuration=2592000&MediaRegion=de1")
        .await
        .json();
    assert_eq!(room["max_participant_duration"], 2_592_000);
    assert_eq!(room["media_region"], "us1", "it says where it really is");
    refused(&world, "MaxParticipantDuration=2592001", 53123).await;
    refused(&world, "MediaRegion=ie1", 53116).await;
    let short = World::with(|settings| settings.rooms.max_participant_duration_s = 900).await;
    let room = short.post("/v1/Rooms", "").await.json();
    assert_eq!(room["max_participant_duration"], 900);
}

#[tokio::test]
async fn names_are_unique_among_rooms_in_progress() {
    let (world, first) = create("UniqueName=daily").await;
    refused(&world, "UniqueName=daily", 53113).await;
    assert_eq!(world.post("/v1/Rooms", "UniqueName=Daily").await.status, 201);
    let completed = world.post("/v1/Rooms/daily", "Status=completed").await;
    assert_eq!(completed.status, 202, "{}", completed.text);
    let second = world.post("/v1/Rooms", "UniqueName=daily").await;
    assert_eq!(second.status, 201);
    assert_ne!(second.json()["sid"], first.json()["sid"]);
    assert_eq!(world.get("/v1/Rooms/daily").await.json()["sid"], second.json()["sid"]);
}

#[tokio::test]
async fn completing() {
    let (world, created) = create("UniqueName=daily").await;
    let sid = created.json()["sid"].as_str().unwrap().to_owned();
    for (form, code) in [
        ("", 20001),
        ("Status=", 20001),
        ("Status=in-progress", 53112),
        ("Status=failed", 53112),
    ] {
        assert_eq!(world.post("/v1/Rooms/daily", form).await.error(), (400, code), "{form}");
    }
    let completed = world.post("/v1/Rooms/daily", "Status=completed").await;
    assert_eq!(completed.status, 202);
    let room = completed.json();
    assert_eq!(
        (&room["status"], &room["date_updated"]),
        (&Value::from("completed"), &room["end_time"])
    );
    assert_eq!(world.get(&format!("/v1/Rooms/{sid}")).await.text, completed.text);
    // Its name is gone, and its end is final.
    assert_eq!(world.get("/v1/Rooms/daily").await.error(), (404, 20404));
    assert_eq!(
        world.post("/v1/Rooms/daily", "Status=completed").await.error(),
        (404, 20404)
    );
    assert_eq!(
        world
            .post(&format!("/v1/Rooms/{sid}"), "Status=completed")
            .await
            .error(),
        (400, 53112)
    );
    let unknown = room_sid(1);
    assert_eq!(
        world
            .post(&format!("/v1/Rooms/{unknown}"), "Status=completed")
            .await
            .error(),
        (404, 20404)
    );
}

#[tokio::test]
async fn lists_and_their_filters() {
    let world = World::start().await;
    let old = world.room(Some("daily"), 0).await;
    world.complete(old, 5).await;
    let older = world.room(Some("daily"), 10).await;
    world.complete(older, 15).await;
    let open = world.room(Some("daily"), 20).await;
    let other = world.room(None, 30).await;
    for (query, expected) in [
        ("", vec![other, open]),
        ("Status=in-progress", vec![other, open]),
        ("Status=completed", vec![older, old]),
        ("Status=failed", vec![]),
        ("UniqueName=daily", vec![open]),
        ("UniqueName=daily&Status=completed", vec![older, old]),
        (&*format!("UniqueName={other}"), vec![other]),
        ("UniqueName=weekly", vec![]),
        // On or after, and before.
        ("DateCreatedAfter=2017-07-30T20:00:20Z", vec![other, open]),
        ("DateCreatedAfter=2017-07-30T20:00:21Z", vec![other]),
        ("DateCreatedAfter=2017-07-30T20:00:20.5Z", vec![other]),
        ("DateCreatedBefore=2017-07-30T20:00:30Z", vec![open]),
        ("DateCreatedBefore=2017-07-30T20:00:30.5Z", vec![other, open]),
        (
            "DateCreatedAfter=2017-07-30&DateCreatedBefore=2017-07-31",
            vec![other, open],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(
            world.get(&format!("/v1/Rooms?{query}")).await.column("sid"),
            expected,
            "{query}"
        );
    }
    for query in [
        "Status=open",
        "DateCreatedAfter=x",
        "DateCreatedBefore=2017-02-30",
        "PageSize=0",
        "Page=-1",
    ] {
        let name = query.split('=').next().unwrap();
        let answer = world.get(&format!("/v1/Rooms?{query}")).await;
        assert_eq!(answer.error(), (400, 20001), "{query}");
        assert!(
            answer.json()["message"].as_str().unwrap().contains(name),
            "{}",
            answer.text
        );
    }
    let query = "UniqueName=daily&DateCreatedAfter=2017-01-01&Status=completed&PageSize=5000";
    let url = format!(
        "{}/v1/Rooms?Status=completed&DateCreatedAfter=2017-01-01&UniqueName=daily&PageSize=1000&Page=0",
        world.base()
    );
    assert_eq!(world.get(&format!("/v1/Rooms?{query}")).await.meta("url"), url);
}

#[tokio::test]
async fn slashes_at_the_end() {
    let world = World::start().await;
    let created = world.post("/v1/Rooms/", "UniqueName=daily").await;
    assert_eq!(created.status, 201);
    let sid = created.json()["sid"].as_str().unwrap().to_owned();
    assert_eq!(world.get("/v1/Rooms/").await.column("sid"), [sid.as_str()]);
    assert_eq!(
        world.get("/v1/Rooms/daily/").await.text,
        world.get("/v1/Rooms/daily").await.text
    );
    let list = world.get(&format!("/v1/Rooms/{sid}/Participants/")).await;
    assert_eq!(
        list.meta("url"),
        format!("{}/v1/Rooms/{sid}/Participants/?PageSize=50&Page=0", world.base())
    );
    assert_eq!(
        world.get("/v1/Rooms/daily/Participants/nobody/").await.error(),
        (404, 20404)
    );
    assert_eq!(world.post("/v1/Rooms/daily/", "Status=completed").await.status, 202);
}

#[tokio::test]
async fn forms_of_either_kind() {
    let world = World::start().await;
    let multipart = "--X\r\nContent-Disposition: form-data; name=\"UniqueName\"\r\n\r\ndaily é\r\n\
                     --X\r\nContent-Disposition: form-data; name=\"VideoCodecs\"\r\n\r\nVP8\r\n--X--\r\n";
    let header = "Content-Type: multipart/form-data; boundary=X".to_owned();
    let answer = world
        .raw(
            "POST",
            "/v1/Rooms",
            &[authorization(), header.clone()],
            multipart.as_bytes(),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        (&answer.json()["unique_name"], &answer.json()["video_codecs"]),
        (&json!("daily é"), &json!(["VP8"]))
    );
    for (headers, body, error) in [
        (vec![header.clone()], "--X\r\nContent-Disposition", (400, 20001)),
        (
            vec!["Content-Type: multipart/form-data".to_owned()],
            multipart,
            (400, 20001),
        ),
        (
            vec!["Content-Type: application/json".to_owned()],
            "{\"UniqueName\":\"x\"}",
            (415, 20001),
        ),
        (vec![], &*"a&".repeat(101), (400, 20001)),
        (vec![], &*"a".repeat(64 * 1024 + 1), (413, 20001)),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([authorization()]).collect();
        let answer = world.raw("POST", "/v1/Rooms", &headers, body.as_bytes()).await;
        assert_eq!(answer.error(), error, "{headers:?}");
    }
    let charset = "content-type: Application/X-WWW-Form-Urlencoded; charset=utf-8".to_owned();
    let answer = world
        .raw("POST", "/v1/Rooms", &[authorization(), charset], b"UniqueName=weekly")
        .await;
    assert_eq!(answer.json()["unique_name"], "weekly");
}

#[tokio::test]
async fn urls_begin_with_what_the_request_names_or_with_what_is_set() {
    let world = World::start().await;
    let named = world
        .raw("GET", "http://video.example:81/v1/Rooms", &[authorization()], b"")
        .await;
    assert_eq!(named.meta("url"), "http://video.example:81/v1/Rooms?PageSize=50&Page=0");
    let set = World::with(|settings| settings.public_url = Some("https://video.example.com".to_owned())).await;
    let answer = set.get("/v1/Rooms").await;
    assert_eq!(
        answer.meta("url"),
        "https://video.example.com/v1/Rooms?PageSize=50&Page=0"
    );
    let room = set.post("/v1/Rooms", "").await.json();
    assert_eq!(
        room["links"]["participants"],
        format!("{}/Participants", room["url"].as_str().unwrap())
    );
    assert!(
        room["url"]
            .as_str()
            .unwrap()
            .starts_with("https://video.example.com/v1/Rooms/RM")
    );
}
