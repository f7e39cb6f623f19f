//! What a participant with real DTLS and SRTP keys sends: what it may and too much of it, and what it may not.

use std::sync::Arc;
use std::time::Duration;

use negotiation::{Layer, NegotiatedSession, Receive, Section};
use testkit::media::{Heard, Video};
use testkit::mutate::{Attacks, Dice};
use tokio::task::block_in_place;

use crate::World;
use crate::call::Member;

/// Datagrams of each kind in a round.
const EACH: usize = 100;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One who joins the call's room, attacks, and goes away without a word.
pub(crate) async fn attack(world: &World, number: u32, dice: &mut Dice, attacks: &mut Attacks) {
    let mallory = Member::attacker(world, number).await;
    let (_, cam) = mallory.sends;
    let seen = block_in_place(|| {
        // Section 1 carries the camera of a member of the call from the first answer on.
        let seen = mallory.receives(true).expect("a member's camera");
        let hears = |heard: &Heard| heard.count(seen) > 30 && heard.sent.len() > 200;
        assert!(mallory.media.wait(PATIENCE, hears), "media flows both ways");
        seen
    });
    channels(&mallory, dice, attacks);
    let own = mallory.media.heard().sent;
    mallory.media.record(false);
    for kinds in [20..=63_u8, 128..=191] {
        assert!(own.iter().any(|datagram| kinds.contains(&datagram[0])));
    }
    // Of what it is sent it reads one in eight, and asks for the rest again and again.
    mallory.media.read_one_in(8);
    for sent in 0..EACH {
        let original = dice.choose(&own).unwrap().clone();
        let mut undeclared = original.clone();
        if undeclared.len() > 12 {
            undeclared[8..12].copy_from_slice(&(dice.any() as u32).to_be_bytes());
        }
        for (kind, datagram) in [
            ("keys: replayed", original.clone()),
            ("keys: mutated", dice.bytes(&original)),
            ("keys: SSRC replaced", undeclared),
        ] {
            mallory.media.send_raw(&datagram);
            attacks.count(kind);
        }
        let payload: Vec<u8> = (0..dice.below(60)).map(|_| dice.any() as u8).collect();
        let payload_type = [96, 97, 111, dice.below(128) as u8][dice.below(4)];
        mallory.media.send_payload(cam, payload_type, &payload);
        attacks.count("keys: broken payload descriptor");
        mallory.media.request_keyframe(seen);
        mallory.media.request_intra(seen);
        attacks.count("keys: PLI and FIR");
        // Slower than any machine reads: a full socket buffer would lose frames of the call, too.
        if sent % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    undeclared_streams(&mallory, attacks);
    attacks.count("keys: everything asked for again");
    mallory.vanish();
}

/// More channels than one may have, and messages larger than may be sent.
fn channels(mallory: &Member, dice: &mut Dice, attacks: &mut Attacks) {
    for number in 0..300 {
        let limit = Some(0).filter(|_| number % 3 == 0);
        mallory
            .media
            .open_channel(&format!("c{number}"), number % 2 == 0, limit);
        attacks.count("keys: data channel");
    }
    let open = |heard: &Heard| !heard.channels.is_empty();
    assert!(
        block_in_place(|| mallory.media.wait(PATIENCE, open)),
        "a channel is open"
    );
    let label = mallory.media.heard().channels[0].0.clone();
    for _ in 0..4 {
        mallory
            .media
            .send_message(&label, true, &vec![7; 200_000 + dice.below(200_000)]);
        // Its own client may refuse to write so much; then nothing of it arrives.
        attacks.count("keys: huge message tried");
    }
}

/// Streams, well encrypted, that its description did not name.
fn undeclared_streams(mallory: &Member, attacks: &mut Attacks) {
    const SOUND: u32 = 77_000;
    const PICTURES: u32 = 77_010;
    let mut session = NegotiatedSession::clone(&mallory.session);
    session.number += 1000;
    for (section, ssrc) in session.sections.iter_mut().zip([SOUND, PICTURES]) {
        let secret = Receive {
            track_id: "secret".into(),
            layers: vec![Layer { ssrc, rtx: None }],
        };
        *section = Section {
            receive: Some(secret),
            ..section.clone()
        };
    }
    mallory.media.record(true);
    mallory.media.apply(&Arc::new(session));
    mallory.media.send_audio(SOUND, 111);
    mallory.media.send_video(&[PICTURES], 96, Video::new(2, 500, 1));
    let of = |datagram: &Vec<u8>, ssrc: u32| datagram[0] >= 128 && datagram.get(8..12) == Some(&ssrc.to_be_bytes()[..]);
    let sent = |heard: &Heard| {
        let count = |ssrc| heard.sent.iter().filter(|datagram| of(datagram, ssrc)).count();
        count(SOUND) >= EACH / 2 && count(PICTURES) >= EACH / 2
    };
    assert!(block_in_place(|| mallory.media.wait(PATIENCE, sent)), "they are sent");
    for _ in 0..EACH {
        attacks.count("keys: undeclared stream");
    }
}
