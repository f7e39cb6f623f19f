//! What the operator's commands and the running server say to each other over the Unix socket in the data directory.
//!
//! One connection is one request: a line of JSON. The answer is lines of JSON: any number of `progress`, then one of
//! `done` or `failed`, which is the last.

use serde::{Deserialize, Serialize};

/// What the server is asked: `{"command":"status"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What it serves, in one sentence.
    Status,
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
        assert_eq!(request, Request::Status);
        for wrong in [r#"{"command":"fly"}"#, r#"{"command":"status","loud":true}"#, "{}", "7"] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
        let line = serde_json::to_string(&Line::Progress("half".to_owned())).expect("a text");
        assert_eq!(line, r#"{"progress":"half"}"#);
    }
}
