//! What breaks each invariant.

const ALICE_SID: &str = "PA11111111111111111111111111111111";
const OPEN_SID: &str = "RM01010101010101010101010101010101";
const OVER_SID: &str = "RM02020202020202020202020202020202";
const BOB_SID: &str = "PA12121212121212121212121212121212";
const CAROL_SID: &str = "PA13131313131313131313131313131313";

/// For each invariant of rows what breaks it in either database, once nothing there prevents it, the row that is named
/// then, and other invariants that break with it.
pub(crate) const BROKEN: &[(&str, &str, &str, &[&str])] = &[
    (
        "references",
        "INSERT INTO attempts (outbox_id, at_us, status) VALUES (999, 0, 200)",
        "attempts 3",
        &[],
    ),
    ("epochs", "UPDATE rooms SET epoch = 0 WHERE id = 1", OPEN_SID, &[]),
    (
        "room-times",
        "UPDATE rooms SET ended_us = created_us - 1 WHERE id = 2",
        OVER_SID,
        &["room-events"],
    ),
    (
        "room-times",
        "UPDATE rooms SET duration_s = NULL WHERE id = 2",
        OVER_SID,
        &["room-events", "integrity"],
    ),
    (
        "room-order",
        "UPDATE accounts SET last_room_us = (SELECT created_us FROM rooms WHERE id = 1)",
        OVER_SID,
        &[],
    ),
    (
        "participant-times",
        "UPDATE participants SET ended_us = created_us - 1 WHERE identity = 'bob'",
        BOB_SID,
        &["participant-events", "integrity"],
    ),
    (
        "participant-times",
        "UPDATE participants SET status = 'connected' WHERE identity = 'carol'",
        CAROL_SID,
        &["integrity"],
    ),
    (
        "participant-order",
        "UPDATE rooms SET last_participant_us = created_us WHERE id = 2",
        CAROL_SID,
        &[],
    ),
    (
        "participant-order",
        "UPDATE participants SET created_us = (SELECT created_us FROM participants WHERE identity = 'alice')
         WHERE identity = 'bob'",
        BOB_SID,
        &["participant-events"],
    ),
    (
        "identity-live-once",
        "DROP INDEX participants_live_identity;
         UPDATE participants SET identity = 'alice', status = 'connected', ended_us = NULL, duration_s = NULL
         WHERE identity = 'bob'",
        BOB_SID,
        &["participant-events"],
    ),
    (
        "nobody-in-completed-rooms",
        "UPDATE participants SET status = 'reconnecting', ended_us = NULL, duration_s = NULL
         WHERE identity = 'carol'",
        CAROL_SID,
        &["participant-events"],
    ),
    (
        "track-times",
        "UPDATE tracks SET ended_us = created_us - 1 WHERE id = 2",
        "MT22222222222222222222222222222222",
        &[],
    ),
    (
        "tracks-end",
        "UPDATE tracks SET ended_us = NULL WHERE id = 2",
        "MT22222222222222222222222222222222",
        &["track-events"],
    ),
    (
        "rules-in-order",
        "INSERT INTO subscribe_rules (participant_id, place, effect, is_all) VALUES (1, 1, 'include', true)",
        ALICE_SID,
        &[],
    ),
    (
        "rules-in-order",
        "INSERT INTO subscribe_rules (participant_id, place, effect, is_all) VALUES (1, 0, 'include', false)",
        ALICE_SID,
        &["integrity"],
    ),
    (
        "events-without-gaps",
        "DELETE FROM outbox WHERE event_id IN (SELECT id FROM events WHERE room_id = 1 AND kind = 'track-removed');
         DELETE FROM events WHERE room_id = 1 AND kind = 'track-removed'",
        OPEN_SID,
        &[],
    ),
    (
        "events-without-gaps",
        "UPDATE rooms SET next_seq = next_seq + 1 WHERE id = 1",
        OPEN_SID,
        &[],
    ),
    (
        "room-events",
        "UPDATE events SET kind = 'room-ended' WHERE room_id = 1 AND seq = 0",
        OPEN_SID,
        &[],
    ),
    (
        "room-events",
        "UPDATE events SET duration_s = 99 WHERE room_id = 2 AND kind = 'room-ended'",
        OVER_SID,
        &[],
    ),
    (
        "participant-events",
        "UPDATE events SET kind = 'participant-connected', duration_s = NULL, at_us = (SELECT created_us
             FROM participants WHERE identity = 'carol')
         WHERE room_id = 2 AND kind = 'participant-disconnected'",
        CAROL_SID,
        &[],
    ),
    (
        "participant-events",
        "UPDATE participants SET duration_s = 4 WHERE identity = 'bob'",
        BOB_SID,
        &[],
    ),
    (
        "track-events",
        "UPDATE events SET kind = 'track-enabled' WHERE kind = 'track-added' AND track_id = 1",
        "MT21212121212121212121212121212121",
        &[],
    ),
    (
        "events-of-their-room",
        "UPDATE events SET participant_id = 2 WHERE kind = 'track-added' AND track_id = 1",
        OPEN_SID,
        &[],
    ),
    (
        "callbacks-of-events",
        "UPDATE outbox SET room_id = 1 WHERE room_id = 2 AND state = 'delivered'",
        OPEN_SID,
        &["callbacks-in-order"],
    ),
    (
        "callbacks-in-order",
        "UPDATE outbox SET state = 'waiting' WHERE room_id = 2 AND state = 'due'",
        OVER_SID,
        &[],
    ),
    (
        "callbacks-in-order",
        "UPDATE outbox SET state = 'given-up', attempts = 1 WHERE room_id = 1 AND id = (SELECT max(id) FROM outbox
             WHERE room_id = 1);
         INSERT INTO attempts (outbox_id, at_us, status) SELECT max(id), 0, 500 FROM outbox WHERE room_id = 1",
        OPEN_SID,
        &[],
    ),
    (
        "attempts-counted",
        "UPDATE outbox SET attempts = 7 WHERE room_id = 1 AND state = 'delivered'",
        OPEN_SID,
        &[],
    ),
];
