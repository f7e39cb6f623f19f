//! One connection: its settings, its prepared statements, and what goes with the next statement in one round trip.

use std::collections::HashMap;
use std::error::Error as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, NoTls, Row, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::DatabaseUrl;
use crate::{Outage, StoreError, limits};

/// What is given to a statement.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Plans do not depend on statistics, nor on the values of one page: each list has its index, and an order that an
/// index yields is never sorted (`migrations/README.md`). The rest bounds what a lost peer can hold.
const SETTINGS: &str =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off;
    SET enable_sort = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;
    SET client_min_messages = warning; SET idle_in_transaction_session_timeout = '10s';
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// The oldest release that tells how a transaction ended (`pg_xact_status` of an `xid8`).
const OLDEST_SERVER: i32 = 130_000;

pub(super) struct Connection {
    client: Client,
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
    statements: Mutex<HashMap<String, Statement>>,
    deferred: Mutex<Deferred>,
    /// Plans of what was asked since, where a test wants to know.
    #[cfg(test)]
    plans: Mutex<Option<Vec<super::work::Plan>>>,
    /// The server's process, by which it can be ended from another connection.
    pub(super) process: i32,
}

/// What goes to the server with the next statement.
#[derive(Default)]
struct Deferred {
    commands: String,
    /// Whether the transaction that these begin shall tell its number, which is then here.
    asks_number: bool,
    number: Option<String>,
    /// Whether a read began a transaction.
    reads: bool,
}

/// How connections are made.
#[derive(Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    pub(super) fn new(url: DatabaseUrl) -> Result<Self, StoreError> {
        let tls = if url.wants_tls() { Some(tls(&url)?) } else { None };
        Ok(Self { url, tls })
    }

    pub(super) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Connects and makes the settings, within [`limits::CONNECT_WAIT`] and some.
    pub(super) async fn connect(&self) -> Result<Connection, StoreError> {
        within(limits::CONNECT_WAIT * 2, self.open()).await
    }

    async fn open(&self) -> Result<Connection, StoreError> {
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let connected = self.url.config.connect(tls.clone()).await;
                let (client, driver) = connected.map_err(untrusted)?;
                (client, tokio::spawn(driver))
            }
            None => {
                let (client, driver) = self.url.config.connect(NoTls).await?;
                (client, tokio::spawn(driver))
            }
        };
        let lock_wait = format!("SET lock_timeout = {}; {SETTINGS}", limits::LOCK_WAIT.as_millis());
        client.batch_execute(&lock_wait).await?;
        let row = client
            .query_one(
                "SELECT pg_backend_pid(), current_setting('server_version_num')::int",
                &[],
            )
            .await?;
        if row.try_get::<_, i32>(1)? < OLDEST_SERVER {
            return Err(StoreError::refused("PostgreSQL 13 or later is needed"));
        }
        Ok(Connection {
            process: row.try_get(0)?,
            client,
            driver,
            statements: Mutex::default(),
            deferred: Mutex::default(),
            #[cfg(test)]
            plans: Mutex::default(),
        })
    }
}

/// Encryption with a certificate that is checked, against the system's roots or those of a file.
fn tls(url: &DatabaseUrl) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    match &url.root_certificates {
        Some(path) => {
            let unreadable = |why: String| {
                let path = path.clone();
                StoreError::backend(NoRoots { path, why })
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("it has no certificate".to_owned()));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StoreError::backend)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The file that `sslrootcert` names is of no use.
#[derive(Debug, thiserror::Error)]
#[error("the authorities' certificates in {} (sslrootcert) cannot be used: {why}", path.display())]
struct NoRoots {
    path: PathBuf,
    why: String,
}

/// Whom we reached is not whom we meant, as far as anybody can know.
#[derive(Debug, thiserror::Error)]
#[error(
    "its certificate is not trusted ({why}): name the file with the certificate of its authority by sslrootcert in the URL, and the host as the certificate has it"
)]
struct Untrusted {
    why: String,
}

/// Tells a certificate that is not trusted from a connection that fails. It may pass all the same: servers are replaced.
fn untrusted(error: tokio_postgres::Error) -> StoreError {
    let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let refused = io.and_then(|io| io.get_ref()?.downcast_ref::<rustls::Error>());
    let why = match refused {
        Some(refused @ rustls::Error::InvalidCertificate(_)) => refused.to_string(),
        _ => return error.into(),
    };
    StoreError::Unavailable {
        outage: Outage::Away,
        source: Box::new(Untrusted { why }),
    }
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Resolves when the connection has ended, by whichever side.
    pub(super) async fn closed(&mut self) {
        // How it ended does not matter.
        drop((&mut self.driver).await);
    }

    /// Has commands sent with the next statement.
    pub(super) fn defer(&self, commands: &str) {
        self.deferred(|deferred| deferred.commands.push_str(commands));
    }

    /// Has a transaction begun with the next statement, which is then asked for its number.
    pub(super) fn begin(&self) {
        self.deferred(|deferred| {
            *deferred = Deferred {
                commands: "BEGIN;".to_owned(),
                asks_number: true,
                ..Deferred::default()
            };
        });
    }

    /// Has a transaction that only reads begun with the next statement.
    pub(super) fn begin_read(&self, mode: &str) {
        self.deferred(|deferred| {
            deferred.commands = format!("BEGIN {mode} READ ONLY;");
            deferred.reads = true;
        });
    }

    /// Ends what [`Connection::begin_read`] began, if it did.
    pub(super) async fn end_read(&self) -> Result<(), StoreError> {
        match self.deferred(|deferred| std::mem::take(&mut deferred.reads)) {
            true => self.command("ROLLBACK").await,
            false => Ok(()),
        }
    }

    /// The number of the transaction that is under way, once a statement was sent in it.
    pub(super) fn number(&self) -> Option<String> {
        self.deferred(|deferred| deferred.number.clone())
    }

    /// Sends what was deferred, and this.
    pub(super) async fn command(&self, commands: &str) -> Result<(), StoreError> {
        let mut all = self.deferred(|deferred| std::mem::take(&mut deferred.commands));
        all.push_str(commands);
        Ok(self.client.batch_execute(&all).await?)
    }

    pub(super) async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, StoreError> {
        #[cfg(test)]
        self.plan(sql, parameters).await?;
        let statement = self.statement(sql).await?;
        self.send(self.client.query(&statement, parameters)).await
    }

    /// Runs a statement that answers no rows; how many rows it is about.
    pub(super) async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, StoreError> {
        #[cfg(test)]
        self.plan(sql, parameters).await?;
        let statement = self.statement(sql).await?;
        self.send(self.client.execute(&statement, parameters)).await
    }

    /// Sends what was deferred and this call, in this order and together.
    async fn send<T>(&self, call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
        let (commands, asks) = self.deferred(|deferred| {
            let asks = std::mem::take(&mut deferred.asks_number);
            (std::mem::take(&mut deferred.commands), asks)
        });
        if asks {
            let ask = self.statement("SELECT pg_current_xact_id()::text").await?;
            let (before, number, answer) = tokio::join!(biased;
                self.client.batch_execute(&commands), self.client.query_one(&ask, &[]), call);
            before?;
            let number: String = number?.try_get(0)?;
            self.deferred(|deferred| deferred.number = Some(number));
            return Ok(answer?);
        }
        if commands.is_empty() {
            return Ok(call.await?);
        }
        let (before, answer) = tokio::join!(biased; self.client.batch_execute(&commands), call);
        before?;
        Ok(answer?)
    }

    /// The rows of a statement as they come, however many.
    pub(super) async fn stream(&self, sql: &str) -> Result<RowStream, StoreError> {
        let none: [&(dyn ToSql + Sync); 0] = [];
        Ok(self.client.query_raw(sql, none).await?)
    }

    /// Begins a COPY into a table.
    pub(super) async fn copy_in(&self, sql: &str) -> Result<CopyInSink<Bytes>, StoreError> {
        Ok(self.client.copy_in(sql).await?)
    }

    pub(super) async fn query_opt(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    pub(super) async fn query_one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row, StoreError> {
        let row = self.query_opt(sql, parameters).await?;
        row.ok_or_else(|| StoreError::refused("a row that is always there is missing"))
    }

    /// Notes the plans of what is asked from now on, with what they cost.
    #[cfg(test)]
    pub(super) fn explain(&self) {
        *self.plans.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// The plans that were noted.
    #[cfg(test)]
    pub(super) fn explained(&self) -> Vec<super::work::Plan> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.take().unwrap_or_default()
    }

    /// Runs the statement once before its time, to see what it costs; what it writes is taken back, for which a
    /// transaction has to be under way.
    #[cfg(test)]
    async fn plan(&self, sql: &str, parameters: Parameters<'_>) -> Result<(), StoreError> {
        let is_wanted = self.plans.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !is_wanted {
            return Ok(());
        }
        let writes = ["UPDATE ", "INSERT ", "DELETE "].iter().any(|word| sql.contains(word));
        if writes {
            self.command("SAVEPOINT plan").await?;
        }
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}");
        let rows = self.client.query(&sql, parameters).await?;
        if writes {
            self.command("ROLLBACK TO plan").await?;
        }
        let plan = super::work::Plan::read(&rows)?;
        if let Some(plans) = &mut *self.plans.lock().unwrap_or_else(PoisonError::into_inner) {
            plans.push(plan);
        }
        Ok(())
    }

    /// Prepared once; its parameters and columns have types that need no look-up.
    async fn statement(&self, sql: &str) -> Result<Statement, StoreError> {
        let known = self.statements().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        // Inside a transaction that is about to begin it could not fail without ending it: so before.
        let statement = self.client.prepare(sql).await?;
        self.statements().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, HashMap<String, Statement>> {
        // Nothing panics while it is held.
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deferred<T>(&self, change: impl FnOnce(&mut Deferred) -> T) -> T {
        change(&mut self.deferred.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no answer in {0:?}")]
struct NoAnswer(Duration);

/// The answer, or [`Outage::Away`] after so long.
pub(super) async fn within<T>(
    wait: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(wait, call).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unavailable {
            outage: Outage::Away,
            source: Box::new(NoAnswer(wait)),
        }),
    }
}
