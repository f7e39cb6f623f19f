-- What a room is called, whether it takes video, and whether it was asked to be large.

ALTER TABLE rooms ADD COLUMN type text COLLATE "C" NOT NULL DEFAULT 'group'
    CONSTRAINT rooms_type_word CHECK (type IN ('group', 'go', 'peer-to-peer', 'group-small'));
ALTER TABLE rooms ADD COLUMN audio_only boolean NOT NULL DEFAULT false;
ALTER TABLE rooms ADD COLUMN large_room boolean NOT NULL DEFAULT false;
