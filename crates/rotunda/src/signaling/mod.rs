//! One WebSocket: authenticates, then pumps messages between the client and its room.
