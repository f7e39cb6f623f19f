//! What the options mean, checked.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use room::{AccountSid, ApiKeySid};
use sfu::MediaEngine;
use store::DatabaseUrl;
use tracing_subscriber::filter::Targets;
use url::Url;

use super::raw::{Raw, SecretText, Text};
use super::rooms::RoomSettings;
use super::{ConfigError, Environment, Written};
use crate::door::DoorSettings;
use crate::limits;
use crate::master_key::MasterKey;
use crate::proxy::TrustedProxies;
use crate::retention::Keep;
use crate::webhooks::{AddressKind, AddressRule};

/// How the server is set up. Holds secrets, which its `Debug` does not show.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where rows are kept, unless in a database that is apart; and where operators reach the server.
    pub data: Data,
    /// A PostgreSQL database that keeps the rows.
    pub database: Option<DatabaseUrl>,
    /// Where HTTP is served; port 0 takes a free one.
    pub http_addr: SocketAddr,
    /// Where media arrives, by UDP: an address for each worker. Port 0 takes a free one.
    pub media_addrs: Vec<SocketAddr>,
    /// What carries the media.
    pub media_engine: MediaEngine,
    /// Each media worker's thread stays on a processor.
    pub pin_media_workers: bool,
    /// Tracks of sound that a participant is sent, the loudest of those it subscribes to; `None`: all.
    pub loudest_audio: Option<NonZeroUsize>,
    /// Where browsers send media; empty: found by [`Settings::candidates`].
    pub advertise: Vec<Advertised>,
    /// Scheme, host and port under which applications reach the server, without a slash at the
    /// end. `None`: what each request names.
    pub public_url: Option<String>,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: TrustedProxies,
    /// With it HTTPS and WSS are served, without it HTTP and WS.
    pub certificate: Option<Certificate>,
    /// Origins that may read answers with credentials; empty: any may, without (rest.md 26.7).
    pub cors_allow_origins: Vec<String>,
    /// How long a participant whose connection was lost stays in the room.
    pub session_timeout: Duration,
    /// What rooms may be made with.
    pub rooms: RoomSettings,
    /// How many and how fast.
    pub door: DoorSettings,
    /// Where callbacks may go.
    pub callbacks: AddressRule,
    /// How long what is over is kept.
    pub keep: Keep,
    /// Seals the secrets in the database; `None`: the one in the data directory.
    pub master_key: Option<MasterKey>,
    /// Made or changed at the start.
    pub account: Option<PresetAccount>,
    /// Made or changed at the start.
    pub api_key: Option<PresetApiKey>,
    /// Whether the page gets the credentials by itself. Only for development: everybody who can
    /// open the page has them.
    pub credentials_in_page: bool,
    /// What is logged.
    pub log: Targets,
}

/// Where rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In this directory, made when missing.
    Directory(PathBuf),
    /// In memory, gone with the process.
    Memory,
}

/// An address for candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertised {
    /// The address.
    pub ip: IpAddr,
    /// Its port, of the first worker; the others have those that follow. `None`: the ones that media is bound to.
    pub port: Option<u16>,
}

/// The server's certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files.
    Files {
        /// The chain, the server's own first.
        chain: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// PEM texts of a throw-away authority.
    Throwaway {
        /// The server's certificate.
        chain: String,
        /// Its private key.
        key: String,
        /// The authority's certificate, which clients are to trust. Served at `/ca.pem`.
        ca: String,
    },
}

/// An account that was set up from outside.
#[derive(Clone, PartialEq, Eq)]
pub struct PresetAccount {
    /// `AC…`
    pub sid: AccountSid,
    /// Signs callbacks.
    pub auth_token: String,
}

/// An API key that was set up from outside.
#[derive(Clone, PartialEq, Eq)]
pub struct PresetApiKey {
    /// `SK…`
    pub sid: ApiKeySid,
    /// Verifies access tokens.
    pub secret: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { chain, key } => f.debug_struct("Files").field("chain", chain).field("key", key).finish(),
            Self::Throwaway { .. } => f.write_str("Throwaway { .. }"),
        }
    }
}

impl fmt::Debug for PresetAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresetAccount({}, ..)", self.sid)
    }
}

impl fmt::Debug for PresetApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresetApiKey({}, ..)", self.sid)
    }
}

impl Settings {
    /// For tests: everything on free loopback ports, rows in memory.
    pub fn ephemeral() -> Self {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            data: Data::Memory,
            database: None,
            http_addr: local,
            media_addrs: vec![local; ephemeral_workers()],
            media_engine: ephemeral_engine(),
            pin_media_workers: false,
            loudest_audio: None,
            advertise: Vec::new(),
            public_url: None,
            trusted_proxies: TrustedProxies::default(),
            certificate: None,
            cors_allow_origins: Vec::new(),
            session_timeout: Duration::from_secs(30),
            rooms: RoomSettings::default(),
            door: DoorSettings::default(),
            callbacks: AddressRule::allowing_kinds([AddressKind::Loopback]),
            keep: Keep::default(),
            master_key: None,
            account: None,
            api_key: None,
            credentials_in_page: false,
            log: Targets::new(),
        }
    }

    /// What the options mean, or all that is wrong with them. `data` overrules the data directory.
    pub fn understand(
        written: &Written,
        environment: &dyn Environment,
        data: Option<Data>,
    ) -> Result<Self, ConfigError> {
        let raw = &written.raw;
        let mut reader = Reader {
            written,
            faults: Vec::new(),
        };
        let data = data.or_else(|| reader.data_dir(raw.data_dir.as_ref(), environment));
        let database = reader.database(raw);
        let http_addr = reader.address("http_addr", raw.http_addr.as_ref());
        let media_addr = reader.address("media_addr", raw.media_addr.as_ref());
        let media_workers = reader.number("media_workers", raw.media_workers.as_ref(), limits::MEDIA_WORKERS);
        let media_addrs = media_addr
            .zip(media_workers)
            .and_then(|(first, workers)| reader.media_addrs(first, workers));
        let pin_media_workers = reader.flag("pin_media_workers", raw.pin_media_workers.as_ref());
        let loudest_audio = reader.number("loudest_audio", raw.loudest_audio.as_ref(), limits::LOUDEST_AUDIO);
        let media_engine = reader.media_engine(environment);
        let advertise = reader.each(
            "advertise_addr",
            raw.advertise_addr.iter().flat_map(|list| &list.0),
            advertised,
        );
        reader.check_advertised(&advertise, media_addrs.as_ref().map_or(1, Vec::len));
        let public_url = reader.optional("public_url", raw.public_url.as_ref(), origin);
        let trusted_proxies = reader.each(
            "trusted_proxies",
            raw.trusted_proxies.iter().flat_map(|list| &list.0),
            network,
        );
        let certificate = reader.certificate(raw.tls_cert.as_ref(), raw.tls_key.as_ref());
        let cors = reader.each(
            "cors_allow_origins",
            raw.cors_allow_origins.iter().flat_map(|list| &list.0),
            origin,
        );
        let session_timeout_s = reader.number(
            "session_timeout_s",
            raw.session_timeout_s.as_ref(),
            limits::SESSION_TIMEOUT_S,
        );
        let rooms = reader.rooms(raw);
        let door = reader.door(raw);
        let callbacks = reader.each(
            "callback_allow",
            raw.callback_allow.iter().flat_map(|list| &list.0),
            |text| AddressRule::allowing([text]),
        );
        let keep = Keep {
            rooms: reader.days("keep_rooms_days", raw.keep_rooms_days.as_ref()),
            events: reader.days("keep_events_days", raw.keep_events_days.as_ref()),
            callbacks: reader.days("keep_callbacks_days", raw.keep_callbacks_days.as_ref()),
            audit: reader.days("keep_audit_days", raw.keep_audit_days.as_ref()),
        };
        let log = reader.optional("log", raw.log.as_ref(), |text| {
            text.parse::<Targets>()
                .map_err(|_| "a level such as info, or levels by module such as info,sfu=debug".to_owned())
        });
        let master_key = reader.master_key(raw.master_key.as_ref(), raw.master_key_file.as_ref());
        let auth_token = reader.secret("auth_token", raw.auth_token.as_ref(), raw.auth_token_file.as_ref());
        let account = reader.pair("account_sid", raw.account_sid.as_ref(), "auth_token", auth_token);
        let api_key_secret = reader.secret(
            "api_key_secret",
            raw.api_key_secret.as_ref(),
            raw.api_key_secret_file.as_ref(),
        );
        let api_key = reader.pair(
            "api_key_sid",
            raw.api_key_sid.as_ref(),
            "api_key_secret",
            api_key_secret,
        );

        let faults = std::mem::take(&mut reader.faults);
        let (
            Some(data),
            Some(http_addr),
            Some(media_addrs),
            Some(media_engine),
            Some(pin_media_workers),
            Some(loudest_audio),
            Some(session_timeout_s),
            Some(rooms),
            Some(door),
            Some(log),
            true,
        ) = (
            data,
            http_addr,
            media_addrs,
            media_engine,
            pin_media_workers,
            loudest_audio,
            session_timeout_s,
            rooms,
            door,
            log,
            faults.is_empty(),
        )
        else {
            return Err(ConfigError { faults });
        };
        Ok(Self {
            data,
            database,
            http_addr,
            media_addrs,
            media_engine,
            pin_media_workers,
            loudest_audio: NonZeroUsize::new(loudest_audio as usize),
            advertise,
            public_url,
            trusted_proxies: TrustedProxies(trusted_proxies),
            certificate,
            cors_allow_origins: cors,
            session_timeout: Duration::from_secs(session_timeout_s.into()),
            rooms,
            door,
            callbacks: callbacks.into_iter().fold(AddressRule::default(), AddressRule::and),
            keep,
            master_key,
            account: account.map(|(sid, auth_token)| PresetAccount { sid, auth_token }),
            api_key: api_key.map(|(sid, secret)| PresetApiKey { sid, secret }),
            credentials_in_page: false,
            log,
        })
    }

    /// The addresses for ICE candidates of a media worker, numbered from 0, once it is bound to `bound`; most useful
    /// first, at most [`limits::CANDIDATES_MAX`].
    pub fn candidates(&self, worker: usize, bound: SocketAddr) -> Vec<SocketAddr> {
        let port = |first: u16| u16::try_from(worker).map_or(first, |worker| first.saturating_add(worker));
        let mut candidates: Vec<SocketAddr> = if self.advertise.is_empty() {
            covered(bound.ip())
                .into_iter()
                .map(|ip| SocketAddr::new(ip, bound.port()))
                .collect()
        } else {
            self.advertise
                .iter()
                .map(|address| SocketAddr::new(address.ip, address.port.map_or(bound.port(), port)))
                .collect()
        };
        candidates.truncate(limits::CANDIDATES_MAX);
        candidates
    }

    /// `https` with a certificate, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }
}

/// Chooses the media engine, in a build that has several.
const MEDIA_ENGINE: &str = "ROTUNDA_MEDIA_ENGINE";

/// The engine of servers within tests, which may be run with another than the default.
fn ephemeral_engine() -> MediaEngine {
    let named = std::env::var(MEDIA_ENGINE).ok();
    named.and_then(|name| name.parse().ok()).unwrap_or_default()
}

/// How many media workers servers within tests have.
fn ephemeral_workers() -> usize {
    let named = std::env::var("ROTUNDA_MEDIA_WORKERS").ok();
    named
        .and_then(|number| number.parse().ok())
        .map_or(1, |number: usize| number.max(1))
}

/// Half of the processors that the process may use, for the tasks want some, too; at most so many that the ports to open are
/// known beforehand.
fn workers_of_machine() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    (cores / 2).clamp(1, limits::MEDIA_WORKERS_DEFAULT_MAX)
}

/// Where this machine itself reaches a socket bound to `bound`.
pub(crate) fn local(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, bound.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, bound.port())),
        _ => bound,
    }
}

/// Where signaling is served by a server at `url`.
pub(crate) fn signaling_url(url: &str) -> String {
    // http becomes ws, https becomes wss.
    format!("ws{}/signaling", url.strip_prefix("http").unwrap_or(url))
}

/// The addresses of this machine that a socket bound to `bound` receives on: those of other
/// machines' reach first, then loopback.
pub(crate) fn covered(bound: IpAddr) -> Vec<IpAddr> {
    if !bound.is_unspecified() {
        return vec![bound];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the machine's addresses cannot be read: only loopback is advertised");
        Vec::new()
    });
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| reachable(*ip, bound.is_ipv6()))
        .collect();
    addresses.sort_by_key(|ip| ip.is_ipv6());
    addresses.dedup();
    addresses.truncate(limits::CANDIDATES_MAX - 2);
    addresses.push(Ipv4Addr::LOCALHOST.into());
    if bound.is_ipv6() {
        addresses.push(Ipv6Addr::LOCALHOST.into());
    }
    addresses
}

/// Whether browsers elsewhere may reach the address: not loopback, and not link-local, which needs
/// a zone that candidates cannot carry.
fn reachable(ip: IpAddr, with_ipv6: bool) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => with_ipv6 && !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

/// Reads options and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    written: &'a Written,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn fault(&mut self, name: &str, fault: impl Display) {
        self.faults.push(format!("{}: {fault}", self.written.place(name)));
    }

    /// An option that may be absent; `read` says what was wanted when it refuses.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        text: Option<&Text>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = &text?.0;
        read(text)
            .map_err(|wanted| self.fault(name, format_args!("\"{text}\" is not {wanted}")))
            .ok()
    }

    pub(super) fn flag(&mut self, name: &str, text: Option<&Text>) -> Option<bool> {
        self.optional(name, text, |text| text.parse().map_err(|_| "true or false".to_owned()))
    }

    pub(super) fn each<'t, T>(
        &mut self,
        name: &str,
        texts: impl Iterator<Item = &'t String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        texts
            .filter_map(|text| {
                read(text)
                    .map_err(|wanted| self.fault(name, format_args!("\"{text}\" is not {wanted}")))
                    .ok()
            })
            .collect()
    }

    /// An address for each media worker: consecutive ports, or each a free one.
    fn media_addrs(&mut self, first: SocketAddr, workers: u32) -> Option<Vec<SocketAddr>> {
        let workers = if workers == 0 { workers_of_machine() } else { workers };
        if first.port() == 0 {
            return Some(vec![first; workers as usize]);
        }
        let last = u16::try_from(u32::from(first.port()) + workers - 1);
        let Ok(last) = last else {
            self.fault(
                "media_workers",
                format_args!(
                    "each of {workers} workers has a port of its own, and there are not as many from {} on",
                    first.port()
                ),
            );
            return None;
        };
        Some(
            (first.port()..=last)
                .map(|port| SocketAddr::new(first.ip(), port))
                .collect(),
        )
    }

    /// Each worker has a port of its own outside, too.
    fn check_advertised(&mut self, advertise: &[Advertised], workers: usize) {
        let ports = advertise.iter().filter_map(|address| address.port);
        if let Some(port) = ports
            .max()
            .filter(|port| usize::from(*port) + workers - 1 > usize::from(u16::MAX))
        {
            let fault = format_args!(
                "each of {workers} media workers has a port of its own, and there are not as many from {port} on"
            );
            self.fault("advertise_addr", fault);
        }
    }

    fn address(&mut self, name: &str, text: Option<&Text>) -> Option<SocketAddr> {
        self.optional(name, text, |text| {
            let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
            local
                .as_deref()
                .unwrap_or(text)
                .parse()
                .map_err(|_| "an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
        })
    }

    pub(super) fn number(&mut self, name: &str, text: Option<&Text>, range: RangeInclusive<u32>) -> Option<u32> {
        self.optional(name, text, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }

    fn days(&mut self, name: &str, text: Option<&Text>) -> Option<Duration> {
        let days = self.number(name, text, limits::KEEP_DAYS)?;
        Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }

    fn door(&mut self, raw: &Raw) -> Option<DoorSettings> {
        let mut rate = |name, text: &Option<Text>| self.number(name, text.as_ref(), limits::RATE_PER_S);
        let rest_requests_per_s = rate("rest_requests_per_s", &raw.rest_requests_per_s);
        let joins_per_s = rate("joins_per_s", &raw.joins_per_s);
        let joins_per_account_per_s = rate("joins_per_account_per_s", &raw.joins_per_account_per_s);
        let mut places = |name, text: &Option<Text>| self.number(name, text.as_ref(), limits::PLACES);
        let sockets_per_account = places("sockets_per_account", &raw.sockets_per_account);
        let connections_per_address = places("connections_per_address", &raw.connections_per_address);
        Some(DoorSettings {
            rest_requests_per_s: rest_requests_per_s?,
            joins_per_s: joins_per_s?,
            joins_per_account_per_s: joins_per_account_per_s?,
            sockets_per_account: sockets_per_account?,
            connections_per_address: connections_per_address?,
        })
    }

    fn data_dir(&mut self, text: Option<&Text>, environment: &dyn Environment) -> Option<Data> {
        if let Some(Text(dir)) = text {
            return Some(Data::Directory(dir.into()));
        }
        let xdg = environment
            .variable("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute());
        let Some(base) = xdg.or_else(|| Some(PathBuf::from(environment.variable("HOME")?).join(".local/share"))) else {
            self.fault(
                "data_dir",
                "there is no default, since neither XDG_DATA_HOME nor HOME is set; name a directory with --data-dir",
            );
            return None;
        };
        Some(Data::Directory(base.join("rotunda")))
    }

    /// Not an option: only developers have more than one engine, to compare them.
    fn media_engine(&mut self, environment: &dyn Environment) -> Option<MediaEngine> {
        let Some(name) = environment.variable(MEDIA_ENGINE) else {
            return Some(MediaEngine::default());
        };
        let engine = name.parse();
        if let Err(error) = &engine {
            self.faults.push(format!("{MEDIA_ENGINE} in the environment: {error}"));
        }
        engine.ok()
    }

    /// The URL of a database, from where no other user of the machine can read its password.
    fn database(&mut self, raw: &Raw) -> Option<DatabaseUrl> {
        let (name, text) = match (&raw.database_url, &raw.database_url_file) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                let other = self.written.place("database_url_file");
                self.fault(
                    "database_url",
                    format_args!("{other} is given too; give one of the two"),
                );
                return None;
            }
            (Some(url), None) => ("database_url", url.0.clone()),
            (None, Some(Text(path))) => match std::fs::read_to_string(path) {
                Ok(content) => ("database_url_file", content.trim().to_owned()),
                Err(error) => {
                    self.fault("database_url_file", format_args!("{path} cannot be read: {error}"));
                    return None;
                }
            },
        };
        match text.parse::<DatabaseUrl>() {
            Ok(url) if url.has_password() && self.written.place(name) == "--database-url" => {
                self.fault(
                    name,
                    "other users of the machine can read a password there; set ROTUNDA_DATABASE_URL, or name a file with --database-url-file",
                );
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                self.fault(name, error);
                None
            }
        }
    }

    fn certificate(&mut self, chain: Option<&Text>, key: Option<&Text>) -> Option<Certificate> {
        match (chain, key) {
            (Some(chain), Some(key)) => Some(Certificate::Files {
                chain: chain.0.clone().into(),
                key: key.0.clone().into(),
            }),
            (None, None) => None,
            (Some(_), None) => {
                self.fault("tls_cert", "a certificate needs its private key too: give --tls-key");
                None
            }
            (None, Some(_)) => {
                self.fault("tls_key", "a private key needs its certificate too: give --tls-cert");
                None
            }
        }
    }

    /// What was written itself, or in the file that was named.
    fn written_or_file(&mut self, name: &str, written: Option<&SecretText>, file: Option<&Text>) -> Option<String> {
        let file_name = format!("{name}_file");
        match (written, file) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                let other = self.written.place(&file_name);
                self.fault(name, format_args!("{other} is given too; give one of the two"));
                None
            }
            (Some(secret), None) => Some(secret.0.clone()),
            (None, Some(Text(path))) => match std::fs::read_to_string(path) {
                Ok(content) => Some(content.trim().to_owned()),
                Err(error) => {
                    self.fault(&file_name, format_args!("{path} cannot be read: {error}"));
                    None
                }
            },
        }
    }

    fn master_key(&mut self, written: Option<&SecretText>, file: Option<&Text>) -> Option<MasterKey> {
        let text = self.written_or_file("master_key", written, file)?;
        let key = MasterKey::parse(&text);
        if key.is_none() {
            let name = if written.is_some() {
                "master_key"
            } else {
                "master_key_file"
            };
            self.fault(
                name,
                "a master key is 64 hexadecimal digits or 32 bytes as base64; `openssl rand -hex 32` makes one",
            );
        }
        key
    }

    /// A secret that was written itself, or the name of a file that holds it.
    fn secret(&mut self, name: &str, written: Option<&SecretText>, file: Option<&Text>) -> Option<String> {
        let file_name = format!("{name}_file");
        let secret = self.written_or_file(name, written, file)?;
        let fits = limits::SECRET_LEN.contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let (min, max) = (limits::SECRET_LEN.start(), limits::SECRET_LEN.end());
            let name = if written.is_some() { name } else { &file_name };
            self.fault(
                name,
                format_args!("a secret has {min} to {max} printable ASCII characters without spaces"),
            );
            return None;
        }
        Some(secret)
    }

    /// A SID with its secret: both or neither.
    fn pair<S: FromStr<Err: Display>>(
        &mut self,
        sid_name: &str,
        sid: Option<&Text>,
        secret_name: &str,
        secret: Option<String>,
    ) -> Option<(S, String)> {
        let sid_given = sid.is_some();
        let sid = self.optional(sid_name, sid, |text| {
            text.parse::<S>().map_err(|error| format!("a SID: {error}"))
        });
        let variable = |name: &str| format!("ROTUNDA_{}", name.to_uppercase());
        let secret_given = secret.is_some() || self.given(secret_name);
        match (sid_given, secret_given) {
            (true, false) => self.fault(
                sid_name,
                format_args!("it needs a secret too: set {0} or {0}_FILE", variable(secret_name)),
            ),
            (false, true) => self.fault(
                secret_name,
                format_args!("it needs a SID too: set {}", variable(sid_name)),
            ),
            _ => {}
        }
        Some((sid?, secret?))
    }

    /// Whether a secret was written in either form, well or not.
    fn given(&self, secret_name: &str) -> bool {
        let raw = &self.written.raw;
        match secret_name {
            "auth_token" => raw.auth_token.is_some() || raw.auth_token_file.is_some(),
            _ => raw.api_key_secret.is_some() || raw.api_key_secret_file.is_some(),
        }
    }
}

fn advertised(text: &str) -> Result<Advertised, String> {
    let parsed = text.parse().map(|ip| Advertised { ip, port: None });
    let parsed = parsed.or_else(|_| {
        text.parse::<SocketAddr>().map(|address| Advertised {
            ip: address.ip(),
            port: Some(address.port()),
        })
    });
    match parsed {
        Ok(address) if !address.ip.is_unspecified() && address.port != Some(0) => Ok(address),
        _ => Err(
            "an IP address that browsers can send to, with or without a port, such as 192.0.2.7 or 192.0.2.7:8081"
                .to_owned(),
        ),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse::<IpNet>().ok().or_else(address);
    network
        .map(|network| network.trunc())
        .ok_or_else(|| "an IP address or a network, such as 10.0.0.1, 10.0.0.0/8 or fd00::/8".to_owned())
}

fn origin(text: &str) -> Result<String, String> {
    let wanted = || "an address without a path, such as https://video.example.com".to_owned();
    let url = Url::parse(text).map_err(|_| wanted())?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let web = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if web && bare {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(wanted())
    }
}

pub(super) fn region(text: &str) -> Result<String, String> {
    let fits = (1..=limits::MEDIA_REGION_LEN_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "a region's name: 1 to {} letters, digits and hyphens",
            limits::MEDIA_REGION_LEN_MAX
        ))
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
