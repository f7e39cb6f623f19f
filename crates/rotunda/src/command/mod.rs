//! The program's command line: reads options, runs a command, tells faults in sentences.

mod accounts;
mod audit;
mod backup;
mod callbacks;
mod check;
mod credential_change;
mod data_dir;
mod dev;
mod drain;
mod env;
mod export;
mod import;
mod keys;
mod lines;
mod load;
mod migrate;
mod moment;
mod openapi;
mod progress;
mod restore;
mod serve;
mod signals;
mod span;
mod status;
mod token;

use std::error::Error;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, Data, Raw, Settings, Text, Written};
use crate::server::StartError;

/// Exit code of wrong options.
const EXIT_USAGE: u8 = 2;
/// Exit code of a master key that is missing, or not the database's.
const EXIT_MASTER_KEY: u8 = 3;
/// Exit code of everything else that went wrong.
const EXIT_FAILURE: u8 = 1;

const EXAMPLES: &str = "Examples:
  rotunda serve                                   on this machine, kept in ~/.local/share/rotunda
  rotunda serve --http-addr 0.0.0.0:8080 --public-url https://video.example.com
                                                  behind a proxy that does TLS
  rotunda serve --http-addr 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
  rotunda dev                                     for tests: nothing is kept, fixed credentials
  rotunda dev --tls                               so that a phone in the same network can join
  rotunda token --identity alice --room daily     an access token for one participant
  eval \"$(rotunda env)\"                           what applications read from their environment
  rotunda accounts create --name Clinic           another account, with rooms of its own
  rotunda keys create --account AC...             a key for one more application
  rotunda backup /backup/rotunda.db               a copy of the database, while it serves
  rotunda restore /backup/rotunda.db              goes on from the copy, also while it serves
  rotunda export installation.jsonl               everything, to move it to another database
  rotunda audit --since 7d                        who changed what in the last week
  rotunda callbacks list --state given-up         which status callbacks were not delivered
  rotunda check                                   whether the database is whole
  rotunda load                                    what this machine carries

Options go over environment variables (ROTUNDA_HTTP_ADDR), these over the file of --config, that over
the defaults. config.default.toml lists them all.";

/// Video rooms on your own machines.
#[derive(Parser)]
#[command(name = "rotunda", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves; makes its database, an account and an API key at the first start
    Serve {
        #[command(flatten)]
        options: Options,
    },
    /// Serves for development and tests: nothing is kept, the credentials are fixed
    ///
    /// Prints one line of JSON with addresses and credentials when it is ready. Logs go to stderr.
    #[command(mut_arg("data_dir", |arg| arg.hide(true)))]
    Dev(dev::DevArgs),
    /// Prints an access token, which lets one participant into a room
    Token(token::TokenArgs),
    /// Prints what applications expect in their environment: credentials and addresses
    Env(env::EnvArgs),
    /// Makes accounts, suspends and resumes them, and gives them new auth tokens, also while the server runs
    ///
    /// An account has rooms of its own, which no other account can see or name. Its auth token is one way to ask
    /// the REST API, and signs status callbacks. Secrets are printed once, when they are made.
    #[command(after_help = accounts::EXAMPLES)]
    Accounts(accounts::AccountsArgs),
    /// Makes API keys, revokes them, and gives them new secrets, also while the server runs
    ///
    /// A key belongs to an account. Its secret signs access tokens, and is another way to ask the REST API: give each
    /// application a key of its own, so that one can be revoked alone. Secrets are printed once, when they are made.
    #[command(after_help = keys::EXAMPLES)]
    Keys(keys::KeysArgs),
    /// Prints who changed what by REST and by operators' commands, oldest first, also while the server runs
    ///
    /// Each change has its line from the same moment on: when, by which account's or key's secret, from which
    /// address, what, and how it was answered. Requests that changed nothing have none.
    Audit(audit::AuditArgs),
    /// Shows status callbacks and their attempts, and delivers again what was given up; also while the server runs
    #[command(subcommand, after_help = callbacks::EXAMPLES)]
    Callbacks(callbacks::CallbacksCommand),
    /// Makes a copy of the database in one file, also while the server runs
    ///
    /// The copy is of one moment, checked, synced, and readable for its owner alone: it holds all
    /// credentials. It gets its name when it is whole, and takes no other file's name without --force.
    Backup(backup::BackupArgs),
    /// Puts a backup in the place of the database, also while the server runs
    ///
    /// The backup is copied and checked first. A running server then starts anew on the copy: calls
    /// that the backup knows go on after a few seconds, others end. What was there before is kept
    /// beside, and its name is told.
    Restore(restore::RestoreArgs),
    /// Writes everything to one file that is of no database, also while the server runs
    ///
    /// With `rotunda import` an installation moves from SQLite to PostgreSQL, back, or to another machine. Stop the
    /// server first to move; what changes after the export is not in it. The file has the secrets of accounts and keys
    /// sealed, so keep the master key with it. It is readable for its owner alone.
    #[command(after_help = export::EXAMPLES)]
    Export(export::ExportArgs),
    /// Takes everything from a file that `rotunda export` made, into a database that is empty
    ///
    /// All of it or nothing: the rows are counted and compared again, and checked as by `rotunda check`, before
    /// anything is there for a server to see. It needs the master key of the installation that was exported.
    #[command(after_help = import::EXAMPLES)]
    Import(import::ImportArgs),
    /// Brings a PostgreSQL database up to date, once, however many start this at the same time
    ///
    /// `rotunda serve` does so by itself; with this it is done before, by a user that may change the schema.
    Migrate(migrate::MigrateArgs),
    /// Verifies that a database is whole, also while the server runs; changes nothing
    ///
    /// Prints a line for each row that breaks an invariant, with its SID, and ends with exit code 1
    /// then. docs/operations.md lists the invariants.
    Check(check::CheckArgs),
    /// Puts a server under load: scripted participants with media, and what they cost
    #[command(after_help = load::EXAMPLES)]
    Load(load::LoadArgs),
    /// Prints the description of the REST API, an OpenAPI 3.0 document, as /openapi.json serves it
    Openapi(openapi::OpenapiArgs),
    /// Tells whether a server runs on the data directory, and what it serves
    Status(data_dir::DataDir),
    /// Takes nobody new, waits until calls have ended, and stops the server; for taking a machine out of service
    Drain(drain::DrainArgs),
}

/// What all commands take.
#[derive(Args)]
struct Options {
    /// TOML file with options; config.default.toml is one [env: ROTUNDA_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    raw: Raw,
}

impl Options {
    /// What they mean, above these defaults. `data` overrules the data directory.
    fn settings(&self, defaults: &Raw, data: Option<Data>) -> Result<Settings, Failure> {
        let environment = |name: &str| std::env::var(name).ok();
        let file = self.config.clone().or_else(|| {
            std::env::var_os("ROTUNDA_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        });
        let written = Written::collect(&self.raw, &environment, file.as_deref(), defaults)?;
        Ok(Settings::understand(&written, &environment, data)?)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Options are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An option is wrong in a way that only one command knows.
    #[error("{0}")]
    Usage(String),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// One sentence for each fault, with what to do next.
    fn sentences(&self) -> Vec<String> {
        match self {
            Self::Config(error) => error.faults.clone(),
            Self::Usage(sentence) | Self::Other(sentence) => vec![sentence.clone()],
            Self::Start(error) => {
                let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
                vec![format!("{}{advice}", with_causes(error))]
            }
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => EXIT_USAGE,
            Self::Start(StartError::MasterKey(_)) => EXIT_MASTER_KEY,
            Self::Start(_) | Self::Other(_) => EXIT_FAILURE,
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        Command::Serve { options } => serve::run(&options),
        Command::Dev(args) => dev::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Accounts(args) => accounts::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Callbacks(command) => callbacks::run(&command),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Openapi(args) => openapi::run(&args),
        Command::Status(data) => status::run(&data),
        Command::Drain(args) => drain::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut stderr = std::io::stderr().lock();
            for sentence in failure.sentences() {
                // Nobody is left to tell if stderr is closed.
                writeln!(stderr, "rotunda: {sentence}").ok();
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help goes out as it is; a fault of the command line becomes one sentence.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        error.print().ok();
        return if error.use_stderr() {
            ExitCode::from(EXIT_USAGE)
        } else {
            ExitCode::SUCCESS
        };
    }
    let text = error.render().to_string();
    let fault = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .strip_prefix("error: ")
        .unwrap_or(&text);
    let fault = fault.split_whitespace().collect::<Vec<_>>().join(" ");
    let meant = meant(error)
        .map(|word| format!(" (did you mean {word}?)"))
        .unwrap_or_default();
    let command = command_named(std::env::args_os());
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "rotunda: {fault}{meant}; see `{command} --help`").ok();
    ExitCode::from(EXIT_USAGE)
}

/// What there is that is like the word that there is not.
fn meant(error: &clap::Error) -> Option<&str> {
    use clap::error::{ContextKind, ContextValue};
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        // The likest is the last.
        ContextValue::Strings(words) => words.last().map(String::as_str),
        _ => None,
    })
}

/// The command that a command line is of, as far as there is one: `rotunda keys create`.
fn command_named(args: impl Iterator<Item = OsString>) -> String {
    let mut command = Cli::command();
    let mut name = command.get_name().to_owned();
    for word in args.skip(1) {
        let Some(named) = command.find_subcommand(&word).cloned() else {
            break;
        };
        name = format!("{name} {}", named.get_name());
        command = named;
    }
    name
}

/// What failed, and why, to the last cause.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Logs go to stderr.
fn start_log(levels: Targets) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(levels).with(lines).init();
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("the runtime cannot be started: {error}")))
}

/// Prints to stdout, where scripts read it; a closed stdout is a failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::Other(format!("standard output cannot be written: {error}")))
}

/// The options above these, for commands that have defaults of their own.
fn text(value: &str) -> Option<Text> {
    Some(Text(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
