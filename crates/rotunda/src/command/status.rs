//! `rotunda status`: whether a server runs, and what it serves.

use std::path::Path;

use super::data_dir::DataDir;
use super::{Failure, print, with_causes};
use crate::operator::{self, AskError, Request};

/// Asks the server that runs on the data directory.
pub(super) fn run(data: &DataDir) -> Result<(), Failure> {
    let directory = data.directory()?;
    let answer = operator::ask(&directory, &Request::Status {}, |_| ());
    print(&format!(
        "{}\n",
        answer.map_err(|error| unanswered(&error, &directory))?
    ))
}

/// What to do when the running server did not answer well.
pub(super) fn unanswered(error: &AskError, directory: &Path) -> Failure {
    let advice = match error {
        AskError::NotServing { .. } => "; start it with `rotunda serve`, or name another directory with --data-dir",
        AskError::Unreachable { .. } => "; run this as the user of the server",
        AskError::Lost => "; look into its log",
        AskError::Failed(_) => "",
    };
    Failure::Other(match error {
        AskError::NotServing { .. } if !directory.exists() => {
            format!(
                "there is no directory {}; name another one with --data-dir",
                directory.display()
            )
        }
        error => format!("{}{advice}", with_causes(error)),
    })
}
