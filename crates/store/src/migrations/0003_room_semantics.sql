-- What a room is called, whether it takes video, and whether it was asked to be large.

ALTER TABLE rooms ADD COLUMN type TEXT NOT NULL DEFAULT 'group'
    CONSTRAINT rooms_type_word CHECK (type IN ('group', 'go', 'peer-to-peer', 'group-small'));
ALTER TABLE rooms ADD COLUMN audio_only INTEGER NOT NULL DEFAULT 0
    CONSTRAINT rooms_audio_only_word CHECK (audio_only IN (0, 1));
ALTER TABLE rooms ADD COLUMN large_room INTEGER NOT NULL DEFAULT 0
    CONSTRAINT rooms_large_room_word CHECK (large_room IN (0, 1));
