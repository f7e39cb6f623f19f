-- Subscribe rules, which the API may replace.

-- The rules of a participant that are not just "include all" or "exclude all": in their order. Who has none here has the
-- one that `participants.subscribe_all` says, so that an ordinary join writes no row for them.
CREATE TABLE subscribe_rules (
    participant_id INTEGER NOT NULL REFERENCES participants (id),
    place INTEGER NOT NULL
        CONSTRAINT subscribe_rules_place CHECK (place BETWEEN 0 AND 19),
    effect TEXT NOT NULL
        CONSTRAINT subscribe_rules_effect_word CHECK (effect IN ('include', 'exclude')),
    -- Every track; else those that match all filters that are there.
    is_all INTEGER NOT NULL
        CONSTRAINT subscribe_rules_is_all_word CHECK (is_all IN (0, 1)),
    -- An identity, or a SID as it is shown. Erasing an identity erases it here, too.
    publisher TEXT,
    -- A name, or a SID as it is shown.
    track TEXT,
    kind TEXT
        CONSTRAINT subscribe_rules_kind_word CHECK (kind IN ('audio', 'video', 'data')),
    priority TEXT
        CONSTRAINT subscribe_rules_priority_word CHECK (priority IN ('low', 'standard', 'high')),
    CONSTRAINT subscribe_rules_filters CHECK (is_all = (coalesce(publisher, track, kind, priority) IS NULL)),
    PRIMARY KEY (participant_id, place)
) STRICT, WITHOUT ROWID;

-- By this an erased identity is found.
CREATE INDEX subscribe_rules_of_publisher ON subscribe_rules (publisher) WHERE publisher IS NOT NULL;

-- When the API replaced them last; NULL: never.
ALTER TABLE participants ADD COLUMN rules_updated_us INTEGER;
