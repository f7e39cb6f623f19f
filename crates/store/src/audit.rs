//! The audit log: who changed what. It is only ever appended to, and keeps no secrets and no bodies.

use room::{AccountSid, ApiKeySid, ParticipantSid, RoomSid, Timestamp};

/// A change that somebody made, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When it was asked for.
    pub at: Timestamp,
    /// Whose rooms it is about; `None`: the operator of the machine changed something.
    pub account: Option<AccountSid>,
    /// The SID whose secret was given, `AC…` or `SK…`; `operator`.
    pub credential: String,
    /// HTTP method.
    pub method: Option<String>,
    /// What was done: `complete-room`.
    pub operation: String,
    /// To which room.
    pub room: Option<RoomSid>,
    /// To which participant.
    pub participant: Option<ParticipantSid>,
    /// To which API key.
    pub api_key: Option<ApiKeySid>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// IP address of who asked.
    pub remote: Option<String>,
    /// What the request called itself.
    pub request_id: Option<String>,
}

impl Audit {
    /// What the operator of the machine did, about no account, room or key yet.
    pub fn of_operator(at: Timestamp, operation: &str) -> Self {
        Self {
            at,
            account: None,
            credential: "operator".to_owned(),
            method: None,
            operation: operation.to_owned(),
            room: None,
            participant: None,
            api_key: None,
            status: None,
            remote: None,
            request_id: None,
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Grows with each line; never used again.
    pub id: i64,
    /// What it says.
    pub audit: Audit,
}

/// Which lines to read. All given filters must match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Not earlier than this.
    pub since: Option<Timestamp>,
    /// About this room.
    pub room: Option<RoomSid>,
}
