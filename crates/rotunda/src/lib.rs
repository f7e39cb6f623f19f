//! The server and its command line.
