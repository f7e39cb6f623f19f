//! Publishing, muting, ranking and unpublishing, and what is refused.

use room::{Priority, RoomConfig, limits};

use crate::world::{World, audio, config, data, listed, muted, named, ranked, video};

#[test]
fn a_published_track_is_told_to_its_publisher_and_the_others() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.join("bob", []);
    world.skip();
    world.tracks(alice, [named("microphone", audio("a1"))]);
    world.check(&[
        "persist 3: alice publishes a1=microphone",
        "tell alice: published@2 [a1]",
        "tell bob: alice@2 connected [a1=microphone]",
        "subscribe bob: [alice/a1]",
    ]);
}

#[test]
fn a_track_keeps_its_sid_while_it_changes() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic"), video("cam")]);
    world.join("bob", []);
    world.skip();
    world.tracks(alice, [muted(audio("mic")), video("cam")]);
    world.check(&[
        "persist 3: alice mutes",
        "tell alice: published@2 [mic, cam]",
        "tell bob: alice@2 connected [mic muted, cam]",
    ]);
    world.tracks(alice, [audio("mic"), video("cam")]);
    world.check(&[
        "persist 4: alice unmutes",
        "tell alice: published@3 [mic, cam]",
        "tell bob: alice@3 connected [mic, cam]",
    ]);
    world.tracks(alice, [audio("mic"), ranked(Priority::High, muted(video("cam")))]);
    world.check(&[
        "persist 5: alice mutes, alice ranks high",
        "tell alice: published@4 [mic, cam]",
        "tell bob: alice@4 connected [mic, cam muted high]",
    ]);
}

#[test]
fn an_unpublished_track_is_gone_for_everybody() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic"), video("cam")]);
    world.join("bob", []);
    world.skip();
    world.tracks(alice, [video("cam")]);
    world.check(&[
        "persist 3: alice unpublishes",
        "tell alice: published@2 [cam]",
        "tell bob: alice@2 connected [cam]",
        "subscribe bob: [alice/cam]",
    ]);
}

#[test]
fn a_track_may_come_muted_and_ranked() {
    let mut world = World::new(config());
    world.join("alice", [ranked(Priority::Low, muted(video("cam")))]);
    world.check(&[
        "persist 1: alice connects, alice publishes cam muted low",
        "admit alice: others [], published@1 [cam], receives []",
    ]);
}

#[test]
fn a_data_track_is_never_muted() {
    let mut world = World::new(config());
    let alice = world.join("alice", [muted(data("chat"))]);
    world.check(&[
        "persist 1: alice connects, alice publishes chat",
        "admit alice: others [], published@1 [chat], receives []",
    ]);
    world.tracks(alice, [muted(data("chat"))]);
    world.check(&[]);
}

#[test]
fn name_and_kind_of_a_track_are_fixed() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.skip();
    world.tracks(alice, [named("other", video("mic"))]);
    world.check(&[]);
}

#[test]
fn a_list_that_is_not_newer_is_ignored() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.tracks_at(5, alice, [audio("mic"), video("cam")]);
    world.skip();
    world.tracks_at(5, alice, []);
    world.tracks_at(4, alice, []);
    world.check(&[]);
    world.tracks_at(6, alice, [video("cam")]);
    world.check(&["persist 3: alice unpublishes", "tell alice: published@3 [cam]"]);
}

#[test]
fn a_newer_list_of_the_same_tracks_changes_nothing() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    world.tracks(alice, [audio("mic")]);
    world.check(&[]);
}

#[test]
fn names_are_unique_within_a_participant_only() {
    let mut world = World::new(config());
    world.join("alice", [audio("mic")]);
    world.skip();
    world.join("bob", [audio("mic"), named("mic", video("cam"))]);
    world.check(&[
        "persist 2: bob connects, bob publishes mic",
        "admit bob: others [alice@1 connected [mic]], published@1 [mic], cam NameDuplicated, receives [alice/mic]",
        "tell alice: bob@1 connected [mic]",
        "subscribe alice: [bob/mic]",
    ]);
}

#[test]
fn a_name_is_free_for_its_heir_in_the_same_list() {
    let mut world = World::new(config());
    let alice = world.join("alice", [named("camera", video("c1"))]);
    world.skip();
    world.tracks(alice, [named("camera", video("c2"))]);
    world.check(&[
        "persist 2: alice unpublishes, alice publishes c2=camera",
        "tell alice: published@2 [c2]",
    ]);
}

#[test]
fn each_fault_has_its_name() {
    let long = "n".repeat(limits::TRACK_NAME_CHARS + 1);
    let id = "i".repeat(limits::MEDIA_ID_BYTES + 1);
    for (track, line) in [
        (named("x", audio("")), "tell alice: published@2 [],  Invalid"),
        (named("x", audio(&id)), "tell alice: published@2 [], long Invalid"),
        (named(&long, audio("a")), "tell alice: published@2 [], a NameTooLong"),
        (named("a\0b", audio("a")), "tell alice: published@2 [], a NameChars"),
    ] {
        let mut world = World::new(config());
        let alice = world.join("alice", []);
        world.join("bob", []);
        world.skip();
        world.tracks(alice, [track]);
        world.check(&[line]);
    }
}

#[test]
fn the_longest_name_counts_characters_and_the_longest_id_bytes() {
    let name = "é".repeat(limits::TRACK_NAME_CHARS);
    let id = "i".repeat(limits::MEDIA_ID_BYTES);
    let mut world = World::new(config());
    world.join("alice", [named(&name, audio("a")), named("b", audio(&id))]);
    world.check(&[
        &format!("persist 1: alice connects, alice publishes a={name}, alice publishes {id}=b"),
        &format!("admit alice: others [], published@1 [a, {id}], receives []"),
    ]);
}

#[test]
fn a_participant_has_only_so_many_tracks() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.skip();
    let many: Vec<_> = (0..=limits::TRACKS_PER_PARTICIPANT)
        .map(|index| listed(room::TrackKind::Data, &index.to_string()))
        .collect();
    world.tracks(alice, many.clone());
    let ready = (0..limits::TRACKS_PER_PARTICIPANT).map(|index| index.to_string());
    let ready = ready.collect::<Vec<_>>().join(", ");
    let published: Vec<_> = ready.split(", ").map(|id| format!("alice publishes {id}")).collect();
    world.check(&[
        &format!("persist 2: {}", published.join(", ")),
        &format!("tell alice: published@2 [{ready}], 64 TooMany"),
    ]);
    world.tracks(alice, &many[limits::TRACKS_PER_PARTICIPANT - 1..]);
    world.skip();
    world.tracks(alice, &many[..1]);
    world.skip();
    world.tracks(alice, &many[limits::TRACKS_PER_PARTICIPANT..]);
    world.check(&[
        "persist 5: alice unpublishes, alice publishes 64",
        "tell alice: published@5 [64]",
    ]);
}

#[test]
fn a_refused_track_is_told_once_and_concerns_nobody_else() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    let twice = || [audio("mic"), named("mic", video("cam"))];
    world.tracks(alice, twice());
    world.check(&["tell alice: published@2 [mic], cam NameDuplicated"]);
    world.tracks(alice, twice());
    world.check(&[]);
}

#[test]
fn a_refused_track_that_was_taken_off_the_list_may_try_again() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic"), named("mic", video("cam"))]);
    world.skip();
    world.tracks(alice, [audio("mic")]);
    world.check(&[]);
    world.tracks(alice, [audio("mic"), named("camera", video("cam"))]);
    world.check(&[
        "persist 2: alice publishes cam=camera",
        "tell alice: published@2 [mic, cam]",
    ]);
}

#[test]
fn of_two_tracks_with_one_media_id_the_first_counts() {
    let mut world = World::new(config());
    world.join("alice", [audio("mic"), named("again", muted(audio("mic")))]);
    world.check(&[
        "persist 1: alice connects, alice publishes mic",
        "admit alice: others [], published@1 [mic], receives []",
    ]);
}

#[test]
fn a_list_of_a_stranger_is_ignored() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.leave(alice);
    world.skip();
    world.tracks(alice, [audio("mic")]);
    world.check(&[]);
}

#[test]
fn an_audio_only_room_refuses_video_and_takes_the_rest() {
    let mut world = World::new(RoomConfig {
        audio_only: true,
        ..config()
    });
    let alice = world.join("alice", [audio("mic"), video("camera"), data("chat")]);
    world.check(&[
        "persist 1: alice connects, alice publishes mic, alice publishes chat",
        "admit alice: others [], published@1 [mic, chat], camera KindNotSupported, receives []",
    ]);
    world.tracks(alice, [audio("mic"), video("camera"), data("chat"), video("screen")]);
    world.check(&["tell alice: published@2 [mic, chat], screen KindNotSupported"]);
}

#[test]
fn a_track_without_a_codec_is_refused() {
    let mut world = World::new(config());
    let hopeless = room::AnnouncedTrack {
        has_codec: false,
        ..video("camera")
    };
    world.join("alice", [audio("mic"), hopeless]);
    world.check(&[
        "persist 1: alice connects, alice publishes mic",
        "admit alice: others [], published@1 [mic], camera NoCodec, receives []",
    ]);
}
