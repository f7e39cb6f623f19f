//! `rotunda callbacks`: shows status callbacks and their attempts, and has them delivered again.

use clap::{Args, Subcommand};
use room::RoomSid;
use serde_json::{Value, json};
use store::limits::CALLBACK_ROWS_MAX;
use store::{
    AttemptRow, CallbackFilter, CallbackRow, CallbackState, DatabaseLock, DatabaseUrl, PostgresStore, SqliteStore,
};

use super::data_dir::DataDir;
use super::lines::{Lines, Stop, unreadable};
use super::moment::{self, Moment, now, time_text};
use super::status::unanswered;
use super::{Failure, print, runtime};
use crate::operator::{self, AskError, Request};
use crate::server::StartError;
use crate::webhooks::{self, Again};

pub(super) const EXAMPLES: &str = "Examples:
  rotunda callbacks list --state given-up           what no receiver has, and why
  rotunda callbacks list --room RM... --since 4h    what happened to a room's callbacks
  rotunda callbacks show 17                         each attempt at one of them
  rotunda callbacks redeliver 17                    delivers it again, whatever became of it
  rotunda callbacks redeliver --receiver hooks.example.com --since 2d
                                                    delivers again what that receiver missed

A callback is due (on its way, or to be tried again), waiting (behind another one of its room), delivered, or
given-up: refused by the receiver, or not taken in ten attempts over 3 h 43 min. Those of a room stay in their
order. What is delivered again keeps its SequenceNumber and Timestamp.";

/// What to do.
#[derive(Subcommand)]
pub(super) enum CallbacksCommand {
    /// Prints callbacks, oldest first, a line each
    List(ListArgs),
    /// Prints one callback with its latest attempts; bodies are not kept
    Show(ShowArgs),
    /// Delivers again one callback, or all that were given up and match; writes a line of the audit log
    Redeliver(RedeliverArgs),
}

/// Which callbacks.
#[derive(Args)]
struct Which {
    /// Only those of this room, RM...
    #[arg(long, value_name = "SID")]
    room: Option<RoomSid>,
    /// Only those of this receiver: a host, or host and port
    #[arg(long, value_name = "HOST[:PORT]")]
    receiver: Option<String>,
    /// Only those whose event happened since: a time, such as 2026-02-28 or 2026-02-28T09:30:00Z, or so long ago: 90s, 30m, 4h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Moment>,
    /// Only those whose event happened before this time
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    before: Option<Moment>,
}

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only those that are: due, waiting, delivered, given-up
    #[arg(long)]
    state: Option<CallbackState>,
    #[command(flatten)]
    which: Which,
    /// One line of JSON for each callback
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    /// The callback's number, the first column of the list
    number: i64,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

#[derive(Args)]
pub(super) struct RedeliverArgs {
    /// The callback's number, the first column of the list; delivered ones go again, too
    #[arg(conflicts_with_all = ["room", "receiver", "since", "before", "all"])]
    number: Option<i64>,
    #[command(flatten)]
    which: Which,
    /// All that were given up
    #[arg(long, conflicts_with_all = ["room", "receiver", "since", "before"])]
    all: bool,
    #[command(flatten)]
    data: DataDir,
}

impl Which {
    fn filter(&self, state: Option<CallbackState>) -> CallbackFilter {
        let now = now();
        CallbackFilter {
            state,
            room: self.room,
            receiver: self.receiver.as_ref().map(|receiver| receiver.to_ascii_lowercase()),
            since: self.since.map(|since| since.before(now)),
            before: self.before.map(|before| before.before(now)),
        }
    }
}

pub(super) fn run(command: &CallbacksCommand) -> Result<(), Failure> {
    match command {
        CallbacksCommand::List(args) => list(args),
        CallbacksCommand::Show(args) => show(args),
        CallbacksCommand::Redeliver(args) => redeliver(args),
    }
}

/// Reads the database; the running server does not notice.
fn list(args: &ListArgs) -> Result<(), Failure> {
    let filter = args.which.filter(args.state);
    let mut lines = Lines::new((!args.json).then_some(&HEAD));
    let mut tell = |row: CallbackRow| {
        lines.tell(&if args.json {
            json_of(&row).to_string()
        } else {
            table_line(&row)
        })
    };
    let read = match args.data.database()? {
        Some(url) => runtime()?.block_on(read_apart(&url, &filter, &mut tell)),
        None => SqliteStore::read_callbacks(&args.data.database_file()?, &filter, &mut tell),
    };
    lines.end(CALLBACKS, read)
}

/// Tells all callbacks of a database that is apart.
async fn read_apart(
    url: &DatabaseUrl,
    filter: &CallbackFilter,
    tell: &mut impl FnMut(CallbackRow) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut after = 0;
    loop {
        let rows = PostgresStore::read_callbacks(url, filter, after, CALLBACK_ROWS_MAX).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        rows.into_iter().try_for_each(&mut *tell)?;
    }
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let found = match args.data.database()? {
        Some(url) => runtime()?.block_on(PostgresStore::read_callback(&url, args.number)),
        None => SqliteStore::read_callback(&args.data.database_file()?, args.number),
    };
    let Some((row, attempts)) = found.map_err(|error| unreadable(CALLBACKS, &error))? else {
        return Err(Failure::Other(format!(
            "there is no callback {}; `rotunda callbacks list` prints their numbers",
            args.number
        )));
    };
    if args.json {
        let mut value = json_of(&row);
        value["latest_attempts"] = attempts
            .iter()
            .map(|attempt| json!({ "time": time_text(attempt.at), "answer": answer_of(&attempt.answer) }))
            .collect();
        return print(&format!("{value}\n"));
    }
    print(&told(&row, &attempts))
}

fn told(row: &CallbackRow, attempts: &[AttemptRow]) -> String {
    let state = match row.state {
        CallbackState::Due => format!("due: on its way, or tried again at {}", time_text(row.due)),
        CallbackState::Waiting => "waiting behind another one of its room".to_owned(),
        CallbackState::Delivered => format!("delivered at {}", time_text(row.due)),
        CallbackState::GivenUp => format!(
            "given up at {}; deliver it again with `rotunda callbacks redeliver {}`",
            time_text(row.due),
            row.id
        ),
    };
    let mut text = format!(
        "Callback    {}\nRoom        {}\nEvent       {} at {}\nSequence    {}\nReceiver    {}\nState       {state}\nAttempts    {}\n",
        row.id,
        row.room,
        row.event.as_str(),
        time_text(row.at),
        row.sequence,
        row.receiver,
        row.attempts,
    );
    for attempt in attempts {
        text += &format!("  {}  {}\n", time_text(attempt.at), answer_of(&attempt.answer));
    }
    text
}

/// Has the running server do it; does it itself where none runs.
fn redeliver(args: &RedeliverArgs) -> Result<(), Failure> {
    let directory = args.data.directory()?;
    let filter = args.which.filter(None);
    if args.number.is_none() && !args.all && filter == CallbackFilter::default() {
        return Err(Failure::Usage(
            "which callbacks? Give the number of one, or --room, --receiver, --since or --before, or --all for all that were given up"
                .to_owned(),
        ));
    }
    let request = Request::RedeliverCallbacks {
        id: args.number,
        room: filter.room.map(|room| room.to_string()),
        receiver: filter.receiver.clone(),
        since_us: filter.since.map(|at| at.0),
        before_us: filter.before.map(|at| at.0),
    };
    let again = args.number.map_or(Again::GivenUp(filter), Again::One);
    let done = match operator::ask(&directory, &request, |_| ()) {
        Ok(sentence) => sentence,
        Err(AskError::NotServing { .. }) => by_itself(&args.data, &again)?,
        Err(error) => return Err(unanswered(&error, &directory)),
    };
    print(&format!("{done}\n"))
}

fn by_itself(data: &DataDir, again: &Again) -> Result<String, Failure> {
    // From now on no server starts.
    let made_due = match data.database()? {
        Some(url) => runtime()?.block_on(async {
            let store = PostgresStore::open(&url).await?;
            webhooks::redeliver(&store, again.clone()).await
        }),
        None => {
            let lock = DatabaseLock::take(&data.database_file()?).map_err(StartError::from)?;
            let store = SqliteStore::open_locked(lock).map_err(StartError::from)?;
            runtime()?.block_on(webhooks::redeliver(&store, again.clone()))
        }
    };
    match made_due.map_err(|error| unreadable(CALLBACKS, &error))? {
        0 => Err(Failure::Other(webhooks::sentence(again, 0))),
        count => Ok(format!(
            "{}; the next start of the server delivers them",
            webhooks::sentence(again, count)
        )),
    }
}

/// What cannot be read where a read fails.
const CALLBACKS: &str = "the callbacks";

/// Widths of the columns are those of what usually stands in them.
const HEAD: [&str; 9] = [
    "CALLBACK",
    "TIME                    ",
    "STATE    ",
    "ROOM                              ",
    "SEQUENCE",
    "EVENT                   ",
    "ATTEMPTS",
    "LAST ANSWER         ",
    "RECEIVER",
];

fn table_line(row: &CallbackRow) -> String {
    let cells = [
        row.id.to_string(),
        time_text(row.at),
        row.state.to_string(),
        row.room.to_string(),
        row.sequence.to_string(),
        row.event.as_str().to_owned(),
        row.attempts.to_string(),
        row.last.as_ref().map_or_else(|| "-".to_owned(), answer_of),
        row.receiver.clone(),
    ];
    let padded = cells
        .iter()
        .zip(HEAD)
        .map(|(cell, head)| format!("{cell:<width$}", width = head.len()));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn answer_of(answer: &Result<u16, String>) -> String {
    match answer {
        Ok(status) => format!("HTTP {status}"),
        Err(error) => error.clone(),
    }
}

fn json_of(row: &CallbackRow) -> Value {
    json!({
        "callback": row.id,
        "time": time_text(row.at),
        "state": row.state.as_str(),
        "room": row.room.to_string(),
        "sequence": row.sequence,
        "event": row.event.as_str(),
        "due": time_text(row.due),
        "attempts": row.attempts,
        "receiver": row.receiver,
        "last_answer": row.last.as_ref().map(answer_of),
    })
}
