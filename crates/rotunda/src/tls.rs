//! TLS: an own certificate, or a throw-away CA for development.
