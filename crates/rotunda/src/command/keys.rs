//! `rotunda keys`: the API keys of accounts.

use clap::{Args, Subcommand};
use room::{AccountSid, ApiKeySid};
use serde_json::json;
use store::ApiKey;

use super::accounts::{older, secrets_json, secrets_text, short_time};
use super::credential_change::{Output, overlap_s, sessions};
use super::moment::time_text;
use super::{Failure, print};
use crate::operator::{CredentialChange, CredentialChanged};
use crate::rooms::wall;

pub(super) const EXAMPLES: &str = "Examples:
  rotunda keys create --name website              of the only account; prints its secret, this once
  rotunda keys create --account AC... --name app
  rotunda keys list --account AC...
  rotunda keys rotate SK... --overlap 24h         a new secret; the old one is valid for a day more
  rotunda keys revoke SK... --end-sessions        for ever; who joined with it is out";

/// Options of the command.
#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Makes a key; prints its secret, this once
    Create {
        /// The account it is for, AC... [default: the only one there is]
        #[arg(long, value_name = "SID")]
        account: Option<AccountSid>,
        /// What you call it
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Lists keys, oldest first, without secrets
    List {
        /// Those of this account alone, AC...
        #[arg(long, value_name = "SID")]
        account: Option<AccountSid>,
        #[command(flatten)]
        output: Output,
    },
    /// Lets nobody use a key any more, for ever: REST answers 401, joins and resumes are refused
    Revoke {
        /// The key, SK...
        key: ApiKeySid,
        /// Disconnects participants that joined with it too
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Gives a key a new secret; prints it, this once
    Rotate {
        /// The key, SK...
        key: ApiKeySid,
        /// How long older secrets stay valid, at most 30d; 0s ends them all at once
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap_s)]
        overlap: u64,
        #[command(flatten)]
        output: Output,
    },
}

/// Does it, and prints what came of it.
pub(super) fn run(args: &KeysArgs) -> Result<(), Failure> {
    match &args.command {
        KeysCommand::Create { account, name, output } => {
            let account = match account {
                Some(account) => account.to_string(),
                None => output.only_account()?,
            };
            let name = name.clone();
            output.change(CredentialChange::CreateKey { account, name }, |changed| {
                format!(
                    "The API key is there. Its secret is shown this once:\n\n  Account SID     {}\n{}",
                    changed.account_sid,
                    secrets(changed)
                )
            })
        }
        KeysCommand::List { account, output } => list(*account, output),
        KeysCommand::Revoke {
            key,
            end_sessions,
            output,
        } => {
            let change = CredentialChange::RevokeKey {
                key: key.to_string(),
                end_sessions: *end_sessions,
            };
            output.change(change, |changed| format!("{key} is revoked.\n{}", sessions(changed)))
        }
        KeysCommand::Rotate { key, overlap, output } => {
            let change = CredentialChange::RotateKey {
                key: key.to_string(),
                overlap_s: *overlap,
            };
            output.change(change, |changed| {
                format!(
                    "The new secret is shown this once:\n\n{}\n{}",
                    secrets(changed),
                    older(changed)
                )
            })
        }
    }
}

fn secrets(changed: &CredentialChanged) -> String {
    let sid = changed.api_key_sid.as_deref().unwrap_or_default();
    let secret = changed.secret.as_deref().unwrap_or_default();
    format!("  API key SID     {sid}\n  API key secret  {secret}\n")
}

fn list(account: Option<AccountSid>, output: &Output) -> Result<(), Failure> {
    let (_, keys) = output.stored()?;
    let now = wall();
    let wanted = keys
        .iter()
        .filter(|key| account.is_none_or(|account| account == key.account));
    if output.json {
        let line = |key: &ApiKey| {
            let line = json!({
                "api_key_sid": key.sid.to_string(),
                "account_sid": key.account.to_string(),
                "name": key.name,
                "created": key.created.map(time_text),
                "revoked": key.revoked.map(time_text),
                "secrets": secrets_json(&key.secrets, now),
            });
            format!("{line}\n")
        };
        return print(&wanted.map(line).collect::<String>());
    }
    let mut text = format!(
        "{:<34}  {:<34}  {:<7}  {:<20}  {:<36}  NAME\n",
        "API KEY", "ACCOUNT", "STATE", "SINCE", "SECRETS"
    );
    for key in wanted {
        let state = if key.revoked.is_some() { "revoked" } else { "active" };
        let line = format!(
            "{:<34}  {:<34}  {state:<7}  {:<20}  {:<36}  {}",
            key.sid.to_string(),
            key.account.to_string(),
            key.revoked.or(key.created).map_or_else(|| "-".to_owned(), short_time),
            secrets_text(&key.secrets, now),
            key.name
        );
        text += line.trim_end();
        text.push('\n');
    }
    print(&text)
}
