//! `rotunda serve`: the server of an installation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use room::{RoomSid, Timestamp};
use store::{CallbackFilter, DatabaseCopy};
use tokio::task::JoinHandle;

use super::credential_change;
use super::restore::advised;
use super::signals::Signals;
use super::{Failure, Options, print, runtime, start_log, with_causes};
use crate::app::App;
use crate::config::{Data, Raw, Settings};
use crate::drain::{self, Drained, Plan};
use crate::limits;
use crate::master_key;
use crate::operator::{Channel, CredentialChange, Job, Reply, Request};
use crate::restore::{self, RestoreError};
use crate::rooms::WorkerLoad;
use crate::server::{Server, StartError, held_listener, raise_descriptors};
use crate::webhooks::{self, Again};

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let settings = options.settings(&Raw::defaults(), None)?;
    start_log(settings.log.clone());
    serve(settings, |server| print(&greeting(server)))
}

/// Serves until SIGTERM or SIGINT; `ready` is called once requests are answered.
pub(super) fn serve(settings: Settings, ready: impl FnOnce(&Server) -> Result<(), Failure>) -> Result<(), Failure> {
    let held = held_listener()?;
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        raise_descriptors();
        let mut server = Server::start_behind(settings, held).await?;
        let mut operators = channel(&server);
        ready(&server)?;
        let mut work: Option<JoinHandle<Work>> = None;
        let drained = loop {
            tokio::select! {
                () = signals.next() => break None,
                () = server.database_lost() => {
                    server.shutdown().await;
                    return Err(Failure::Other(
                        "another server has taken over the database; stop that one before this is started again".to_owned(),
                    ));
                }
                job = next(&mut operators) => match job.request {
                    Request::Status {} => job.reply.done(status(&server)).await,
                    Request::Credentials { change } => {
                        let app = server.app().clone();
                        tokio::spawn(async move { credentials(&app, &change, job.reply).await });
                    }
                    Request::Restore { .. } | Request::Drain { .. } if work.is_some() => {
                        job.reply.failed("a drain or a restore is under way; wait for its end").await;
                    }
                    Request::Restore { backup } => work = prepare(&server, backup, job.reply),
                    Request::RedeliverCallbacks { id, room, receiver, since_us, before_us } => {
                        let filter = filter(room, receiver, since_us, before_us);
                        match id.map_or(filter.map(Again::GivenUp), |id| Ok(Again::One(id))) {
                            Ok(again) => redeliver(&server, again, job.reply),
                            Err(sentence) => job.reply.failed(sentence).await,
                        }
                    }
                    Request::Drain { wait_s, end_rooms } => {
                        let wait = Duration::from_secs(wait_s).min(limits::DRAIN_WAIT_MAX);
                        work = Some(drain(&server, Plan { wait, end_rooms }, job.reply));
                    }
                },
                done = finished(&mut work) => match done {
                    Work::Prepared(Prepared { backup, copy: Ok(copy), reply }) => {
                        server = swap(server, backup, copy, reply).await?;
                    }
                    Work::Prepared(Prepared { copy: Err(error), reply, .. }) => reply.failed(advised(&error)).await,
                    Work::Drained(Drained::Done(sentence), reply) => break Some((sentence, reply)),
                    Work::Drained(Drained::GivenUp, _) => {
                        tracing::warn!("the drain was given up; everybody is taken again");
                    }
                },
            }
        };
        tracing::info!("stopping; participants resume with the next start");
        tokio::select! {
            () = server.shutdown() => {}
            // A second signal does not wait.
            () = signals.next() => {}
        }
        if let Some((sentence, reply)) = drained {
            reply.done(format!("{sentence}; the server has stopped")).await;
        }
        Ok(())
    });
    // Tasks that wait for nothing but the end do not hold it up.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Changes an account or a key, ends the sessions that shall end, and tells the operator, alone, what came of it.
async fn credentials(app: &App, change: &CredentialChange, reply: Reply) {
    match credential_change::make(app, change).await {
        Ok(changed) => reply.done(changed).await,
        Err(sentence) => reply.failed(sentence).await,
    }
}

/// What operators ask that takes its time; one at a time, while the server serves on.
enum Work {
    Prepared(Prepared),
    Drained(Drained, Reply),
}

fn drain(server: &Server, plan: Plan, reply: Reply) -> JoinHandle<Work> {
    tracing::warn!(wait = ?plan.wait, end_rooms = plan.end_rooms, "draining: nobody new is taken");
    let app = server.app().clone();
    tokio::spawn(async move {
        let end = drain::drain(&app, plan, &reply).await;
        Work::Drained(end, reply)
    })
}

fn filter(
    room: Option<String>,
    receiver: Option<String>,
    since_us: Option<i64>,
    before_us: Option<i64>,
) -> Result<CallbackFilter, String> {
    Ok(CallbackFilter {
        state: None,
        room: room
            .map(|sid| sid.parse::<RoomSid>())
            .transpose()
            .map_err(|error| error.to_string())?,
        receiver,
        since: since_us.map(Timestamp),
        before: before_us.map(Timestamp),
    })
}

/// Makes callbacks due again, while other commands are taken.
fn redeliver(server: &Server, again: Again, reply: Reply) {
    let app = server.app().clone();
    tokio::spawn(async move {
        let made_due = webhooks::redeliver(app.store.as_ref(), again.clone()).await;
        app.callbacks.wake();
        match made_due {
            Ok(0) => reply.failed(webhooks::sentence(&again, 0)).await,
            Ok(count) => reply.done(webhooks::sentence(&again, count)).await,
            Err(error) => reply.failed(with_causes(&error)).await,
        }
    });
}

/// What a restore is to put in place, or why it cannot.
struct Prepared {
    backup: PathBuf,
    copy: Result<DatabaseCopy, RestoreError>,
    reply: Reply,
}

/// Copies and checks the backup while the server serves on.
fn prepare(server: &Server, backup: PathBuf, reply: Reply) -> Option<JoinHandle<Work>> {
    if server.app().settings.database.is_some() {
        tokio::spawn(reply.failed(super::data_dir::IS_APART));
        return None;
    }
    let Data::Directory(directory) = server.app().settings.data.clone() else {
        // There is no socket to ask by, either.
        return None;
    };
    tracing::info!(backup = %backup.display(), "a backup is copied and checked, to be restored");
    let master_key = server.app().settings.master_key.clone();
    Some(tokio::task::spawn_blocking(move || {
        Work::Prepared(Prepared {
            copy: restore::prepare(&backup, &directory, master_key.as_ref(), &mut |sentence| {
                reply.progress(sentence);
            }),
            backup,
            reply,
        })
    }))
}

/// Waits for the work under way; for ever if there is none.
async fn finished(work: &mut Option<JoinHandle<Work>>) -> Work {
    if let Some(task) = work {
        let end = task.await;
        *work = None;
        match end {
            Ok(done) => return done,
            Err(error) => tracing::error!(%error, "what an operator asked for failed"),
        }
    }
    std::future::pending().await
}

/// Stops the server as for a restart, puts the copy in place, and starts anew: on the copy, or on what was there if that
/// cannot be replaced.
async fn swap(server: Server, backup: PathBuf, copy: DatabaseCopy, reply: Reply) -> Result<Server, StartError> {
    tracing::warn!("restoring: the server stops and starts anew; participants that the backup knows resume");
    reply.progress("the server starts anew");
    let claim = server.hand_over().await;
    // By reference: the count of the lock's owners tells whether a store has it open.
    let replaced = tokio::task::block_in_place(|| claim.lock().map(|lock| restore::replace(copy, lock)));
    let started = Server::start_on(&claim).await;
    match (&started, replaced) {
        (Ok(_), Some(Ok(restored))) => {
            let sentence = restore::sentence(&backup, &restored);
            tracing::info!("{sentence}");
            reply.done(sentence).await;
        }
        (Ok(_), Some(Err(error))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "nothing was restored");
            reply
                .failed(format!("{}; the server goes on with what it had", advised(&error)))
                .await;
        }
        (Ok(_), None) => {
            reply
                .failed("the restore failed; the server goes on with what it had")
                .await
        }
        (Err(error), _) => {
            reply
                .failed(format!("the server does not start: {}", with_causes(error)))
                .await
        }
    }
    started
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
    let media = server.app().rooms.media();
    let workers = server.media_addrs().iter().zip(media.loads()).zip(media.stats());
    let workers: String = workers
        .map(|((addr, load), stats)| {
            let forwarded = stats.packets_forwarded;
            let WorkerLoad { rooms, transports } = load;
            format!("\n  media at UDP {addr}: rooms {rooms}, connections {transports}, packets forwarded {forwarded}")
        })
        .collect();
    format!(
        "Rotunda {} serves {}; rooms in progress: {rooms}{workers}",
        env!("CARGO_PKG_VERSION"),
        server.url()
    )
}

/// What becomes of the secrets that follow: told when they are made.
fn master_key_sentence(settings: &Settings) -> String {
    match (&settings.master_key, &settings.data) {
        (None, Data::Directory(directory)) => format!(
            "Secrets are sealed with {}: keep it beside backups, but not with them.\n\n",
            directory.join(master_key::FILE).display()
        ),
        _ => String::new(),
    }
}

/// The ports to be opened.
fn media_ports(addrs: &[SocketAddr]) -> String {
    let ports: Vec<u16> = addrs.iter().map(SocketAddr::port).collect();
    match (addrs, &ports[..]) {
        ([], _) | (_, []) => String::new(),
        ([only], _) => format!("UDP {only}"),
        ([first, ..], [.., last]) if ports.windows(2).all(|pair| pair[1] == pair[0].saturating_add(1)) => {
            format!("UDP {first} to {last}, a port for each of {} workers", addrs.len())
        }
        _ => {
            let addrs: Vec<String> = addrs.iter().map(SocketAddr::to_string).collect();
            format!("UDP {}, one for each worker", addrs.join(", "))
        }
    }
}

/// What an operator needs next. The secrets are in it only if this start made them.
fn greeting(server: &Server) -> String {
    let url = server.url();
    let owner = server.owner();
    let account = &owner.account;
    let addresses = format!(
        "  REST        {url}/v1\n  Signaling   {}\n  Media       {}\n",
        server.signaling_url(),
        media_ports(server.media_addrs())
    );
    if let (true, Some(key)) = (owner.fresh, &owner.api_key) {
        let master_key = master_key_sentence(&server.app().settings);
        format!(
            "Rotunda is ready.\n\n  Open        {url}/#account={}&key={}:{}\n{addresses}\n{master_key}\
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
