//! What goes over the wire: REST resources, signaling messages, callbacks. Serde, no logic.

pub mod callback;
pub mod rest;
pub mod signaling;
