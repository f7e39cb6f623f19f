//! The body of every answer that is not a success.

use serde::Serialize;

/// An error (rest.md section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// The vendor's error number.
    pub code: u32,
    /// What is wrong, for people.
    pub message: String,
    /// Where the number is described.
    pub more_info: String,
    /// The HTTP status.
    pub status: u16,
    /// A second sentence; only on 401 (rest.md section 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
    /// What helper libraries hand on as `details`; only with codes whose message does not say what to mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<ErrorDetails>,
}

/// What to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDetails {
    /// For people.
    pub reason: String,
}

impl ErrorBody {
    /// The body for a number: `more_info` follows from it.
    pub fn new(status: u16, code: u32, message: String) -> Self {
        Self {
            code,
            message,
            more_info: format!("https://www.twilio.com/docs/errors/{code}"),
            status,
            detail: None,
            details: None,
        }
    }
}
