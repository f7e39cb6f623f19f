//! `rotunda openapi`: the description of the REST API, without a server.

use clap::Args;

use super::{Failure, Options, print};
use crate::api;
use crate::config::{self, Data, Raw};

/// Options of the command.
#[derive(Args)]
pub(super) struct OpenapiArgs {
    #[command(flatten)]
    options: Options,
}

/// Prints the document of a server with these options.
pub(super) fn run(args: &OpenapiArgs) -> Result<(), Failure> {
    let settings = args.options.settings(&Raw::defaults(), Some(Data::Memory))?;
    let local = || format!("{}://{}", settings.scheme(), config::local(settings.http_addr));
    let url = settings.public_url.clone().unwrap_or_else(local);
    print(&format!("{}\n", api::description(&settings, &url)))
}
