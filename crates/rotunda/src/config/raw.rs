//! Every option as somebody wrote it, before anything is understood.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Declares [`Raw`] and the list of its names from one table.
macro_rules! options {
    ($(#[$outer:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$outer])*
        pub struct $name {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)+
        }

        impl $name {
            /// The names of all options, as in the file.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
        }
    };
}

options! {
    /// The options. `None` is what nobody wrote. The texts are the program's `--help`.
    #[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Raw {
        /// Directory of the database; made when missing [env: ROTUNDA_DATA_DIR] [default: $XDG_DATA_HOME/rotunda, which is ~/.local/share/rotunda]
        #[arg(long, value_name = "DIR")]
        data_dir: Text,
        /// PostgreSQL database in place of the one in the data directory: postgres://user@host/name. With a password only as env ROTUNDA_DATABASE_URL or in a file [env: ROTUNDA_DATABASE_URL]
        #[arg(long, value_name = "URL")]
        database_url: SecretText,
        /// File whose trimmed content is the URL of the database; instead of --database-url [env: ROTUNDA_DATABASE_URL_FILE]
        #[arg(long, value_name = "FILE")]
        database_url_file: Text,
        /// Where HTTP is served [env: ROTUNDA_HTTP_ADDR] [default: 127.0.0.1:8080]
        #[arg(long, value_name = "IP:PORT")]
        http_addr: Text,
        /// Where media arrives, by UDP; with several media workers the port of the first, the others have those that follow [env: ROTUNDA_MEDIA_ADDR] [default: 0.0.0.0:8081]
        #[arg(long, value_name = "IP:PORT")]
        media_addr: Text,
        /// Threads that carry media, 1 to 64, each with a UDP port of its own: 4 with the default address need 8081 to 8084; 0: half of the processors, at most 8 [env: ROTUNDA_MEDIA_WORKERS] [default: 0]
        #[arg(long, value_name = "NUMBER")]
        media_workers: Text,
        /// Keep each of those threads on a processor, true or false: for machines that carry nothing else [env: ROTUNDA_PIN_MEDIA_WORKERS] [default: false]
        #[arg(long, value_name = "true|false")]
        pin_media_workers: Text,
        /// Tracks of sound that a participant is sent at most, the loudest of those subscribed to, 1 to 1000; 0: all [env: ROTUNDA_LOUDEST_AUDIO] [default: 50]
        #[arg(long, value_name = "NUMBER")]
        loudest_audio: Text,
        /// Where browsers send media, by commas: IP, or IP:PORT with the port of the first media worker [env: ROTUNDA_ADVERTISE_ADDR] [default: all addresses of this machine that --media-addr covers]
        #[arg(long, value_name = "IP,...")]
        advertise_addr: List,
        /// Address of this server as applications know it; behind a proxy [env: ROTUNDA_PUBLIC_URL] [default: the host that each request names]
        #[arg(long, value_name = "URL")]
        public_url: Text,
        /// Networks of proxies whose forwarded headers are believed, by commas: IP or IP/BITS [env: ROTUNDA_TRUSTED_PROXIES] [default: none]
        #[arg(long, value_name = "NETWORK,...")]
        trusted_proxies: List,
        /// PEM file of the certificate chain: serves HTTPS; with --tls-key [env: ROTUNDA_TLS_CERT]
        #[arg(long, value_name = "FILE")]
        tls_cert: Text,
        /// PEM file of the certificate's private key [env: ROTUNDA_TLS_KEY]
        #[arg(long, value_name = "FILE")]
        tls_key: Text,
        /// Web origins that may read answers with credentials, by commas [env: ROTUNDA_CORS_ALLOW_ORIGINS] [default: every origin, without credentials]
        #[arg(long, value_name = "ORIGIN,...")]
        cors_allow_origins: List,
        /// Seconds that a participant whose connection was lost stays, 5 to 300 [env: ROTUNDA_SESSION_TIMEOUT_S] [default: 30]
        #[arg(long, value_name = "SECONDS")]
        session_timeout_s: Text,
        /// Largest MaxParticipants that a room may ask for, 1 to 100000; without asking, it gets at most 50 [env: ROTUNDA_MAX_PARTICIPANTS] [default: 1000]
        #[arg(long, value_name = "NUMBER")]
        max_participants: Text,
        /// Largest MaxParticipantDuration that a room may ask for, seconds, 600 to 2592000 [env: ROTUNDA_MAX_PARTICIPANT_DURATION_S] [default: 86400]
        #[arg(long, value_name = "SECONDS")]
        max_participant_duration_s: Text,
        /// Seconds after which a room is completed, whoever is in it, 60 to 31536000 [env: ROTUNDA_MAX_ROOM_DURATION_S] [default: never]
        #[arg(long, value_name = "SECONDS")]
        max_room_duration_s: Text,
        /// Whether joining an unknown name makes a room [env: ROTUNDA_AD_HOC_ROOMS] [default: true]
        #[arg(long, value_name = "true|false")]
        ad_hoc_rooms: Text,
        /// Type of rooms that joining makes: group, go, peer-to-peer or group-small [env: ROTUNDA_AD_HOC_TYPE] [default: group]
        #[arg(long, value_name = "TYPE")]
        ad_hoc_type: Text,
        /// Participants at once in a room that joining makes [env: ROTUNDA_AD_HOC_MAX_PARTICIPANTS] [default: as in a room made without MaxParticipants]
        #[arg(long, value_name = "NUMBER")]
        ad_hoc_max_participants: Text,
        /// Video codecs of rooms that joining makes, by commas: VP8, H264 [env: ROTUNDA_AD_HOC_VIDEO_CODECS] [default: VP8,H264]
        #[arg(long, value_name = "CODEC,...")]
        ad_hoc_video_codecs: List,
        /// Other MediaRegions that rooms may ask for, by commas; they get this server's [env: ROTUNDA_ACCEPT_MEDIA_REGIONS] [default: none]
        #[arg(long, value_name = "NAME,...")]
        accept_media_regions: List,
        /// The MediaRegion that rooms report [env: ROTUNDA_MEDIA_REGION] [default: us1]
        #[arg(long, value_name = "NAME")]
        media_region: Text,
        /// Days that a room is kept after its end, with its participants and all that tells of them; undelivered callbacks hold it [env: ROTUNDA_KEEP_ROOMS_DAYS] [default: for ever]
        #[arg(long, value_name = "DAYS")]
        keep_rooms_days: Text,
        /// Days that the events of a room are kept after its end [env: ROTUNDA_KEEP_EVENTS_DAYS] [default: as long as their room]
        #[arg(long, value_name = "DAYS")]
        keep_events_days: Text,
        /// Days that a callback and its attempts are kept after it was delivered or given up [env: ROTUNDA_KEEP_CALLBACKS_DAYS] [default: as long as their room]
        #[arg(long, value_name = "DAYS")]
        keep_callbacks_days: Text,
        /// Days that a line of the audit log is kept [env: ROTUNDA_KEEP_AUDIT_DAYS] [default: for ever]
        #[arg(long, value_name = "DAYS")]
        keep_audit_days: Text,
        /// REST requests a second of one account, two seconds' worth at once; 0: any number [env: ROTUNDA_REST_REQUESTS_PER_S] [default: 2000]
        #[arg(long, value_name = "NUMBER")]
        rest_requests_per_s: Text,
        /// Joins a second, all accounts together; 0: any number [env: ROTUNDA_JOINS_PER_S] [default: 2000]
        #[arg(long, value_name = "NUMBER")]
        joins_per_s: Text,
        /// Joins a second of one account; 0: any number [env: ROTUNDA_JOINS_PER_ACCOUNT_PER_S] [default: 1000]
        #[arg(long, value_name = "NUMBER")]
        joins_per_account_per_s: Text,
        /// Signaling sockets of one account at once; 0: any number [env: ROTUNDA_SOCKETS_PER_ACCOUNT] [default: 10000]
        #[arg(long, value_name = "NUMBER")]
        sockets_per_account: Text,
        /// HTTP connections of one address at once, WebSockets included; 0: any number [env: ROTUNDA_CONNECTIONS_PER_ADDRESS] [default: 5000]
        #[arg(long, value_name = "NUMBER")]
        connections_per_address: Text,
        /// Receivers of callbacks that are allowed though their addresses are not public, by commas: loopback, private, link-local, shared, networks, host names [env: ROTUNDA_CALLBACK_ALLOW] [default: none; `rotunda dev`: loopback,private]
        #[arg(long, value_name = "WHAT,...")]
        callback_allow: List,
        /// What is logged to stderr: error, warn, info, debug, trace, also by module [env: ROTUNDA_LOG] [default: info]
        #[arg(long, value_name = "LEVELS")]
        log: Text,
        /// The master key itself. No flag: other users of a machine can read command lines.
        #[arg(skip)]
        master_key: SecretText,
        /// File with the master key, which seals the secrets in the database; the key itself: env ROTUNDA_MASTER_KEY [env: ROTUNDA_MASTER_KEY_FILE] [default: master.key in the data directory, made when there is none]
        #[arg(long, value_name = "FILE")]
        master_key_file: Text,
        /// Preset account, AC...; needs an auth token [env: ROTUNDA_ACCOUNT_SID]
        #[arg(long, value_name = "SID")]
        account_sid: Text,
        /// The auth token itself. No flag: other users of a machine can read command lines.
        #[arg(skip)]
        auth_token: SecretText,
        /// File with the preset account's auth token; the token itself: env ROTUNDA_AUTH_TOKEN [env: ROTUNDA_AUTH_TOKEN_FILE]
        #[arg(long, value_name = "FILE")]
        auth_token_file: Text,
        /// Preset API key, SK...; needs a secret [env: ROTUNDA_API_KEY_SID]
        #[arg(long, value_name = "SID")]
        api_key_sid: Text,
        /// The API key's secret itself. No flag.
        #[arg(skip)]
        api_key_secret: SecretText,
        /// File with the preset API key's secret; the secret itself: env ROTUNDA_API_KEY_SECRET [env: ROTUNDA_API_KEY_SECRET_FILE]
        #[arg(long, value_name = "FILE")]
        api_key_secret_file: Text,
    }
}

impl Raw {
    /// What holds where nobody wrote anything; `config.default.toml` says the same.
    pub fn defaults() -> Self {
        let text = |value: &str| Some(Text(value.to_owned()));
        Self {
            http_addr: text("127.0.0.1:8080"),
            media_addr: text("0.0.0.0:8081"),
            media_workers: text("0"),
            pin_media_workers: text("false"),
            loudest_audio: text("50"),
            session_timeout_s: text("30"),
            max_participants: text("1000"),
            max_participant_duration_s: text("86400"),
            ad_hoc_rooms: text("true"),
            ad_hoc_type: text("group"),
            ad_hoc_video_codecs: Some(List(vec!["VP8".to_owned(), "H264".to_owned()])),
            accept_media_regions: Some(List::default()),
            media_region: text("us1"),
            rest_requests_per_s: text("2000"),
            joins_per_s: text("2000"),
            joins_per_account_per_s: text("1000"),
            sockets_per_account: text("10000"),
            connections_per_address: text("5000"),
            log: text("info"),
            advertise_addr: Some(List::default()),
            cors_allow_origins: Some(List::default()),
            callback_allow: Some(List::default()),
            trusted_proxies: Some(List::default()),
            ..Self::default()
        }
    }
}

/// A value as text; numbers of a file too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Text(pub String);

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SecretText(pub String);

/// Several values: an array in a file, separated by commas elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct List(pub Vec<String>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<String> for List {
    fn from(text: String) -> Self {
        Self(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }
}

impl FromStr for SecretText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

/// Takes what a person may have written for a text.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number, true or false")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<String, E> {
        Ok(flag.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// Takes an array of texts, or one text with commas.
struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
        Ok(List::from(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<List, A::Error> {
        let mut list = Vec::new();
        while let Some(Text(value)) = values.next_element()? {
            list.push(value);
        }
        Ok(List(list))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MANUAL: &str = include_str!("../../../../config.default.toml");

    /// The manual with every option that is commented out put in force.
    fn manual_in_full() -> String {
        let option = |line: &str| Raw::NAMES.iter().any(|name| line.starts_with(&format!("# {name} = ")));
        MANUAL
            .lines()
            .map(|line| if option(line) { &line[2..] } else { line })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn parse(text: &str) -> Raw {
        use figment::providers::Format;
        figment::Figment::from(figment::providers::Toml::string(text))
            .extract()
            .unwrap()
    }

    #[test]
    fn the_manual_says_the_defaults() {
        assert_eq!(parse(MANUAL), Raw::defaults());
    }

    #[test]
    fn the_manual_has_every_option_with_a_sentence() {
        let full = manual_in_full();
        let written: figment::value::Dict = {
            use figment::providers::Format;
            figment::Figment::from(figment::providers::Toml::string(&full))
                .extract()
                .unwrap()
        };
        for name in Raw::NAMES {
            assert!(written.contains_key(*name), "{name} is missing in config.default.toml");
            let line = full
                .lines()
                .position(|line| line.starts_with(&format!("{name} = ")))
                .unwrap();
            assert!(
                full.lines().nth(line - 1).unwrap().starts_with("# "),
                "{name} has no sentence"
            );
        }
        assert_eq!(written.len(), Raw::NAMES.len());
        parse(&full);
    }

    #[test]
    fn secrets_are_not_shown() {
        let raw = Raw {
            auth_token: Some(SecretText("hush-hush".into())),
            ..Raw::default()
        };
        assert!(!format!("{raw:?}").contains("hush"));
    }

    #[test]
    fn lists_come_by_commas_or_as_arrays() {
        let by_commas = parse("advertise_addr = '10.0.0.1, 10.0.0.2:9'");
        let as_array = parse("advertise_addr = ['10.0.0.1', '10.0.0.2:9']");
        assert_eq!(by_commas, as_array);
    }
}
