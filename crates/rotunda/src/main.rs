//! The `rotunda` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    rotunda::command::main()
}
