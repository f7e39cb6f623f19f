//! Tests of the reader and the writer together.

#![allow(clippy::unwrap_used)]
