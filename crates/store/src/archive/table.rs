//! The tables of an installation as an archive has them: each with its columns, whichever database keeps them.
//!
//! A column that a migration adds is added here, too; a test holds this list against the schemas of both backends.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number: an id, a count, microseconds since 1970 in UTC.
    Number,
    /// The id of a row of this table.
    Reference(&'static str),
    Flag,
    Text,
    /// The 16 bytes of a SID, told with these letters before them.
    Sid(&'static str),
    Bytes,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// How many columns, from the first, are its primary key, by which rows are ordered.
    pub(crate) key: usize,
    pub(crate) columns: &'static [Column],
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Flag(bool),
    Text(String),
    Sid([u8; 16]),
    Bytes(Vec<u8>),
}

impl Table {
    /// The names of its columns, with commas between.
    pub(crate) fn names(&self) -> String {
        join(self.columns)
    }

    /// The query of all its rows, in the order of its key.
    pub(crate) fn all_rows(&self) -> String {
        let key = join(&self.columns[..self.key]);
        format!("SELECT {} FROM {} ORDER BY {key}", self.names(), self.name)
    }

    /// Whether rows are numbered by the database.
    pub(crate) fn is_numbered(&self) -> bool {
        self.columns[0].name == "id"
    }
}

fn join(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

const fn number(name: &'static str) -> Column {
    let kind = Kind::Number;
    Column { name, kind }
}

const fn of(name: &'static str, table: &'static str) -> Column {
    let kind = Kind::Reference(table);
    Column { name, kind }
}

const fn flag(name: &'static str) -> Column {
    let kind = Kind::Flag;
    Column { name, kind }
}

const fn text(name: &'static str) -> Column {
    let kind = Kind::Text;
    Column { name, kind }
}

const fn sid(name: &'static str, letters: &'static str) -> Column {
    let kind = Kind::Sid(letters);
    Column { name, kind }
}

const fn bytes(name: &'static str) -> Column {
    let kind = Kind::Bytes;
    Column { name, kind }
}

const fn table(name: &'static str, columns: &'static [Column]) -> Table {
    Table { name, key: 1, columns }
}

/// All of them, in an order in which each row comes behind those that it refers to.
pub(crate) const TABLES: &[Table] = &[
    table(
        "accounts",
        &[
            number("id"),
            sid("sid", "AC"),
            text("name"),
            number("created_us"),
            number("suspended_us"),
            number("last_room_us"),
        ],
    ),
    table(
        "api_keys",
        &[
            number("id"),
            sid("sid", "SK"),
            of("account_id", "accounts"),
            text("name"),
            number("created_us"),
            number("revoked_us"),
        ],
    ),
    table(
        "sealed_secrets",
        &[
            number("id"),
            of("account_id", "accounts"),
            of("api_key_id", "api_keys"),
            bytes("sealed"),
            number("since_us"),
            number("until_us"),
        ],
    ),
    table("secrets", &[text("name"), bytes("value")]),
    table(
        "rooms",
        &[
            number("id"),
            sid("sid", "RM"),
            of("account_id", "accounts"),
            text("name"),
            flag("named"),
            text("type"),
            text("status"),
            flag("ad_hoc"),
            flag("audio_only"),
            flag("large_room"),
            text("status_callback"),
            text("status_callback_method"),
            text("callback_receiver"),
            number("max_participants"),
            number("max_participant_duration_s"),
            number("empty_room_timeout_min"),
            number("unused_room_timeout_min"),
            text("video_codecs"),
            text("media_region"),
            number("created_us"),
            number("updated_us"),
            number("ended_us"),
            number("duration_s"),
            number("epoch"),
            number("first_seq"),
            number("next_seq"),
            number("last_participant_us"),
            number("last_track_us"),
            number("last_left_us"),
        ],
    ),
    table(
        "participants",
        &[
            number("id"),
            sid("sid", "PA"),
            of("room_id", "rooms"),
            text("identity"),
            text("status"),
            bytes("session"),
            flag("subscribe_all"),
            number("rules_updated_us"),
            number("created_us"),
            number("updated_us"),
            number("ended_us"),
            number("duration_s"),
        ],
    ),
    Table {
        name: "subscribe_rules",
        key: 2,
        columns: &[
            of("participant_id", "participants"),
            number("place"),
            text("effect"),
            flag("is_all"),
            text("publisher"),
            text("track"),
            text("kind"),
            text("priority"),
        ],
    },
    table(
        "tracks",
        &[
            number("id"),
            sid("sid", "MT"),
            of("participant_id", "participants"),
            text("media_id"),
            text("kind"),
            text("name"),
            flag("enabled"),
            text("priority"),
            number("created_us"),
            number("updated_us"),
            number("ended_us"),
        ],
    ),
    table(
        "events",
        &[
            number("id"),
            of("room_id", "rooms"),
            number("seq"),
            text("kind"),
            number("at_us"),
            of("participant_id", "participants"),
            of("track_id", "tracks"),
            number("duration_s"),
        ],
    ),
    table(
        "outbox",
        &[
            number("id"),
            of("room_id", "rooms"),
            of("event_id", "events"),
            text("state"),
            text("receiver"),
            number("due_us"),
            number("wait_us"),
            number("attempts"),
            number("attempts_before"),
        ],
    ),
    table(
        "attempts",
        &[
            number("id"),
            of("outbox_id", "outbox"),
            number("at_us"),
            number("status"),
            text("error"),
        ],
    ),
    table(
        "audit",
        &[
            number("id"),
            number("at_us"),
            sid("account", "AC"),
            text("credential"),
            text("method"),
            text("operation"),
            sid("room", "RM"),
            sid("participant", "PA"),
            sid("api_key", "SK"),
            number("status"),
            text("remote"),
            text("request_id"),
        ],
    ),
];
