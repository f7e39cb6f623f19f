//! The check of invariants: silent about what the store writes, and naming each invariant that is broken by hand; and the
//! whole of an installation moved from one database to another.
#![allow(clippy::unwrap_used, missing_docs)]

mod archive;
mod broken;
mod postgres;
mod sqlite;
mod story;
