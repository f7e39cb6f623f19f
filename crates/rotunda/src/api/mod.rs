//! REST: extract, call one use case, convert.
