//! Verifies access tokens.
