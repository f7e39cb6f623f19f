//! Delivers status callbacks from the outbox.
