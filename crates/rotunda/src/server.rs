//! Starts and stops a server.
