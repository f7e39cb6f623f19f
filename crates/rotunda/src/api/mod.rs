//! The REST API below `/v1` (rest.md): rooms, participants, tracks and who receives them, and their description at
//! `/openapi.json`.
//!
//! Each resource lists its operations, of which the router and the description are made.
//! A handler extracts (`auth` says for whom, `path` what is addressed, `params` what was
//! sent), asks the store or the room, and converts the row to its resource.

mod actor;
mod auth;
mod base_url;
mod cors;
mod date;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod json;
mod limits;
mod openapi;
mod operation;
mod page;
mod params;
mod participant;
mod path;
mod room;
mod room_creation;
mod router;
mod subscribe_rules;
mod track;

pub use error::too_many_requests;
#[cfg(feature = "program")]
pub use router::router;

/// The API's description (OpenAPI 3.0) for a server with these settings, at this address.
pub fn description(settings: &crate::config::Settings, url: &str) -> String {
    openapi::Description::new(settings).at(url)
}
