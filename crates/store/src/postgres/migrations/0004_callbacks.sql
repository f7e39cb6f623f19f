-- What delivering callbacks needs: by whom they are received, how long they wait, and which round of attempts it is.

-- Host and port of `status_callback`. Those of rooms that are older than this column count as one receiver.
ALTER TABLE rooms ADD COLUMN callback_receiver text COLLATE "C" NOT NULL DEFAULT 'unknown';
ALTER TABLE outbox ADD COLUMN receiver text COLLATE "C" NOT NULL DEFAULT 'unknown';
-- How long it was to wait when it was last put off; 0 while it is leased. It bounds what a calendar
-- that was set back can add.
ALTER TABLE outbox ADD COLUMN wait_us bigint NOT NULL DEFAULT 0;
-- Attempts before somebody asked for it to be delivered again: the schedule begins anew then.
ALTER TABLE outbox ADD COLUMN attempts_before bigint NOT NULL DEFAULT 0;

-- Leasing goes from receiver to receiver and passes those that have enough under way in one step.
CREATE INDEX outbox_due_of_receiver ON outbox (receiver, due_us, id) WHERE state = 'due';
CREATE INDEX outbox_given_up ON outbox (id) WHERE state = 'given-up';
