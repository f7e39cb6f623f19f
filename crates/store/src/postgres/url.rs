//! Where a PostgreSQL database is and how it is spoken to, from its URL; its password is never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::limits;

/// `postgres://user:password@host:port/name?options`, as libpq has it; `sslrootcert` names a file of certificates that are
/// trusted in place of the system's. `sslmode=require` looks at certificate and host as `verify-full` does. Shown, it names host, port and database alone.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) config: Config,
    pub(super) root_certificates: Option<PathBuf>,
}

/// Why a text is no [`DatabaseUrl`]. It does not repeat the text, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another kind of database, or none.
    #[error("the URL of a database begins with postgres:// or postgresql://")]
    Scheme,
    /// It cannot be read.
    #[error("the URL of the database cannot be read: {0}")]
    Malformed(String),
    /// It asks for less than we do.
    #[error("the URL of the database has sslmode=verify-ca, which does not look at the host: write verify-full")]
    HostUnlooked,
    /// A part is not there.
    #[error("the URL of the database names no {0}: postgres://user@host/name")]
    Missing(&'static str),
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(DatabaseUrlError::Scheme);
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (certificates, others): (Vec<&str>, Vec<&str>) = query
            .split('&')
            .filter(|option| !option.is_empty())
            .partition(|option| option.starts_with("sslrootcert="));
        let root_certificates = certificates
            .last()
            .and_then(|option| option.strip_prefix("sslrootcert="))
            .map(PathBuf::from);
        let others: Vec<&str> = others
            .into_iter()
            .map(|option| match option {
                "sslmode=verify-full" => "sslmode=require",
                option => option,
            })
            .collect();
        if others.contains(&"sslmode=verify-ca") {
            return Err(DatabaseUrlError::HostUnlooked);
        }
        let mut config: Config = format!("{address}?{}", others.join("&"))
            .parse()
            .map_err(|error: tokio_postgres::Error| DatabaseUrlError::Malformed(chain(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(DatabaseUrlError::Missing("host"));
        }
        if config.get_dbname().is_none() {
            return Err(DatabaseUrlError::Missing("database"));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(DatabaseUrlError::Missing("user"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(limits::CONNECT_WAIT);
        }
        if config.get_application_name().is_none() {
            config.application_name("rotunda");
        }
        // A peer that is gone without a word is noticed in about ten seconds.
        config
            .keepalives(true)
            .keepalives_idle(limits::KEEPALIVE)
            .keepalives_interval(limits::KEEPALIVE)
            .keepalives_retries(2)
            .tcp_user_timeout(limits::KEEPALIVE * 3);
        Ok(Self {
            config,
            root_certificates,
        })
    }
}

impl DatabaseUrl {
    /// The same server with another database, for tests and tools.
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// Whether it holds a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether the connection is encrypted. Only where it must be: a certificate that is not checked protects nothing,
    /// and that of a database on the same machine is mostly its own.
    pub(super) fn wants_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://")?;
        for (place, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            let port = self.config.get_ports().get(place).or(self.config.get_ports().first());
            if let Some(port) = port {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let text = "postgres://rotunda:hush@db.example.com:5433/calls?sslmode=require&sslrootcert=/etc/ca.pem";
        let url: DatabaseUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), "postgres://db.example.com:5433/calls");
        assert!(!format!("{url:?}").contains("hush"));
        assert_eq!(url.root_certificates, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(
            url.with_database("other").to_string(),
            "postgres://db.example.com:5433/other"
        );
    }

    #[test]
    fn a_certificate_is_always_looked_at_as_a_whole() {
        let mode = |mode: &str| {
            let url = format!("postgres://u@host/name?sslmode={mode}");
            url.parse::<DatabaseUrl>().map(|url| url.wants_tls())
        };
        assert!(mode("require").unwrap() && mode("verify-full").unwrap());
        assert!(!mode("disable").unwrap());
        let refused = mode("verify-ca").unwrap_err().to_string();
        assert!(refused.ends_with("write verify-full"), "{refused}");
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_it() {
        for text in [
            "mysql://root:hush@host/name",
            "postgres://u:hush@host/name?hush=1",
            "postgres://u:hush@host",
            "postgres://:hush@host/name",
            "",
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err();
            assert!(!error.to_string().contains("u:hush"), "{error}");
        }
    }
}
