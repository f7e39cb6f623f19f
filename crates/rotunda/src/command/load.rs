//! `rotunda load`: scripted participants against a server, and what they cost it.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use load::description::VideoCodec;
use load::janus::Janus;
use load::plan::Plan;
use load::process::{Cpus, Process, raise_file_limit};
use load::rest::Account;
use load::run::{Progress, Server, Target};
use room::{AccountSid, ApiKeySid};
use serde_json::Value;

use super::{Failure, print, with_causes};
use crate::access_token;
use crate::config;
use crate::credentials::ApiKey;

/// Examples that the help ends with.
pub(super) const EXAMPLES: &str = "Examples:
  rotunda load                                    5 participants against a server of its own
  rotunda load --participants 50 --publishers 1   one speaks, 49 listen
  rotunda load --rooms 200                        200 rooms of 5
  rotunda load --loss 2 --delay 40 --rate 2000    everyone on a bad network
  rotunda load --server-cpus 0 --load-cpus 1 --json > figures.json
  rotunda load --target janus                     the same with Janus, for comparison
  eval \"$(rotunda env)\" && rotunda load --url http://video.example.com:8080
                                                  a server that runs already

A run joins everybody, then lets media flow and measures for --duration, then everybody leaves. The
figures: CPU of the server for each packet that a receiver decrypted; delay from a publisher's sending
to a receiver's decryption; packets that never came, after retransmission; memory. The same --seed
makes the same media and the same losses. Media is made by the program itself: its headers and sizes
are those of an encoder, its pictures are noise. The run says when it, and not the server, was what
could not keep up. Exit code 1: somebody could not join, or did not hear somebody.";

/// Options of the command.
#[derive(Args)]
pub(super) struct LoadArgs {
    /// What is put under load
    #[arg(long, value_enum, default_value = "rotunda")]
    target: TargetArg,
    /// With --target janus: its event loops; 0 for a thread each participant, its own default
    #[arg(long, value_name = "N", default_value_t = 1)]
    janus_event_loops: u32,
    /// Server to put under load, with credentials in the environment as `rotunda env` prints them.
    /// Without it, the run starts a `rotunda dev` and stops it afterwards
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Process of the server of --url, if it runs on this machine, to measure its CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
    /// Participants in each room
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    participants: u32,
    /// How many in each room publish; without it, all
    #[arg(long, value_name = "N")]
    publishers: Option<u32>,
    /// How many of these send anything, the others' tracks being silent; without it, all
    #[arg(long, value_name = "N")]
    speakers: Option<u32>,
    /// So many more join, publish and leave again before media flows, ten at a time in each room
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    passing: u32,
    /// How long is measured: 10, 90s, 5m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Participants that begin to join each second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    join_rate: u32,
    /// Publishers send no audio
    #[arg(long)]
    no_audio: bool,
    /// Format of the video; with several, publishers take turns; `none` for no video
    #[arg(
        long,
        value_name = "CODECS",
        value_enum,
        value_delimiter = ',',
        default_value = "vp8"
    )]
    codec: Vec<CodecArg>,
    /// Bit rate of a video, of its highest layer with --simulcast
    #[arg(long, value_name = "KBIT/S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..=50_000))]
    video_kbps: u64,
    /// Pictures a second
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120))]
    fps: u32,
    /// VP8 is sent in three layers, of a tenth, three tenths and all of the bit rate
    #[arg(long)]
    simulcast: bool,
    /// Datagrams that are lost, each way, percent
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = per_mille)]
    loss: PerMille,
    /// Time that a datagram takes, each way
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    delay: u64,
    /// What a participant's path lets through, each way; without it, everything
    #[arg(long, value_name = "KBIT/S", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Of each room every Nth participant decrypts what it gets; the others count packets by their headers, and tell the
    /// server nothing of them. So the run can receive more than it can decrypt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    decrypt_every: u32,
    /// Of media, losses and times
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads of the run that carry media
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Processors that the server is kept to: 0, 1,3 or 2-5
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<Cpus>,
    /// Processors that the run keeps to
    #[arg(long, value_name = "LIST")]
    load_cpus: Option<Cpus>,
    /// Media workers of the server that the run starts; without it, half of the processors that it is kept to
    #[arg(long, value_name = "N", conflicts_with = "url", value_parser = clap::value_parser!(u32).range(1..=64))]
    media_workers: Option<u32>,
    /// Prints one line of JSON, not a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TargetArg {
    /// Rotunda
    Rotunda,
    /// The VideoRoom of a Janus that the run starts; Debian's package `janus` has it
    Janus,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodecArg {
    Vp8,
    H264,
    None,
}

#[derive(Clone, Copy)]
struct PerMille(u32);

/// Runs, and tells what it showed.
pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let plan = plan(args)?;
    // With fewer files a large run fails later, with a sentence of its own.
    raise_file_limit().ok();
    let (target, child) = target(args)?;
    if let Some(cpus) = &args.load_cpus {
        pin(cpus)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("the runtime cannot be started: {error}")))?;
    let bar = ProgressBar::new(0);
    let result = runtime.block_on(load::run::run(&plan, &target, &mut |progress| show(&bar, progress)));
    bar.finish_and_clear();
    drop(child);
    let report = result.map_err(|error| Failure::Other(with_causes(&error)))?;
    if args.json {
        print(&format!("{}\n", report.json()))?;
    } else {
        print(&report.table())?;
    }
    match report.is_complete() {
        true => Ok(()),
        false => Err(Failure::Other(
            "not everybody joined, or heard everybody; the figures are those of the others".to_owned(),
        )),
    }
}

fn plan(args: &LoadArgs) -> Result<Plan, Failure> {
    let publishers = args.publishers.unwrap_or(args.participants);
    if publishers > args.participants {
        return Err(Failure::Usage(format!(
            "--publishers: a room of {} participants has no {publishers} publishers",
            args.participants
        )));
    }
    let codecs: Vec<VideoCodec> = args.codec.iter().filter_map(|codec| codec.video()).collect();
    if codecs.is_empty() && args.no_audio {
        return Err(Failure::Usage(
            "--codec none with --no-audio: nothing would be published; give --publishers 0 for that".to_owned(),
        ));
    }
    if !codecs.is_empty() && codecs.len() < args.codec.len() {
        return Err(Failure::Usage("--codec: none goes with no other".to_owned()));
    }
    Ok(Plan {
        rooms: args.rooms,
        participants: args.participants,
        publishers,
        speakers: args.speakers.unwrap_or(publishers),
        passing: args.passing,
        duration: args.duration,
        join_rate: args.join_rate,
        audio: !args.no_audio,
        audio_bytes: 80,
        codecs,
        video_bits: args.video_kbps * 1000,
        frames_per_second: args.fps,
        simulcast: args.simulcast,
        lost_per_mille: args.loss.0,
        delay: Duration::from_millis(args.delay),
        rate: args.rate.map(|kbps| kbps * 1000),
        decrypt_every: args.decrypt_every,
        seed: args.seed,
        threads: args.threads.into(),
    })
}

/// What `--target` names. One of our own ends when it, or the child, is dropped.
fn target(args: &LoadArgs) -> Result<(Target, Option<OwnServer>), Failure> {
    if args.server_cpus.is_some() && args.load_cpus.is_none() && args.url.is_none() {
        return Err(Failure::Usage(
            "--server-cpus: say by --load-cpus where the run itself shall be".to_owned(),
        ));
    }
    if args.target == TargetArg::Rotunda {
        let (server, child) = server(args)?;
        return Ok((Target::Rotunda(server), child));
    }
    if args.passing > 0 {
        return Err(Failure::Usage(
            "--passing: with --target janus nobody comes and goes".to_owned(),
        ));
    }
    if args.url.is_some() {
        return Err(Failure::Usage(
            "--url: with --target janus the run starts a Janus of its own".to_owned(),
        ));
    }
    if let Some(cpus) = &args.server_cpus {
        pin(cpus)?;
    }
    let addresses = config::covered(Ipv4Addr::UNSPECIFIED.into());
    let media = addresses.into_iter().find(|ip| ip.is_ipv4() && !ip.is_loopback());
    let media = media.ok_or_else(|| {
        Failure::Other(
            "Janus offers no loopback address and this machine has no other; make one by \
             `ip link add load0 type dummy && ip addr add 192.0.2.10/24 dev load0 && ip link set load0 up`"
                .to_owned(),
        )
    })?;
    let janus = Janus::start(media, args.janus_event_loops);
    let janus = janus.map_err(|error| Failure::Other(with_causes(&error)))?;
    Ok((Target::Janus(janus), None))
}

/// The server of `--url`, or one of our own, which ends when the child is dropped.
fn server(args: &LoadArgs) -> Result<(Server, Option<OwnServer>), Failure> {
    if let Some(url) = &args.url {
        let process = args.pid.map(Process);
        if let Some(cpus) = &args.server_cpus {
            let process = process
                .ok_or_else(|| Failure::Usage("--server-cpus: name the server's process by --pid".to_owned()))?;
            process.pin(cpus).map_err(|error| Failure::Other(with_causes(&error)))?;
        }
        return Ok((running(url, process)?, None));
    }
    if let Some(cpus) = &args.server_cpus {
        // The child inherits it; ours is set anew afterwards.
        pin(cpus)?;
    }
    let most = args.participants + args.passing.min(Plan::PASSING_TOGETHER);
    let child = OwnServer::start(most, args.media_workers)?;
    let line = &child.line;
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let server = known_server(
        Account {
            url: text("http"),
            sid: text("account_sid"),
            auth_token: text("auth_token"),
        },
        text("signaling"),
        &text("api_key_sid"),
        text("api_key_secret"),
        Some(Process(child.child.id())),
    )?;
    Ok((server, Some(child)))
}

/// A server that runs already, with the credentials of the environment.
fn running(url: &str, process: Option<Process>) -> Result<Server, Failure> {
    let url = url.trim_end_matches('/');
    if !url.starts_with("http://") {
        return Err(Failure::Usage(
            "--url: http://HOST:PORT; the run does no TLS, so give the address behind the proxy that does".to_owned(),
        ));
    }
    known_server(
        Account {
            url: url.to_owned(),
            sid: environment(&["TWILIO_ACCOUNT_SID"])?,
            auth_token: environment(&["TWILIO_AUTH_TOKEN"])?,
        },
        config::signaling_url(url),
        &environment(&["TWILIO_API_KEY", "TWILIO_API_KEY_SID"])?,
        environment(&["TWILIO_API_SECRET", "TWILIO_API_KEY_SECRET"])?,
        process,
    )
}

fn known_server(
    account: Account,
    signaling: String,
    key_sid: &str,
    secret: String,
    process: Option<Process>,
) -> Result<Server, Failure> {
    let wrong = |what: &str| Failure::Other(format!("{what} is not one; see `rotunda env`"));
    let key = ApiKey {
        sid: ApiKeySid::from_str(key_sid).map_err(|_| wrong("the API key's SID"))?,
        account: AccountSid::from_str(&account.sid).map_err(|_| wrong("the account's SID"))?,
        secret,
    };
    let token = move |identity: &str| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        access_token::issue(&key, identity, None, access_token::LIFETIME_MAX_S, now_s)
            .map_err(|error| error.to_string())
    };
    Ok(Server {
        account,
        signaling,
        token: Box::new(token),
        process,
    })
}

/// The first of these variables that is set.
fn environment(names: &[&str]) -> Result<String, Failure> {
    let value = names
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    value.ok_or_else(|| {
        Failure::Usage(format!(
            "{} is not set; `eval \"$(rotunda env)\"` sets what --url needs",
            names[0]
        ))
    })
}

/// A `rotunda dev` for this run alone; it ends when this is dropped.
struct OwnServer {
    child: Child,
    line: Value,
}

impl OwnServer {
    fn start(participants: u32, media_workers: Option<u32>) -> Result<Self, Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::Other(format!("`rotunda dev` cannot be started: {error}"));
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = std::process::Command::new(program)
            .args(["dev", "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0"])
            .args(["--max-participants", &participants.max(2).to_string()])
            .args(["--media-workers", &media_workers.unwrap_or(0).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let stdout = child.stdout.take();
        let mut own = Self {
            child,
            line: Value::Null,
        };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|error| failed(&error))?;
        }
        own.line = serde_json::from_str(&line).map_err(|_| failed(&"it said why, or nothing, above"))?;
        Ok(own)
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It keeps nothing, so it may end at once; one that has ended cannot be killed, which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn pin(cpus: &Cpus) -> Result<(), Failure> {
    cpus.pin_this_thread().map_err(|error| {
        Failure::Usage(format!(
            "--server-cpus, --load-cpus: these processors are not there: {error}"
        ))
    })
}

fn show(bar: &ProgressBar, progress: Progress) {
    let style = |text: &str| {
        let style = ProgressStyle::with_template(text);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    };
    let (done, of) = match progress {
        Progress::Joining(joined, of) => {
            style("joining   {bar:40} {pos} of {len}");
            (joined, of)
        }
        Progress::Passing(passed, of) => {
            style("passing   {bar:40} {pos} of {len}");
            (passed, of)
        }
        Progress::Settling(heard, of) => {
            style("settling  {bar:40} {pos} of {len} streams");
            (heard, of)
        }
        Progress::Measuring(done, of) => {
            style("measuring {bar:40} {msg}");
            bar.set_message(format!("{:.0} of {:.0} s", done.as_secs_f64(), of.as_secs_f64()));
            (done.as_millis() as u64, of.as_millis() as u64)
        }
        Progress::Leaving => {
            style("leaving");
            (1, 1)
        }
    };
    bar.set_length(of);
    bar.set_position(done);
}

impl CodecArg {
    fn video(self) -> Option<VideoCodec> {
        match self {
            Self::Vp8 => Some(VideoCodec::Vp8),
            Self::H264 => Some(VideoCodec::H264),
            Self::None => None,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit_s) = match text.char_indices().last() {
        Some((end, 's')) => (&text[..end], 1),
        Some((end, 'm')) => (&text[..end], 60),
        _ => (text, 1),
    };
    let seconds = digits.parse::<u64>().ok().map(|number| number.saturating_mul(unit_s));
    let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "a time such as 10, 90s or 5m, at most a day".to_owned())
}

fn per_mille(text: &str) -> Result<PerMille, String> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent
        .map(|percent| PerMille((percent * 10.0).round() as u32))
        .ok_or_else(|| "percent from 0 to 100, to a tenth".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_and_losses() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(per_mille("2").map(|loss| loss.0), Ok(20));
        assert_eq!(per_mille("0.5").map(|loss| loss.0), Ok(5));
        for wrong in ["", "0", "-1", "2h", "s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "101", "-1", "NaN", "much"] {
            assert!(per_mille(wrong).is_err(), "{wrong}");
        }
    }
}
