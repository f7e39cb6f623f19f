//! The data directory, for commands that need no more of the options.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Options};
use crate::config::{Data, Raw, Settings, Text};

/// Options of the command.
#[derive(Args)]
pub(super) struct DataDir {
    /// TOML file with options, of which data_dir and master_key_file count here [env: ROTUNDA_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the database [env: ROTUNDA_DATA_DIR] [default: $XDG_DATA_HOME/rotunda, which is ~/.local/share/rotunda]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<Text>,
}

impl DataDir {
    /// The directory that is meant, whether or not it is there.
    pub(super) fn directory(&self) -> Result<PathBuf, Failure> {
        Ok(self.settings()?.0)
    }

    /// The same, with all that the file and the environment set.
    pub(super) fn settings(&self) -> Result<(PathBuf, Settings), Failure> {
        let options = Options {
            config: self.config.clone(),
            raw: Raw {
                data_dir: self.data_dir.clone(),
                ..Raw::default()
            },
        };
        let settings = options.settings(&Raw::defaults(), None)?;
        match settings.data.clone() {
            Data::Directory(directory) => Ok((directory, settings)),
            Data::Memory => Err(Failure::Other("there is no data directory".to_owned())),
        }
    }
}
