//! `rotunda accounts`: the accounts of a server.

use clap::{Args, Subcommand};
use room::{AccountSid, Timestamp};
use serde_json::json;
use store::{Account, SealedSecret};

use super::credential_change::{Output, overlap_s, sessions};
use super::moment::time_text;
use super::{Failure, print};
use crate::operator::{CredentialChange, CredentialChanged};
use crate::rooms::wall;
use crate::vault::is_valid;

pub(super) const EXAMPLES: &str = "Examples:
  rotunda accounts create --name Clinic           prints its SID and auth token, this once
  rotunda keys create --account AC...             what its applications make access tokens with
  rotunda accounts list
  rotunda accounts rotate AC... --overlap 7d      a new auth token; the old one is valid for a week more
  rotunda accounts suspend AC... --end-sessions   nobody may use it, and who is in a room is out
  rotunda accounts resume AC...";

/// Options of the command.
#[derive(Args)]
pub(super) struct AccountsArgs {
    #[command(subcommand)]
    command: AccountsCommand,
}

#[derive(Subcommand)]
enum AccountsCommand {
    /// Makes an account; prints its auth token, this once
    Create {
        /// What you call it
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Lists all accounts, oldest first, without secrets
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Lets nobody use an account from now on: REST answers 403, joins and resumes are refused
    Suspend {
        /// The account, AC...
        account: AccountSid,
        /// Disconnects its participants too
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Lets a suspended account be used again
    Resume {
        /// The account, AC...
        account: AccountSid,
        #[command(flatten)]
        output: Output,
    },
    /// Gives an account a new auth token; prints it, this once. Callbacks are signed with it from now on
    Rotate {
        /// The account, AC...
        account: AccountSid,
        /// How long older auth tokens stay valid, at most 30d; 0s ends them all at once
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap_s)]
        overlap: u64,
        #[command(flatten)]
        output: Output,
    },
}

/// Does it, and prints what came of it.
pub(super) fn run(args: &AccountsArgs) -> Result<(), Failure> {
    match &args.command {
        AccountsCommand::Create { name, output } => {
            output.change(CredentialChange::CreateAccount { name: name.clone() }, |changed| {
                format!(
                    "The account is there. Its auth token is shown this once:\n\n{}\nIts applications need an API key too: \
                     rotunda keys create --account {}\n",
                    secrets(changed),
                    changed.account_sid
                )
            })
        }
        AccountsCommand::List { output } => list(output),
        AccountsCommand::Suspend {
            account,
            end_sessions,
            output,
        } => {
            let change = CredentialChange::SuspendAccount {
                account: account.to_string(),
                end_sessions: *end_sessions,
            };
            output.change(change, |changed| {
                format!("{account} is suspended. `rotunda accounts resume {account}` ends that.\n{}", sessions(changed))
            })
        }
        AccountsCommand::Resume { account, output } => {
            let account = account.to_string();
            output.change(CredentialChange::ResumeAccount { account }, |changed| {
                format!("{} is active.\n", changed.account_sid)
            })
        }
        AccountsCommand::Rotate {
            account,
            overlap,
            output,
        } => {
            let change = CredentialChange::RotateAuthToken {
                account: account.to_string(),
                overlap_s: *overlap,
            };
            output.change(change, |changed| {
                format!(
                    "The new auth token is shown this once; callbacks are signed with it from now on:\n\n{}\n{}",
                    secrets(changed),
                    older(changed)
                )
            })
        }
    }
}

fn secrets(changed: &CredentialChanged) -> String {
    let token = changed.auth_token.as_deref().unwrap_or_default();
    format!("  Account SID     {}\n  Auth token      {token}\n", changed.account_sid)
}

/// What is told of the secrets before the new one.
pub(super) fn older(changed: &CredentialChanged) -> String {
    match changed.older_until_s {
        None => "Older ones are not valid any more.\n".to_owned(),
        Some(until_s) => format!("Older ones are valid until {} at the latest.\n", seconds_text(until_s)),
    }
}

fn list(output: &Output) -> Result<(), Failure> {
    let (accounts, keys) = output.stored()?;
    let now = wall();
    let keys_of = |sid| {
        keys.iter()
            .filter(|key| key.account == sid && key.revoked.is_none())
            .count()
    };
    if output.json {
        let line = |account: &Account| {
            let line = json!({
                "account_sid": account.sid.to_string(),
                "name": account.name,
                "created": account.created.map(time_text),
                "suspended": account.suspended.map(time_text),
                "auth_tokens": secrets_json(&account.auth_tokens, now),
                "api_keys": keys_of(account.sid),
            });
            format!("{line}\n")
        };
        return print(&accounts.iter().map(line).collect::<String>());
    }
    let mut text = format!(
        "{:<34}  {:<9}  {:<20}  {:<36}  {:<4}  NAME\n",
        "ACCOUNT", "STATE", "SINCE", "AUTH TOKENS", "KEYS"
    );
    for account in &accounts {
        let state = if account.suspended.is_some() {
            "suspended"
        } else {
            "active"
        };
        let line = format!(
            "{:<34}  {state:<9}  {:<20}  {:<36}  {:<4}  {}",
            account.sid.to_string(),
            account
                .suspended
                .or(account.created)
                .map_or_else(|| "-".to_owned(), short_time),
            secrets_text(&account.auth_tokens, now),
            keys_of(account.sid),
            account.name
        );
        text += line.trim_end();
        text.push('\n');
    }
    print(&text)
}

/// How many secrets are valid, and when the older ones end.
pub(super) fn secrets_text(secrets: &[SealedSecret], now: Timestamp) -> String {
    let valid: Vec<&SealedSecret> = secrets.iter().filter(|secret| is_valid(secret, now)).collect();
    match valid.iter().filter_map(|secret| secret.until).max() {
        None => valid.len().to_string(),
        Some(until) => format!("{}, older until {}", valid.len(), short_time(until)),
    }
}

/// Each secret that is valid by its times, newest first.
pub(super) fn secrets_json(secrets: &[SealedSecret], now: Timestamp) -> serde_json::Value {
    let valid = secrets.iter().filter(|secret| is_valid(secret, now));
    valid
        .map(|secret| json!({ "since": time_text(secret.since), "until": secret.until.map(time_text) }))
        .collect()
}

/// In UTC, to the second.
pub(super) fn short_time(at: Timestamp) -> String {
    let text = time_text(at);
    text.split_once('.')
        .map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn seconds_text(at_s: i64) -> String {
    short_time(Timestamp(at_s.saturating_mul(1_000_000)))
}
