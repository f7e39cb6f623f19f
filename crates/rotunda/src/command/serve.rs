//! `rotunda serve`: the server of an installation.

use super::signals::Signals;
use super::{Failure, Options, print, runtime, start_log};
use crate::config::{Data, Raw, Settings};
use crate::operator::{Channel, Job, Request};
use crate::server::Server;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let settings = options.settings(&Raw::defaults(), None)?;
    start_log(settings.log.clone());
    serve(settings, |server| print(&greeting(server)))
}

/// Serves until SIGTERM or SIGINT; `ready` is called once requests are answered.
pub(super) fn serve(settings: Settings, ready: impl FnOnce(&Server) -> Result<(), Failure>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let server = Server::start(settings).await?;
        let mut operators = channel(&server);
        ready(&server)?;
        loop {
            tokio::select! {
                () = signals.next() => break,
                job = next(&mut operators) => match job.request {
                    Request::Status => job.reply.done(status(&server)).await,
                },
            }
        }
        tracing::info!("stopping; participants resume with the next start");
        tokio::select! {
            () = server.shutdown() => {}
            // A second signal does not wait.
            () = signals.next() => {}
        }
        Ok(())
    });
    // Tasks that wait for nothing but the end do not hold it up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    result
}

/// The operator's socket. A server without one serves all the same, but takes no commands.
fn channel(server: &Server) -> Option<Channel> {
    let Data::Directory(directory) = &server.app().settings.data else {
        return None;
    };
    match Channel::listen(directory) {
        Ok(channel) => Some(channel),
        Err(error) => {
            tracing::warn!(%error, directory = %directory.display(), "operators' commands are not taken: the socket cannot be made");
            None
        }
    }
}

/// The next request of an operator.
async fn next(operators: &mut Option<Channel>) -> Job {
    match operators {
        Some(channel) => channel.next().await,
        None => std::future::pending().await,
    }
}

fn status(server: &Server) -> String {
    let rooms = server.app().rooms.in_progress();
    format!(
        "Rotunda {} serves {}; rooms in progress: {rooms}",
        env!("CARGO_PKG_VERSION"),
        server.url()
    )
}

/// What an operator needs next. The secrets are in it only if this start made them.
fn greeting(server: &Server) -> String {
    let url = server.url();
    let owner = server.owner();
    let (account, key) = (&owner.account, &owner.api_key);
    let addresses = format!(
        "  REST        {url}/v1\n  Signaling   {}\n  Media       UDP {}\n",
        server.signaling_url(),
        server.media_addr()
    );
    if owner.fresh {
        format!(
            "Rotunda is ready.\n\n  Open        {url}/#account={}&key={}:{}\n{addresses}\n\
             Credentials, printed this once (`rotunda env` shows them later):\n\n\
             \x20 Account SID     {}\n  Auth token      {}\n  API key SID     {}\n  API key secret  {}\n",
            account.sid, key.sid, key.secret, account.sid, account.auth_token, key.sid, key.secret
        )
    } else {
        format!(
            "Rotunda is ready.\n\n  Open        {url}/\n{addresses}\nCredentials were printed at the first start; `rotunda env` shows them.\n"
        )
    }
}
