//! Configuration: what was written, then what it means.

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Settings {}
