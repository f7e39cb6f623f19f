//! `rotunda env`: what applications expect in their environment.

use clap::Args;
use store::{PostgresStore, SqliteStore, StoreError};

use super::{Failure, Options, dev, print, runtime, text, with_causes};
use crate::config::{self, Data, Raw, Settings};
use crate::credentials::{Account, ApiKey, Credentials};
use crate::master_key::MasterKey;
use crate::server::{DATABASE, StartError};
use crate::vault;

/// Options of the command.
#[derive(Args)]
pub(super) struct EnvArgs {
    /// With the fixed credentials of `rotunda dev`
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    options: Options,
}

/// Prints lines for a shell.
pub(super) fn run(args: &EnvArgs) -> Result<(), Failure> {
    let Known {
        account,
        api_key,
        settings,
    } = known(&args.options, args.dev)?;
    let local = || format!("{}://{}", settings.scheme(), config::local(settings.http_addr));
    let url = settings.public_url.clone().unwrap_or_else(local);
    let lines = [
        ("TWILIO_ACCOUNT_SID", account.sid.to_string()),
        ("TWILIO_AUTH_TOKEN", account.auth_token),
        ("TWILIO_API_KEY", api_key.sid.to_string()),
        ("TWILIO_API_KEY_SID", api_key.sid.to_string()),
        ("TWILIO_API_SECRET", api_key.secret.clone()),
        ("TWILIO_API_KEY_SECRET", api_key.secret),
        ("ROTUNDA_SIGNALING_URL", config::signaling_url(&url)),
        ("ROTUNDA_URL", url),
    ];
    print(
        &lines
            .map(|(name, value)| format!("export {name}={}\n", quoted(&value)))
            .concat(),
    )
}

/// What is known of a server without asking it.
pub(super) struct Known {
    /// The account.
    pub(super) account: Account,
    /// A key of it.
    pub(super) api_key: ApiKey,
    /// The addresses.
    pub(super) settings: Settings,
}

/// The preset credentials, else those of the data directory, which a running server does not mind;
/// or those of `rotunda dev`.
pub(super) fn known(options: &Options, of_dev: bool) -> Result<Known, Failure> {
    if of_dev {
        let mut settings = options.settings(
            &Raw {
                log: text("warn"),
                ..Raw::defaults()
            },
            Some(Data::Memory),
        )?;
        let account = settings.account.take().unwrap_or_else(dev::preset_account);
        let key = settings.api_key.take().unwrap_or_else(dev::preset_api_key);
        return Ok(Known {
            api_key: ApiKey {
                sid: key.sid,
                account: account.sid,
                secret: key.secret,
            },
            account: Account {
                sid: account.sid,
                auth_token: account.auth_token,
            },
            settings,
        });
    }
    let settings = options.settings(&Raw::defaults(), None)?;
    if let (Some(account), Some(key)) = (&settings.account, &settings.api_key) {
        return Ok(Known {
            api_key: ApiKey {
                sid: key.sid,
                account: account.sid,
                secret: key.secret.clone(),
            },
            account: Account {
                sid: account.sid,
                auth_token: account.auth_token.clone(),
            },
            settings,
        });
    }
    let Stored {
        place,
        accounts,
        keys,
        master_key,
    } = stored(&settings)?;
    let credentials = Credentials::default();
    if let Some(key) = master_key {
        credentials.replace(vault::opened(&accounts, &keys, &key).map_err(StartError::from)?);
    }
    let (wanted_account, wanted_key) = (
        settings.account.as_ref().map(|preset| preset.sid),
        settings.api_key.as_ref().map(|preset| preset.sid),
    );
    let account = accounts
        .iter()
        .filter(|account| account.suspended.is_none() && wanted_account.is_none_or(|sid| sid == account.sid))
        .find_map(|account| credentials.account(account.sid));
    let account = account.ok_or_else(|| {
        Failure::Other(format!(
            "there is no such account in {place}, or it is suspended; start `rotunda serve` once with it, \
             `rotunda accounts list` shows all"
        ))
    })?;
    let key = keys
        .iter()
        .filter(|key| key.account == account.sid && wanted_key.is_none_or(|sid| sid == key.sid))
        .find_map(|key| credentials.key(key.sid));
    let api_key = key.ok_or_else(|| {
        Failure::Other(format!(
            "there is no such API key in {place}, or it is revoked; `rotunda keys create` makes one"
        ))
    })?;
    Ok(Known {
        account,
        api_key,
        settings,
    })
}

/// What the database has, sealed, and where that is.
struct Stored {
    place: String,
    accounts: Vec<store::Account>,
    keys: Vec<store::ApiKey>,
    master_key: Option<MasterKey>,
}

fn stored(settings: &Settings) -> Result<Stored, Failure> {
    let Data::Directory(dir) = &settings.data else {
        return Err(Failure::Other("there is no data directory".to_owned()));
    };
    let given = settings.master_key.as_ref();
    if let Some(url) = &settings.database {
        let read = runtime()?.block_on(PostgresStore::read_credentials(url));
        let (accounts, keys) = read.map_err(|error| unreadable(&error))?;
        let is_sealed = vault::has_sealed(&accounts, &keys);
        return Ok(Stored {
            place: url.to_string(),
            master_key: MasterKey::kept_in(dir, given, || Ok(is_sealed)).map_err(StartError::from)?,
            accounts,
            keys,
        });
    }
    let file = dir.join(DATABASE);
    if !file.exists() {
        return Err(Failure::Other(format!(
            "there is no database in {}; `rotunda serve` makes it, --data-dir names another directory",
            dir.display()
        )));
    }
    let (accounts, keys) = SqliteStore::read_credentials(&file).map_err(|error| unreadable(&error))?;
    Ok(Stored {
        place: dir.display().to_string(),
        accounts,
        keys,
        master_key: MasterKey::of_database(given, &file).map_err(StartError::from)?,
    })
}

fn unreadable(error: &StoreError) -> Failure {
    Failure::Other(format!(
        "{}; run this as the user of the server, or set the ROTUNDA_ variables of the credentials",
        with_causes(error)
    ))
}

/// As one word for a shell.
fn quoted(value: &str) -> String {
    let plain = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte));
    if plain {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_change() {
        assert_eq!(quoted("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(quoted("a$b'c"), r"'a$b'\''c'");
        assert_eq!(quoted("http://[::1]:8080"), "'http://[::1]:8080'");
    }
}
