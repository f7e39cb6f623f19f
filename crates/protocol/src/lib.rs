//! What goes over the wire: REST resources, signaling messages, callbacks, operators' requests. Serde, no logic.

pub mod callback;
pub mod operator;
pub mod rest;
pub mod rules;
pub mod signaling;
