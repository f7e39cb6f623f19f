//! What the operator's commands and the running server say to each other over the Unix socket in the data directory.
//!
//! One connection is one request: a line of JSON. The answer is lines of JSON: any number of `progress`, then one of
//! `done` or `failed`, which is the last.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the server is asked, for example `{"command":"status"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What it serves, in one sentence.
    // With braces, so that what else is said is refused here too.
    Status {},
    /// To go on from a backup: it is copied and checked first, then the server starts anew on it.
    Restore {
        /// An absolute path that the server can read.
        backup: PathBuf,
    },
    /// To take no new rooms and participants, to wait until nobody is there any more, and to stop.
    Drain {
        /// How long calls may go on, in seconds.
        wait_s: u64,
        /// Whether rooms that are in progress then are completed; else they are resumed by the next
        /// process.
        end_rooms: bool,
    },
    /// To deliver callbacks again: one, or all that were given up and match every given filter.
    RedeliverCallbacks {
        /// The number of the one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// SID of the room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
        /// A host, or host and port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receiver: Option<String>,
        /// Microseconds since 1970; events not earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_us: Option<i64>,
        /// Microseconds since 1970; events that are earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before_us: Option<i64>,
    },
    /// To change accounts or API keys. `done` then holds a [`CredentialChanged`] as JSON.
    Credentials {
        /// What.
        change: CredentialChange,
    },
}

/// A change of accounts and API keys; SIDs are texts here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CredentialChange {
    /// A new account with an auth token.
    CreateAccount {
        /// What the operator calls it; may be empty.
        name: String,
    },
    /// Nobody may use the account until it is resumed.
    SuspendAccount {
        /// `AC…`
        account: String,
        /// Whether its participants are disconnected too.
        end_sessions: bool,
    },
    /// The account may be used again.
    ResumeAccount {
        /// `AC…`
        account: String,
    },
    /// A new auth token; the older ones end.
    RotateAuthToken {
        /// `AC…`
        account: String,
        /// After so many seconds; 0: at once.
        overlap_s: u64,
    },
    /// A new key with a secret.
    CreateKey {
        /// `AC…`
        account: String,
        /// What the operator calls it; may be empty.
        name: String,
    },
    /// Nobody may use the key any more, for ever.
    RevokeKey {
        /// `SK…`
        key: String,
        /// Whether participants that joined with it are disconnected too.
        end_sessions: bool,
    },
    /// A new secret; the older ones end.
    RotateKey {
        /// `SK…`
        key: String,
        /// After so many seconds; 0: at once.
        overlap_s: u64,
    },
}

/// What came of a [`CredentialChange`]. No `Debug`: it may hold a secret, which is told this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct CredentialChanged {
    /// `AC…`
    pub account_sid: String,
    /// `SK…`, of a change of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_sid: Option<String>,
    /// What the operator calls the account or key.
    pub name: String,
    /// The new auth token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// The key's new secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When the last of the older secrets ends, in seconds since 1970; none if they have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_until_s: Option<i64>,
    /// How many participants were disconnected, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_ended: Option<usize>,
}

/// A line of the answer; each holds a sentence for the operator, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// How far it is.
    Progress(String),
    /// It was done: what came of it.
    Done(String),
    /// It was not done: why, and what to do next.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_lines_are_what_is_documented() {
        let request: Request = serde_json::from_str(r#"{"command":"status"}"#).expect("as documented");
        assert_eq!(request, Request::Status {});
        let request: Request = serde_json::from_str(r#"{"command":"restore","backup":"/b"}"#).expect("as documented");
        assert_eq!(request, Request::Restore { backup: "/b".into() });
        let request: Request =
            serde_json::from_str(r#"{"command":"drain","wait_s":60,"end_rooms":true}"#).expect("as documented");
        let drain = Request::Drain {
            wait_s: 60,
            end_rooms: true,
        };
        assert_eq!(request, drain);
        let request: Request =
            serde_json::from_str(r#"{"command":"redeliver-callbacks","id":17}"#).expect("as documented");
        let one = Request::RedeliverCallbacks {
            id: Some(17),
            room: None,
            receiver: None,
            since_us: None,
            before_us: None,
        };
        assert_eq!(request, one);
        let request = r#"{"command":"credentials","change":{"do":"rotate-key","key":"SK1","overlap_s":60}}"#;
        let change = CredentialChange::RotateKey {
            key: "SK1".to_owned(),
            overlap_s: 60,
        };
        let request: Request = serde_json::from_str(request).expect("as documented");
        assert_eq!(request, Request::Credentials { change });
        for wrong in [r#"{"command":"fly"}"#, r#"{"command":"status","loud":true}"#, "{}", "7"] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
        let line = serde_json::to_string(&Line::Progress("half".to_owned())).expect("a text");
        assert_eq!(line, r#"{"progress":"half"}"#);
    }
}
