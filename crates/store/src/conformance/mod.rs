//! The behaviours that every backend shows.
