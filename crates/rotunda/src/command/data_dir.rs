//! The data directory, for commands that need no more of the options.

use std::path::PathBuf;

use clap::Args;
use store::DatabaseUrl;

use super::{Failure, Options};
use crate::config::{Data, Raw, SecretText, Settings, Text};
use crate::server::DATABASE;

/// Options of the command.
#[derive(Args)]
pub(super) struct DataDir {
    /// TOML file with options, of which data_dir, database_url and master_key_file count here [env: ROTUNDA_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the database [env: ROTUNDA_DATA_DIR] [default: $XDG_DATA_HOME/rotunda, which is ~/.local/share/rotunda]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<Text>,
    /// PostgreSQL database in place of the one in the data directory: postgres://user@host/name. With a password only as env ROTUNDA_DATABASE_URL or in a file [env: ROTUNDA_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    database_url: Option<SecretText>,
    /// File whose trimmed content is the URL of the database; instead of --database-url [env: ROTUNDA_DATABASE_URL_FILE]
    #[arg(long, value_name = "FILE")]
    database_url_file: Option<Text>,
}

/// What commands about files say of a database that is in none.
pub(super) const IS_APART: &str = "the database is PostgreSQL: save it with pg_dump and put it back with pg_restore while \
     the server is stopped, or move it with `rotunda export` and `rotunda import`, as docs/operations.md says";

impl DataDir {
    /// The directory that is meant, whether or not it is there.
    pub(super) fn directory(&self) -> Result<PathBuf, Failure> {
        Ok(self.settings()?.0)
    }

    /// The directory of a database that is a file there.
    pub(super) fn with_file(&self) -> Result<PathBuf, Failure> {
        match self.settings()? {
            (_, settings) if settings.database.is_some() => Err(Failure::Other(IS_APART.to_owned())),
            (directory, _) => Ok(directory),
        }
    }

    /// The database in the directory, which is there.
    pub(super) fn database_file(&self) -> Result<PathBuf, Failure> {
        let database = self.directory()?.join(DATABASE);
        if database.exists() {
            return Ok(database);
        }
        Err(Failure::Other(format!(
            "there is no database {}; name another directory with --data-dir",
            database.display()
        )))
    }

    /// A database that is apart, if the options name one.
    pub(super) fn database(&self) -> Result<Option<DatabaseUrl>, Failure> {
        Ok(self.settings()?.1.database)
    }

    /// The same as [`DataDir::directory`], with all that the file and the environment set.
    pub(super) fn settings(&self) -> Result<(PathBuf, Settings), Failure> {
        let options = Options {
            config: self.config.clone(),
            raw: Raw {
                data_dir: self.data_dir.clone(),
                database_url: self.database_url.clone(),
                database_url_file: self.database_url_file.clone(),
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
