//! TCMP and RSP messages (signaling.md sections 2 to 4).
