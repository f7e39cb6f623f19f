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
        for wrong in [r#"{"command":"fly"}"#, r#"{"command":"status","loud":true}"#, "{}", "7"] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
        let line = serde_json::to_string(&Line::Progress("half".to_owned())).expect("a text");
        assert_eq!(line, r#"{"progress":"half"}"#);
    }
}
