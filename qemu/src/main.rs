//! The `quartz` command.
fn main() {}
