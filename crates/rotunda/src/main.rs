//! The `rotunda` program.
fn main() {}
