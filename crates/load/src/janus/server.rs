//! A Janus of our own: a configuration in a temporary directory, one WebSocket port, the VideoRoom
//! and nothing else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::Process;

/// How long it may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Plugins and transports of Debian's package that are not wanted.
const DISABLED_PLUGINS: &str = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,\
    libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,\
    libjanus_videocall.so,libjanus_voicemail.so";
const DISABLED_TRANSPORTS: &str = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,\
    libjanus_rabbitmq.so";

/// Why there is no Janus.
#[derive(Debug, thiserror::Error)]
pub enum JanusError {
    /// Its files could not be written.
    #[error("writing the configuration of Janus to {directory}")]
    Configuration {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program did not start.
    #[error("starting `janus`, which Debian's package of that name brings")]
    Start(#[source] io::Error),
    /// It did not listen.
    #[error("Janus did not listen in time; its log is {log}")]
    Silent {
        /// What it wrote.
        log: PathBuf,
    },
}

/// A running Janus; it ends, and its files go, when this is dropped.
#[derive(Debug)]
pub struct Janus {
    child: Child,
    directory: PathBuf,
    port: u16,
    media: IpAddr,
}

impl Janus {
    /// Starts it with so many event loops (0: a thread for each participant, its default), its
    /// media on this address: Janus offers none of loopback.
    pub fn start(media: IpAddr, event_loops: u32) -> Result<Self, JanusError> {
        let directory = std::env::temp_dir().join(format!("rotunda-load-janus-{}", std::process::id()));
        let failed = |source| JanusError::Configuration {
            directory: directory.clone(),
            source,
        };
        let port = free_port().map_err(failed)?;
        write_configuration(&directory, port, media, event_loops).map_err(failed)?;
        let log = std::fs::File::create(directory.join("log")).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let child = Command::new("janus")
            .arg("--configs-folder")
            .arg(&directory)
            .args(["--disable-colors", "--debug-level", "3"])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        let janus = match child {
            Ok(child) => Self {
                child,
                directory,
                port,
                media,
            },
            Err(error) => {
                // What was written for it is of no use to anybody.
                std::fs::remove_dir_all(&directory).ok();
                return Err(JanusError::Start(error));
            }
        };
        janus.wait()
    }

    /// Where its WebSocket is.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Where its media is.
    pub fn media(&self) -> IpAddr {
        self.media
    }

    /// For its costs.
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    fn wait(mut self) -> Result<Self, JanusError> {
        let began = Instant::now();
        while began.elapsed() < START_TIME_MAX {
            if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(self);
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let kept = std::env::temp_dir().join(format!("rotunda-load-janus-{}.log", std::process::id()));
        let copied = std::fs::copy(self.directory.join("log"), &kept);
        Err(JanusError::Silent {
            log: copied.map(|_| kept).unwrap_or_default(),
        })
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        // It keeps nothing. What has ended cannot be killed, which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

fn write_configuration(directory: &Path, port: u16, media: IpAddr, event_loops: u32) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let loops = match event_loops {
        0 => String::new(),
        count => format!("event_loops = {count}\n"),
    };
    let main = format!(
        "general: {{\nconfigs_folder = \"{folder}\"\nsession_timeout = 0\n{loops}}}\n\
         media: {{\nipv6 = false\n}}\n\
         nat: {{\nice_lite = true\nice_enforce_list = \"{media}\"\nfull_trickle = false\n}}\n\
         plugins: {{\ndisable = \"{DISABLED_PLUGINS}\"\n}}\n\
         transports: {{\ndisable = \"{DISABLED_TRANSPORTS}\"\n}}\n\
         events: {{\nbroadcast = false\n}}\n",
        folder = directory.display(),
    );
    let websockets = format!(
        "general: {{\njson = \"compact\"\nws = true\nws_ip = \"127.0.0.1\"\nws_port = {port}\nwss = false\n}}\n\
         admin: {{\nadmin_ws = false\nadmin_wss = false\n}}\n"
    );
    std::fs::write(directory.join("janus.jcfg"), main)?;
    std::fs::write(directory.join("janus.transport.websockets.jcfg"), websockets)?;
    std::fs::write(directory.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")
}

/// A port that was free a moment ago: Janus cannot choose one by itself.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
