-- Lists of an identity are read from their index alone, as others are: the rows of one identity are scattered over the
-- table, and each was a page of the file.
DROP INDEX participants_listed_by_identity;
CREATE INDEX participants_listed_by_identity ON participants
    (room_id, identity, created_us, sid, status, updated_us, ended_us, duration_s);
