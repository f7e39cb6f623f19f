//! Data channels of data tracks.

use negotiation::DtlsRole;

use crate::world::{PATIENCE, Peer, World, data};

fn connected(world: &mut World, role: DtlsRole) -> Peer {
    let mut peer = world.peer_as(role);
    peer.session.data();
    world.apply(&mut peer);
    assert!(peer.client.wait(PATIENCE, |heard| heard.connected));
    peer
}

#[test]
fn messages_pass_both_ways_with_the_publishers_reliability() {
    let mut world = World::new();
    let alice = connected(&mut world, DtlsRole::Server);
    let bob = connected(&mut world, DtlsRole::Client);
    // One channel before its route, one after.
    alice.client.open_channel("a-data", false, Some(3));
    assert!(alice.client.wait(PATIENCE, |heard| heard.channels.len() == 1));
    world.subscribe(&bob, vec![data(&alice, "a-data", "from-alice")]);
    world.subscribe(&alice, vec![data(&bob, "b-data", "from-bob")]);
    bob.client.open_channel("b-data", true, None);
    assert!(bob.client.wait(PATIENCE, |heard| heard.channels.contains(&(
        "from-alice".into(),
        false,
        Some(3)
    ))));
    assert!(alice.client.wait(PATIENCE, |heard| heard.channels.contains(&(
        "from-bob".into(),
        true,
        None
    ))));

    // His channel may be open at the server, and to her, before he knows that it is.
    let is_his = |(label, ..): &(String, bool, Option<u16>)| label == "b-data";
    assert!(bob.client.wait(PATIENCE, |heard| heard.channels.iter().any(is_his)));

    let large = vec![7; 60_000];
    alice.client.send_message("a-data", false, "grüße".as_bytes());
    alice.client.send_message("a-data", true, &[0, 1, 255]);
    bob.client.send_message("b-data", true, &large);
    bob.client.send_message("b-data", false, b"last");
    assert!(bob.client.wait(PATIENCE, |heard| heard.messages.len() == 2));
    assert!(alice.client.wait(PATIENCE, |heard| heard.messages.len() == 2));
    let to_bob = bob.client.heard().messages;
    assert!(
        to_bob
            .iter()
            .any(|m| m.label == "from-alice" && !m.binary && m.bytes == "grüße".as_bytes())
    );
    assert!(to_bob.iter().any(|m| m.binary && m.bytes == [0, 1, 255]));
    let to_alice = alice.client.heard().messages;
    assert!(to_alice[0].binary && to_alice[0].bytes == large);
    assert!(!to_alice[1].binary && to_alice[1].bytes == b"last");

    alice.client.close_channel("a-data");
    assert!(bob.client.wait(PATIENCE, |heard| {
        heard.closed_channels.contains(&"from-alice".to_owned())
    }));
    world.subscribe(&alice, Vec::new());
    assert!(
        alice
            .client
            .wait(PATIENCE, |heard| heard.closed_channels.contains(&"from-bob".to_owned()))
    );
}
