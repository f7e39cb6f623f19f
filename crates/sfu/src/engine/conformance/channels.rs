//! Data channels.

use std::time::Duration;

use negotiation::DtlsRole;
use testkit::media::Order;

use super::super::{ChannelHandle, Delivery, Engine, Engines, Reliability, Written};
use super::world::{World, both_ways};
use crate::limits;

fn reliability(ordered: bool, limit: Delivery) -> Reliability {
    Reliability {
        ordered,
        limit,
        protocol: String::new(),
    }
}

fn connected<F: Engines>(engines: &F, role: DtlsRole) -> World<F::Engine> {
    let mut world = World::new(engines, role, |session| {
        both_ways(session);
        session.data();
    });
    world.connect();
    world
}

/// Opens a channel and waits until both have it.
fn open<E: Engine>(world: &mut World<E>, label: &str, reliability: Reliability) -> ChannelHandle {
    let channel = world.engine.open_channel(label, reliability);
    world.handle_timeout();
    assert!(world.until(|world| {
        world.channels.iter().any(|(open, ..)| *open == channel)
            && world.heard.channels.iter().any(|(open, ..)| open == label)
    }));
    channel
}

/// Lets the client open a channel and waits until both have it.
fn opened<E: Engine>(world: &mut World<E>, label: &str, ordered: bool, retransmits: Option<u16>) -> ChannelHandle {
    world.order(Order::OpenChannel {
        label: label.into(),
        ordered,
        retransmits,
    });
    let find = |world: &World<E>| {
        world
            .channels
            .iter()
            .find(|(_, open, _)| open == label)
            .map(|(channel, ..)| *channel)
    };
    assert!(world.until(|world| find(world).is_some() && world.heard.channels.iter().any(|(open, ..)| open == label)));
    find(world).unwrap()
}

pub(super) fn messages_go_both_ways<F: Engines>(engines: &F) {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let mut world = connected(engines, role);
        let ours = open(&mut world, "ours", reliability(true, Delivery::Reliable));
        let theirs = opened(&mut world, "theirs", true, None);
        assert_ne!(ours, theirs);
        assert_eq!(world.engine.write_channel(ours, false, b"hello"), Written::Accepted);
        assert_eq!(world.engine.write_channel(theirs, true, b"answer"), Written::Accepted);
        world.handle_timeout();
        world.order(Order::Send {
            label: "theirs".into(),
            binary: true,
            bytes: vec![1, 2, 3],
        });
        world.order(Order::Send {
            label: "ours".into(),
            binary: false,
            bytes: b"text".to_vec(),
        });
        assert!(world.until(|world| world.messages.len() == 2 && world.heard.messages.len() == 2));
        assert!(world.messages.contains(&(theirs, true, vec![1, 2, 3])));
        assert!(world.messages.contains(&(ours, false, b"text".to_vec())));
        let heard = |label: &str| {
            world
                .heard
                .messages
                .iter()
                .find(|message| message.label == label)
                .unwrap()
        };
        assert_eq!((heard("ours").binary, &heard("ours").bytes[..]), (false, &b"hello"[..]));
        assert_eq!(
            (heard("theirs").binary, &heard("theirs").bytes[..]),
            (true, &b"answer"[..])
        );
    }
}

pub(super) fn channels_keep_their_reliability<F: Engines>(engines: &F) {
    let mut world = connected(engines, DtlsRole::Server);
    for (number, (ordered, limit)) in [
        (true, Delivery::Reliable),
        (false, Delivery::Reliable),
        (true, Delivery::Retransmits(0)),
        (false, Delivery::Retransmits(3)),
        (true, Delivery::LifetimeMs(500)),
    ]
    .into_iter()
    .enumerate()
    {
        let label = format!("ours{number}");
        open(&mut world, &label, reliability(ordered, limit));
        let (_, told_order, told_limit) = world.heard.channels.iter().find(|(open, ..)| *open == label).unwrap();
        let retransmits = match limit {
            Delivery::Retransmits(retransmits) => Some(retransmits),
            _ => None,
        };
        assert_eq!((*told_order, *told_limit), (ordered, retransmits));
    }
    for (label, ordered, retransmits) in [("a", true, None), ("b", false, Some(2))] {
        let channel = opened(&mut world, label, ordered, retransmits);
        let (.., told) = world.channels.iter().find(|(open, ..)| *open == channel).unwrap();
        let limit = retransmits.map_or(Delivery::Reliable, Delivery::Retransmits);
        assert_eq!((told.ordered, told.limit), (ordered, limit));
    }
    // Over a wire that loses, what is reliable comes, in order.
    let channel = open(&mut world, "sure", reliability(true, Delivery::Reliable));
    let mut count = 0;
    world.fate = Box::new(move |_, datagram| {
        count += 1;
        usize::from(!(20..64).contains(&datagram[0]) || count % 5 != 0)
    });
    for number in 0..50_u8 {
        assert_eq!(
            world.engine.write_channel(channel, true, &[number; 400]),
            Written::Accepted
        );
        world.handle_timeout();
    }
    assert!(world.until(|world| world.heard.messages.len() == 50));
    let numbers: Vec<u8> = world.heard.messages.iter().map(|message| message.bytes[0]).collect();
    assert!(numbers.iter().copied().eq(0..50));
}

pub(super) fn a_channel_closes_from_either_side<F: Engines>(engines: &F) {
    let mut world = connected(engines, DtlsRole::Server);
    let ours = open(&mut world, "ours", reliability(true, Delivery::Reliable));
    let theirs = opened(&mut world, "theirs", true, None);
    world.engine.close_channel(ours);
    world.handle_timeout();
    assert!(world.until(|world| world.heard.closed_channels == ["ours"] && world.closed_channels == [ours]));
    assert_eq!(world.engine.write_channel(ours, true, b"late"), Written::Closed);
    world.order(Order::CloseChannel { label: "theirs".into() });
    assert!(world.until(|world| world.closed_channels == [ours, theirs]));
    assert_eq!(world.engine.write_channel(theirs, true, b"late"), Written::Closed);
    // Streams are free again.
    for round in 0..5 {
        let channel = open(
            &mut world,
            &format!("again{round}"),
            reliability(true, Delivery::Reliable),
        );
        world.engine.close_channel(channel);
        world.handle_timeout();
        assert!(world.until(|world| world.closed_channels.last() == Some(&channel)));
        let channel = opened(&mut world, &format!("theirs{round}"), true, None);
        world.order(Order::CloseChannel {
            label: format!("theirs{round}"),
        });
        assert!(world.until(|world| world.closed_channels.last() == Some(&channel)));
    }
    assert_eq!(world.closed, 0);
}

pub(super) fn large_messages_are_whole<F: Engines>(engines: &F) {
    // What may be sent to those who do not say how much they take (RFC 8841 section 6.1).
    messages_are_whole(engines, &[65_536]);
}

/// The library's engine is not told how much the client takes, and sends no more than 64 KiB; and nothing for nothing.
pub(super) fn the_largest_and_the_empty_message_are_whole<F: Engines>(engines: &F) {
    messages_are_whole(engines, &[limits::MESSAGE_BYTES_MAX, 0, 1]);
}

fn messages_are_whole<F: Engines>(engines: &F, sizes: &[usize]) {
    let mut world = connected(engines, DtlsRole::Server);
    let ours = open(&mut world, "ours", reliability(true, Delivery::Reliable));
    opened(&mut world, "theirs", true, None);
    let bytes = |size: usize| -> Vec<u8> { (0..size).map(|index| (index * 7) as u8).collect() };
    for size in sizes {
        let written = world.engine.write_channel(ours, *size > 1, &bytes(*size));
        assert_eq!(written, Written::Accepted);
    }
    world.handle_timeout();
    world.order(Order::Send {
        label: "theirs".into(),
        binary: true,
        bytes: bytes(60_000),
    });
    assert!(world.until(|world| world.heard.messages.len() == sizes.len() && world.messages.len() == 1));
    for (message, size) in world.heard.messages.iter().zip(sizes) {
        assert!(message.bytes == bytes(*size) && message.binary == (*size > 1));
    }
    assert!(world.messages[0].2 == bytes(60_000));
}

pub(super) fn a_full_channel_tells_when_there_is_room<F: Engines>(engines: &F) {
    let mut world = connected(engines, DtlsRole::Server);
    let channel = open(&mut world, "ours", reliability(true, Delivery::Reliable));
    let message = vec![7; 64 << 10];
    let mut accepted = 0;
    while world.engine.write_channel(channel, true, &message) == Written::Accepted {
        accepted += 1;
        assert!(accepted * message.len() <= limits::CHANNEL_BUFFER_BYTES_MAX);
    }
    assert!(accepted * message.len() > limits::CHANNEL_BUFFER_BYTES_MAX / 2);
    assert_eq!(world.engine.write_channel(channel, true, &message), Written::Full);
    world.handle_timeout();
    assert!(world.until(|world| world.writable == [channel]));
    assert_eq!(world.engine.write_channel(channel, true, &message), Written::Accepted);
    world.handle_timeout();
    assert!(world.until(|world| world.heard.messages.len() == accepted + 1));
}

pub(super) fn a_channel_asked_for_early_opens_later<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.session.data();
    let early = world
        .engine
        .open_channel("early", reliability(true, Delivery::Reliable));
    let unwanted = world
        .engine
        .open_channel("unwanted", reliability(true, Delivery::Reliable));
    world.engine.close_channel(unwanted);
    assert_eq!(world.engine.write_channel(early, true, b"x"), Written::Closed);
    world.run(Duration::from_millis(100));
    world.apply();
    assert!(world.until(|world| world.channels.iter().any(|(channel, ..)| *channel == early)));
    world.run(Duration::from_secs(2));
    assert!(world.channels.iter().all(|(channel, ..)| *channel != unwanted));
}
