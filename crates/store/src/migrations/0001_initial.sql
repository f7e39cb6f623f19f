-- The first schema: accounts and secrets, rooms, participants, tracks, events, outbox, attempts.

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    sid BLOB NOT NULL
        CONSTRAINT accounts_sid UNIQUE
        CONSTRAINT accounts_sid_length CHECK (length(sid) = 16),
    -- `created_us` of its newest room: those of its rooms strictly increase.
    last_room_us INTEGER
) STRICT;

CREATE TABLE account_secrets (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id),
    auth_token TEXT NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    sid BLOB NOT NULL
        CONSTRAINT api_keys_sid UNIQUE
        CONSTRAINT api_keys_sid_length CHECK (length(sid) = 16),
    account_id INTEGER NOT NULL REFERENCES accounts (id)
) STRICT;

CREATE TABLE api_key_secrets (
    api_key_id INTEGER PRIMARY KEY REFERENCES api_keys (id),
    secret TEXT NOT NULL
) STRICT;

-- Secrets of the installation, made once.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
        CONSTRAINT secrets_value_length CHECK (length(value) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    sid BLOB NOT NULL
        CONSTRAINT rooms_sid UNIQUE
        CONSTRAINT rooms_sid_length CHECK (length(sid) = 16),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    -- The unique name, or the text of the SID where none was given.
    name TEXT NOT NULL,
    named INTEGER NOT NULL
        CONSTRAINT rooms_named_word CHECK (named IN (0, 1)),
    status TEXT NOT NULL
        CONSTRAINT rooms_status_word CHECK (status IN ('in-progress', 'completed')),
    ad_hoc INTEGER NOT NULL
        CONSTRAINT rooms_ad_hoc_word CHECK (ad_hoc IN (0, 1)),
    status_callback TEXT,
    status_callback_method TEXT NOT NULL
        CONSTRAINT rooms_method_word CHECK (status_callback_method IN ('GET', 'POST')),
    max_participants INTEGER NOT NULL,
    max_participant_duration_s INTEGER NOT NULL,
    empty_room_timeout_min INTEGER NOT NULL,
    unused_room_timeout_min INTEGER NOT NULL,
    -- In the order given, with commas between.
    video_codecs TEXT NOT NULL,
    media_region TEXT,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    ended_us INTEGER,
    duration_s INTEGER
        CONSTRAINT rooms_duration_sign CHECK (duration_s >= 0),
    -- Raised by each process that takes the room over; each write names it.
    epoch INTEGER NOT NULL,
    -- `seq` of the room's next event.
    next_seq INTEGER NOT NULL,
    -- `created_us` of its newest participant; NULL: nobody ever joined.
    last_participant_us INTEGER,
    -- `created_us` of its newest track.
    last_track_us INTEGER,
    -- The latest end of a participant.
    last_left_us INTEGER,
    CONSTRAINT rooms_ended_once CHECK (
        (status = 'completed') = (ended_us IS NOT NULL)
        AND (ended_us IS NULL) = (duration_s IS NULL)
    )
) STRICT;

-- Names are unique among what is in progress (error 53113).
CREATE UNIQUE INDEX rooms_in_progress ON rooms (account_id, name) WHERE ended_us IS NULL;
CREATE INDEX rooms_listed ON rooms (account_id, status, created_us, sid);
CREATE INDEX rooms_listed_by_name ON rooms (account_id, name, status, created_us, sid);

CREATE TABLE participants (
    id INTEGER PRIMARY KEY,
    sid BLOB NOT NULL
        CONSTRAINT participants_sid UNIQUE
        CONSTRAINT participants_sid_length CHECK (length(sid) = 16),
    room_id INTEGER NOT NULL REFERENCES rooms (id),
    identity TEXT NOT NULL,
    status TEXT NOT NULL
        CONSTRAINT participants_status_word
        CHECK (status IN ('connected', 'reconnecting', 'disconnected')),
    -- What a resume is checked against: SHA-256 of the session's secret.
    session BLOB NOT NULL
        CONSTRAINT participants_session_length CHECK (length(session) = 32),
    subscribe_all INTEGER NOT NULL
        CONSTRAINT participants_subscribe_all_word CHECK (subscribe_all IN (0, 1)),
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    ended_us INTEGER,
    duration_s INTEGER
        CONSTRAINT participants_duration_sign CHECK (duration_s >= 0),
    CONSTRAINT participants_ended_once CHECK (
        (status = 'disconnected') = (ended_us IS NOT NULL)
        AND (ended_us IS NULL) = (duration_s IS NULL)
        AND (ended_us IS NULL OR ended_us >= created_us)
    )
) STRICT;

-- It has all that a list shows, so that a page is read from a few neighbouring pages of the file,
-- and not from one for each row.
CREATE INDEX participants_listed ON participants
    (room_id, created_us, sid, identity, status, updated_us, ended_us, duration_s);
CREATE INDEX participants_listed_by_identity
    ON participants (room_id, identity, created_us, sid);
CREATE INDEX participants_live ON participants (room_id, created_us, sid) WHERE ended_us IS NULL;
-- The rule of the duplicate identity: one live participant of each.
CREATE UNIQUE INDEX participants_live_identity
    ON participants (room_id, identity) WHERE ended_us IS NULL;

CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,
    sid BLOB NOT NULL
        CONSTRAINT tracks_sid UNIQUE
        CONSTRAINT tracks_sid_length CHECK (length(sid) = 16),
    participant_id INTEGER NOT NULL REFERENCES participants (id),
    -- The id by which the client's media carries it.
    media_id TEXT NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT tracks_kind_word CHECK (kind IN ('audio', 'video', 'data')),
    name TEXT NOT NULL,
    enabled INTEGER NOT NULL
        CONSTRAINT tracks_enabled_word CHECK (enabled IN (0, 1)),
    priority TEXT NOT NULL
        CONSTRAINT tracks_priority_word CHECK (priority IN ('low', 'standard', 'high')),
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    ended_us INTEGER
) STRICT;

CREATE INDEX tracks_live ON tracks (participant_id, created_us, sid) WHERE ended_us IS NULL;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    room_id INTEGER NOT NULL REFERENCES rooms (id),
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT events_kind_word CHECK (kind IN (
            'room-created', 'room-ended', 'participant-connected', 'participant-disconnected',
            'track-added', 'track-removed', 'track-enabled', 'track-disabled'
        )),
    at_us INTEGER NOT NULL,
    participant_id INTEGER REFERENCES participants (id),
    track_id INTEGER REFERENCES tracks (id),
    duration_s INTEGER,
    CONSTRAINT events_seq UNIQUE (room_id, seq),
    CONSTRAINT events_about CHECK (
        (kind LIKE 'room-%') = (participant_id IS NULL)
        AND (kind LIKE 'track-%') = (track_id IS NOT NULL)
    )
) STRICT;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    room_id INTEGER NOT NULL REFERENCES rooms (id),
    event_id INTEGER NOT NULL REFERENCES events (id)
        CONSTRAINT outbox_event UNIQUE,
    state TEXT NOT NULL
        CONSTRAINT outbox_state_word CHECK (state IN ('due', 'waiting', 'delivered', 'given-up')),
    -- When it is due; while it is leased, when the lease ends.
    due_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

-- At most one of each room is due, so that order in the room holds.
CREATE UNIQUE INDEX outbox_head ON outbox (room_id) WHERE state = 'due';
CREATE INDEX outbox_due ON outbox (due_us, id) WHERE state = 'due';
CREATE INDEX outbox_waiting ON outbox (room_id, id) WHERE state = 'waiting';

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    outbox_id INTEGER NOT NULL REFERENCES outbox (id),
    at_us INTEGER NOT NULL,
    -- HTTP status of the answer, or why there was none. Bodies are not kept.
    status INTEGER,
    error TEXT,
    CONSTRAINT attempts_status_or_error CHECK ((status IS NULL) <> (error IS NULL))
) STRICT;

CREATE INDEX attempts_of_outbox ON attempts (outbox_id, id);

-- What a health check writes and reads.
CREATE TABLE checks (
    id INTEGER PRIMARY KEY
        CONSTRAINT checks_one_row CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO checks (id, count) VALUES (1, 0);
