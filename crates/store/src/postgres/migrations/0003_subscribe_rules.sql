-- Subscribe rules, which the API may replace.

-- The rules of a participant that are not just "include all" or "exclude all": in their order. Who has none here has the
-- one that `participants.subscribe_all` says, so that an ordinary join writes no row for them.
CREATE TABLE subscribe_rules (
    participant_id bigint NOT NULL REFERENCES participants (id),
    place bigint NOT NULL
        CONSTRAINT subscribe_rules_place CHECK (place BETWEEN 0 AND 19),
    effect text COLLATE "C" NOT NULL
        CONSTRAINT subscribe_rules_effect_word CHECK (effect IN ('include', 'exclude')),
    -- Every track; else those that match all filters that are there.
    is_all boolean NOT NULL,
    -- An identity, or a SID as it is shown. Erasing an identity erases it here, too.
    publisher text COLLATE "C",
    -- A name, or a SID as it is shown.
    track text COLLATE "C",
    kind text COLLATE "C"
        CONSTRAINT subscribe_rules_kind_word CHECK (kind IN ('audio', 'video', 'data')),
    priority text COLLATE "C"
        CONSTRAINT subscribe_rules_priority_word CHECK (priority IN ('low', 'standard', 'high')),
    CONSTRAINT subscribe_rules_filters CHECK (is_all = (coalesce(publisher, track, kind, priority) IS NULL)),
    CONSTRAINT subscribe_rules_pkey PRIMARY KEY (participant_id, place)
);

-- By this an erased identity is found.
CREATE INDEX subscribe_rules_of_publisher ON subscribe_rules (publisher) WHERE publisher IS NOT NULL;

-- When the API replaced them last; NULL: never.
ALTER TABLE participants ADD COLUMN rules_updated_us bigint;
