//! `rotunda migrate`: brings the schema of a PostgreSQL database up to date.

use clap::Args;
use store::{PostgresStore, StoreError};

use super::{Failure, Options, print, runtime, with_causes};
use crate::config::Raw;

/// Options of the command.
#[derive(Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    options: Options,
}

/// Migrates under the lock that a server holds, and says what it did.
pub(super) fn run(args: &MigrateArgs) -> Result<(), Failure> {
    let settings = args.options.settings(&Raw::defaults(), None)?;
    let Some(url) = settings.database else {
        return Err(Failure::Usage(
            "a file's schema is brought up to date by `rotunda serve`; name a PostgreSQL database with --database-url"
                .to_owned(),
        ));
    };
    let migrated = runtime()?.block_on(PostgresStore::migrate(&url));
    let (from, to) = migrated.map_err(|error| {
        let advice = match error {
            StoreError::DatabaseInUse { .. } => "",
            _ => "; see that the user of the URL may change the schema",
        };
        Failure::Other(format!("{url} was not migrated: {}{advice}", with_causes(&error)))
    })?;
    match from == to {
        true => print(&format!("{url}: the schema is of version {to} already\n")),
        false => print(&format!("{url}: the schema was brought from version {from} to {to}\n")),
    }
}
