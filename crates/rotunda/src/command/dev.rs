//! `rotunda dev`: a server for development and tests. Nothing is kept, the credentials are fixed.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use room::{AccountSid, ApiKeySid};
use serde_json::json;

use super::serve::serve;
use super::{Failure, Options, print, start_log, text};
use crate::config::{self, Certificate, Data, List, PresetAccount, PresetApiKey, Raw, Settings};
use crate::server::Server;
use crate::tls;

/// The account of every `rotunda dev`.
pub(super) const ACCOUNT_SID: AccountSid = AccountSid::from_bytes([0xdd; 16]);
/// Its auth token.
pub(super) const AUTH_TOKEN: &str = "devAuthTokenNotForProduction";
/// Its API key.
pub(super) const API_KEY_SID: ApiKeySid = ApiKeySid::from_bytes([0xdd; 16]);
/// The key's secret.
pub(super) const API_KEY_SECRET: &str = "devApiKeySecretNotForProduction";

/// Options of the command.
#[derive(Args)]
pub(super) struct DevArgs {
    /// Serves HTTPS with a throw-away authority, by default on 0.0.0.0:8443, so that phones can join
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    options: Options,
}

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(args: &DevArgs) -> Result<(), Failure> {
    let raw = &args.options.raw;
    if raw.data_dir.is_some() {
        return Err(Failure::Usage(
            "--data-dir: `rotunda dev` keeps nothing; use `rotunda serve`".to_owned(),
        ));
    }
    let mut defaults = Raw {
        log: text("warn"),
        callback_allow: Some(List(vec!["loopback".to_owned(), "private".to_owned()])),
        ..Raw::defaults()
    };
    if args.tls {
        defaults.http_addr = text("0.0.0.0:8443");
    }
    let mut settings = args.options.settings(&defaults, Some(Data::Memory))?;
    start_log(settings.log.clone());
    settings.account.get_or_insert_with(preset_account);
    settings.api_key.get_or_insert_with(preset_api_key);
    settings.credentials_in_page = true;
    if args.tls {
        if settings.certificate.is_some() {
            return Err(Failure::Usage(
                "--tls: a certificate is given too; leave one of the two away".to_owned(),
            ));
        }
        let addresses = config::covered(settings.http_addr.ip());
        settings.certificate = Some(
            tls::throwaway(&addresses)
                .map_err(|error| Failure::Other(format!("the throw-away certificate cannot be made: {error}")))?,
        );
    }
    serve(settings, ready)
}

/// The account, with its fixed token.
pub(super) fn preset_account() -> PresetAccount {
    PresetAccount {
        sid: ACCOUNT_SID,
        auth_token: AUTH_TOKEN.to_owned(),
    }
}

/// The key, with its fixed secret.
pub(super) fn preset_api_key() -> PresetApiKey {
    PresetApiKey {
        sid: API_KEY_SID,
        secret: API_KEY_SECRET.to_owned(),
    }
}

/// Tells the program that waits for it: one line of JSON. People with phones read stderr.
fn ready(server: &Server) -> Result<(), Failure> {
    let settings = &server.app().settings;
    let owner = server.owner();
    let key = owner.api_key.as_ref();
    let media = server.media_addrs().iter().map(|addr| config::local(*addr).to_string());
    let media: Vec<String> = media.collect();
    let mut line = json!({
        "http": server.url(),
        "signaling": server.signaling_url(),
        "media": media.first(),
        "media_workers": media,
        "account_sid": owner.account.sid.to_string(),
        "auth_token": owner.account.auth_token,
        "api_key_sid": key.map(|key| key.sid.to_string()),
        "api_key_secret": key.map(|key| &key.secret),
        "page": format!("{}/", server.url()),
    });
    if let Some(Certificate::Throwaway { ca, .. }) = &settings.certificate {
        let file = write_authority(ca)?;
        line["ca"] = json!(file);
        eprint!("{}", phone_help(settings, server.http_addr(), &file));
    }
    print(&format!("{line}\n"))
}

/// The authority's certificate as a file, for programs on this machine.
fn write_authority(ca: &str) -> Result<String, Failure> {
    let file = std::env::temp_dir().join(format!("rotunda-dev-ca-{}.pem", std::process::id()));
    std::fs::write(&file, ca)
        .map_err(|error| Failure::Other(format!("{} cannot be written: {error}", file.display())))?;
    Ok(file.display().to_string())
}

fn phone_help(settings: &Settings, bound: SocketAddr, file: &str) -> String {
    let addresses = config::covered(bound.ip());
    let lan: Vec<&IpAddr> = addresses.iter().filter(|ip| !ip.is_loopback()).collect();
    let mut help = format!("The certificate of this run's authority: {file}\n");
    if lan.is_empty() {
        help += "Only this machine can reach the server: give --http-addr 0.0.0.0:8443 for others.\n";
        return help;
    }
    help += "On a phone in the same network, open one of these, install the certificate and trust it\n\
             (iOS: Settings > General > About > Certificate Trust Settings; Android: Settings > Security >\n\
             Install a certificate > CA certificate):\n";
    for ip in &lan {
        help += &format!(
            "  {}://{}{}\n",
            settings.scheme(),
            SocketAddr::new(**ip, bound.port()),
            tls::AUTHORITY_PATH
        );
    }
    help += "Then open the page there:\n";
    for ip in &lan {
        help += &format!("  {}://{}/\n", settings.scheme(), SocketAddr::new(**ip, bound.port()));
    }
    help += "The authority is gone with this process: remove its certificate from the phone afterwards.\n";
    help
}
