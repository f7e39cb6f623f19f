//! What a room does, told as stories, and what holds whatever happens to it.

#![allow(clippy::unwrap_used)]

mod client;
mod rows;
mod steps;
mod world;

mod anonymizing;
mod ending;
mod joining;
mod random;
mod reconnecting;
mod restoring;
mod rules;
mod subscriptions;
mod time;
mod tracks;
