//! `rotunda serve`: the server of an installation.

use super::signals::Signals;
use super::{Failure, Options, print, runtime, start_log};
use crate::config::{Raw, Settings};
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
        ready(&server)?;
        signals.next().await;
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
