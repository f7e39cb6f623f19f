//! Builds the program again when the page that it embeds was built again, also if there was none before.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    // Other builds read the page from disk when they run.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // Cargo can only watch what is there.
        std::fs::create_dir_all("../../web/dist")?;
        println!("cargo::rerun-if-changed=../../web/dist");
    }
    Ok(())
}
