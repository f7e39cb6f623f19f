//! The REST API over real sockets: a server in this process, a module for each matter.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod anonymize;
mod auth;
mod bounds;
mod contract;
mod cors;
mod foreign;
mod paging;
mod participants;
mod proxies;
mod random;
mod retention;
mod rooms;
mod seed;
mod subscribe_rules;
mod tracks;
mod world;
