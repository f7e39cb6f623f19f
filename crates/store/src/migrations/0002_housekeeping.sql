-- What forgetting old rows needs: where events begin, what is old, and which rows refer to one that goes; the audit log.

-- `seq` of the room's oldest event that is still there: retention takes events from the front.
ALTER TABLE rooms ADD COLUMN first_seq INTEGER NOT NULL DEFAULT 0;

-- Rooms that are being forgotten belong to this account, which has no secret and which nobody can ask for: so a room
-- and all that belongs to it is out of every answer at once, while its rows go a few at a time.
INSERT INTO accounts (sid) VALUES (CAST('nobody''s account' AS BLOB));

CREATE INDEX rooms_ended ON rooms (ended_us, id) WHERE ended_us IS NOT NULL;
CREATE INDEX rooms_ended_with_events ON rooms (ended_us, id)
    WHERE ended_us IS NOT NULL AND first_seq < next_seq;
CREATE INDEX outbox_done ON outbox (due_us, id) WHERE state IN ('delivered', 'given-up');

-- By these SQLite finds whether anything still refers to a row that goes.
CREATE INDEX tracks_of_participant ON tracks (participant_id);
CREATE INDEX events_of_participant ON events (participant_id) WHERE participant_id IS NOT NULL;
CREATE INDEX events_of_track ON events (track_id) WHERE track_id IS NOT NULL;
CREATE INDEX outbox_of_room ON outbox (room_id);

-- Who changed what. It has SIDs, not references: it outlives the rows that it tells of.
CREATE TABLE audit (
    -- Never used again, so that a reader who remembers the last one misses nothing.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    -- NULL: an operator on the machine, who has no account.
    account BLOB
        CONSTRAINT audit_account_length CHECK (length(account) = 16),
    -- SID of the account or the API key whose secret was given; `operator`.
    credential TEXT NOT NULL,
    method TEXT,
    operation TEXT NOT NULL,
    room BLOB
        CONSTRAINT audit_room_length CHECK (length(room) = 16),
    participant BLOB
        CONSTRAINT audit_participant_length CHECK (length(participant) = 16),
    status INTEGER,
    remote TEXT,
    request_id TEXT
) STRICT;

CREATE INDEX audit_by_time ON audit (at_us, id);
CREATE INDEX audit_of_room ON audit (room, id) WHERE room IS NOT NULL;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only appended to');
END;
