//! A PostgreSQL server of Debian's package for tests: on a free port of the loopback, in a directory of its own, gone
//! with the process that started it, however that ends.

// A test harness: what fails here fails the test, with its place.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

/// What is said where the package is missing.
const MISSING: &str =
    "PostgreSQL is not installed: scripts/setup-and-test installs it, or `apt-get install postgresql` does";

/// A server that tests may stop and start.
pub struct PostgresServer {
    directory: TempDir,
    port: u16,
    binaries: PathBuf,
    databases: AtomicU32,
    /// Stops the server and removes its directory once its standard input is closed, which the end of this process does.
    keeper: Child,
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The disk: of tests that cut something short.
    Disk,
    /// Nothing: of tests that only ask for answers.
    Off,
}

impl PostgresServer {
    /// The server that all tests of this process share; its databases are theirs alone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Sync::Off))
    }

    /// A server of one test.
    pub fn start(sync: Sync) -> Self {
        Self::start_with(sync, None)
    }

    /// A server of one test that encrypts for who asks, with this certificate and its key, both PEM.
    pub fn start_encrypted(certificate: &str, key: &str) -> Self {
        Self::start_with(Sync::Off, Some((certificate, key)))
    }

    fn start_with(sync: Sync, encrypted: Option<(&str, &str)>) -> Self {
        let binaries = binaries().unwrap_or_else(|| panic!("{MISSING}"));
        let directory = tempfile::Builder::new().prefix("rotunda-pg-").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(directory.path()));
        }
        let data = directory.path().join("data");
        run(unprivileged(binaries.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data));
        let stop = unprivileged(binaries.join("pg_ctl"));
        let stop: Vec<&OsStr> = std::iter::once(stop.get_program()).chain(stop.get_args()).collect();
        let keeper = Command::new("sh")
            .args([
                "-c",
                "trap '' INT TERM HUP; cat; dir=$1; shift; \"$@\" stop -m immediate -D \"$dir/data\"; rm -rf \"$dir\"",
                "keeper",
            ])
            .arg(directory.path())
            .args(stop)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            directory,
            port: 0,
            binaries,
            databases: AtomicU32::new(0),
            keeper,
        };
        let ssl = match encrypted {
            None => String::new(),
            Some((certificate, key)) => {
                private(&data.join("server.crt"), certificate);
                private(&data.join("server.key"), key);
                "ssl = on\n".to_owned()
            }
        };
        let settings = format!(
            "{ssl}max_connections = 400\nshared_buffers = 64MB\nunix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\n\
             fsync = {0}\nfull_page_writes = {0}\nlogging_collector = off\n",
            if sync == Sync::Disk { "on" } else { "off" }
        );
        let file = data.join("postgresql.auto.conf");
        std::fs::write(file, settings).unwrap();
        // A free port may be taken by the time that the server wants it.
        for attempt in 0.. {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.try_resume() {
                break;
            }
            assert!(attempt < 5, "PostgreSQL does not start: {}", server.log());
        }
        server
    }

    /// URL of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Name of a copy of a database, to which nobody is connected.
    pub fn copy_of(&self, database: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {database}"));
        name
    }

    /// URL of the database of this name.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// Where it listens, on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL as the owner of everything; what it answered, as bare lines with `|` between columns.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let psql = Command::new(self.binaries.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .arg(self.url(database))
            .output()
            .unwrap();
        assert!(
            psql.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&psql.stderr)
        );
        String::from_utf8(psql.stdout).unwrap().trim_end().to_owned()
    }

    /// Ends it at once, as a fault would: connections break, and what was not synced may be lost.
    pub fn stop(&self) {
        run(self.control().args(["stop", "-w", "-m", "immediate"]));
    }

    /// Starts it again, on the same port.
    pub fn resume(&self) {
        assert!(self.try_resume(), "PostgreSQL does not start: {}", self.log());
    }

    fn try_resume(&self) -> bool {
        let mut start = self.control();
        start
            .args(["start", "-w", "-t", "60", "-l"])
            .arg(self.directory.path().join("data/server.log"))
            .args(["-o", &format!("-p {}", self.port)]);
        start
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    fn control(&self) -> Command {
        let mut control = unprivileged(self.binaries.join("pg_ctl"));
        control.arg("-D").arg(self.directory.path().join("data"));
        control
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("data/server.log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

/// The environment variable that has the tests of the server use PostgreSQL, and its value.
const WANTED: (&str, &str) = ("ROTUNDA_TEST_STORE", "postgres");

/// URL of a fresh database, if the tests of the server shall use one.
pub fn wanted() -> Option<String> {
    let is_wanted = std::env::var(WANTED.0).is_ok_and(|value| value == WANTED.1);
    is_wanted.then(|| PostgresServer::shared().database())
}

/// As [`wanted`], but always the same for the same directory: what takes the place of the file there.
pub fn wanted_in(directory: &Path) -> Option<String> {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(url) = known.get(directory) {
        return Some(url.clone());
    }
    let url = wanted()?;
    known.insert(directory.to_owned(), url.clone());
    Some(url)
}

/// A session behind the server's back, as a person with a database tool has it. It belongs to the shared server.
pub struct Shell {
    psql: Child,
    answers: BufReader<ChildStdout>,
}

impl Shell {
    /// Of the database that [`wanted_in`] made for this directory, if it did.
    pub fn wanted_in(directory: &Path) -> Option<Self> {
        Self::of(wanted_in(directory))
    }

    /// Of the database with this URL, if there is one.
    pub fn of(url: Option<String>) -> Option<Self> {
        let name = url?.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        let server = PostgresServer::shared();
        let mut psql = Command::new(server.binaries.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .arg(server.url(&name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(psql.stdout.take().unwrap());
        Some(Self { psql, answers })
    }

    /// Runs SQL and waits until it is done.
    pub fn run(&mut self, sql: &str) {
        let stdin = self.psql.stdin.as_mut().unwrap();
        writeln!(stdin, "{sql};\n\\echo done").unwrap();
        let mut line = String::new();
        while line.trim_end() != "done" {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "psql refused {sql}");
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.psql.stdin.take());
        self.psql.wait().ok();
    }
}

/// The newest release that is installed.
fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").exists())
        .collect();
    let release = |path: &PathBuf| -> u32 {
        let name = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        name.and_then(|name| name.parse().ok()).unwrap_or_default()
    };
    found.sort_by_key(release);
    found.pop().or_else(|| {
        let paths = std::env::var_os("PATH")?;
        std::env::split_paths(&paths).find(|path| path.join("initdb").exists() && path.join("postgres").exists())
    })
}

/// Writes a file for the server alone, as it wants its key to be.
fn private(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    run(Command::new("chmod").arg("600").arg(path));
    if is_root() {
        run(Command::new("chown").arg("postgres:").arg(path));
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// The server's programs refuse to run as root.
fn unprivileged(program: PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
