//! What goes over the wire: REST resources, signaling messages, callbacks. Serde, no logic.
