//! `rotunda drain`: empties the running server and stops it.

use std::io::Write;

use clap::Args;

use super::data_dir::DataDir;
use super::span::span_s;
use super::status::unanswered;
use super::{Failure, print};
use crate::limits;
use crate::operator::{self, Request};

/// Seconds that calls may go on unless something else is said.
const WAIT_S: u64 = 600;

/// Options of `rotunda drain`.
#[derive(Args)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    data: DataDir,
    /// How long calls may go on; after it the server stops, and whoever is still there resumes with the
    /// next start [default: 10m, with --end-rooms 0s]
    #[arg(long, value_name = "TIME", value_parser = wait_s)]
    wait: Option<u64>,
    /// Completes the rooms that are in progress after the wait, as the API does: rows, callbacks,
    /// clients are told that the room is over
    #[arg(long)]
    end_rooms: bool,
}

/// Asks the server that runs on the data directory, and waits until it has stopped. Interrupted, the
/// server goes on.
pub(super) fn run(args: &DrainArgs) -> Result<(), Failure> {
    let directory = args.data.directory()?;
    let request = Request::Drain {
        wait_s: args.wait.unwrap_or(if args.end_rooms { 0 } else { WAIT_S }),
        end_rooms: args.end_rooms,
    };
    let progress = |sentence: &str| {
        // Nobody is left to tell if stderr is closed.
        writeln!(std::io::stderr(), "{sentence}").ok();
    };
    let answer = operator::ask(&directory, &request, progress);
    print(&format!(
        "{}\n",
        answer.map_err(|error| unanswered(&error, &directory))?
    ))
}

fn wait_s(text: &str) -> Result<u64, String> {
    let longest_s = limits::DRAIN_WAIT_MAX.as_secs();
    span_s(text)
        .filter(|seconds| *seconds <= longest_s)
        .ok_or_else(|| "a time such as 90s, 30m or 4h, at most 24h".to_owned())
}
