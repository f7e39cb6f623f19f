//! What a run showed, as JSON and as a table.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::Tally;
use crate::participant::DescriptionSizes;
use crate::plan::Plan;
use crate::process::{Process, ProcessError};

/// Of a processor, what a thread of the generator may use before it counts as the bottleneck.
const THREAD_SHARE_MAX: f64 = 0.8;
/// By how much publishers may be late, 99 of 100 times, before the generator counts as the
/// bottleneck, ms.
const LATE_MS_MAX: f64 = 20.0;

/// How joining went.
#[derive(Debug, Clone, Default)]
pub struct Joins {
    /// From `connect` to `connected`, of each that came in.
    pub took: Vec<Duration>,
    /// Peer connections of those.
    pub peers: u64,
    /// Why others did not; the first ones.
    pub refusals: Vec<String>,
    /// How many others.
    pub refused: u64,
    /// From the first to the last, and until nothing more was negotiated.
    pub seconds: f64,
}

impl Joins {
    pub(crate) fn answered(&self) -> u64 {
        self.took.len() as u64 + self.refused
    }

    pub(crate) fn refused(&mut self, why: String) {
        self.refused += 1;
        if self.refusals.len() < crate::limits::FAILURES_KEPT_MAX {
            self.refusals.push(why);
        }
    }

    fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }
}

/// What a server has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU, ever.
    pub cpu: Duration,
    /// Memory now, bytes.
    pub resident: u64,
    /// It is known.
    known: bool,
}

impl Usage {
    pub(crate) fn of(process: Option<Process>) -> Result<Self, ProcessError> {
        let Some(process) = process else {
            return Ok(Self::default());
        };
        Ok(Self {
            cpu: process.cpu()?,
            resident: process.resident()?,
            known: true,
        })
    }
}

/// What the generator used while it measured.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    pub(crate) cpu: Duration,
    pub(crate) threads: Vec<Duration>,
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Report {
    /// `rotunda` or `janus`.
    pub target: &'static str,
    plan: Plan,
    joins: Joins,
    descriptions: [u64; 5],
    tally: Tally,
    /// Idle, all joined, when measuring began, when it ended.
    usage: [Usage; 4],
    generator: Generator,
    took: Duration,
    /// Who failed, and why; the first ones.
    pub failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        joins: Joins,
        sizes: &DescriptionSizes,
        mut tally: Tally,
        usage: [Usage; 4],
        generator: Generator,
        took: Duration,
    ) -> Self {
        let load = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
        let mut failures = joins.refusals.clone();
        failures.append(&mut tally.failures);
        Self {
            target: "rotunda",
            plan: plan.clone(),
            joins,
            descriptions: [
                load(&sizes.count),
                load(&sizes.bytes),
                load(&sizes.largest_theirs),
                load(&sizes.largest_ours),
                load(&sizes.most_sections),
            ],
            tally,
            usage,
            generator,
            took,
            failures,
        }
    }

    /// Server CPU for each packet that receivers decrypted, µs.
    pub fn cpu_us_per_packet(&self) -> Option<f64> {
        let [.., before, after] = self.usage;
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let received = self.tally.received;
        (after.known && received > 0).then(|| cpu * 1e6 / received as f64)
    }

    /// Everybody joined, heard everybody, and nobody heard another room.
    pub fn is_complete(&self) -> bool {
        self.joins.refused == 0 && self.tally.heard == self.plan.streams() && self.tally.strays == 0
    }

    /// The generator could not keep up, so that its own delay is in the figures.
    pub fn is_generator_bottleneck(&self) -> bool {
        let most = self.generator.threads.iter().max().copied().unwrap_or_default();
        self.share(most) > THREAD_SHARE_MAX || self.tally.late.quantile_ms(0.99) > LATE_MS_MAX
    }

    /// Everything, by name. What is not known is null.
    pub fn json(&self) -> Value {
        let (plan, tally, joins) = (&self.plan, &self.tally, &self.joins);
        let [count, bytes, largest_theirs, largest_ours, most_sections] = self.descriptions;
        let delay = |share| round(tally.delays.quantile_ms(share), 3);
        let path_ms = 2.0 * plan.delay.as_secs_f64() * 1000.0;
        let most = self.generator.threads.iter().max().copied().unwrap_or_default();
        json!({
            "target": self.target,
            "plan": self.plan_json(),
            "seconds": round(self.took.as_secs_f64(), 2),
            "join": {
                "joined": joins.took.len(),
                "refused": joins.refused,
                "seconds": round(joins.seconds, 2),
                "connected_ms": {
                    "p50": round(joins.quantile_ms(0.5), 2),
                    "p99": round(joins.quantile_ms(0.99), 2),
                    "max": round(joins.quantile_ms(1.0), 2),
                },
                "server_cpu_ms_per_participant": self.join_cpu_ms().map(|ms| round(ms, 2)),
            },
            "sdp": {
                "descriptions": count,
                "bytes": bytes,
                "largest_from_server_bytes": largest_theirs,
                "largest_from_client_bytes": largest_ours,
                "most_sections": most_sections,
            },
            "streams": { "expected": plan.streams(), "heard": tally.heard },
            "packets": {
                "sent": tally.sent,
                "received": tally.received,
                "per_second": round(tally.received as f64 / self.took.as_secs_f64(), 0),
                "lost": tally.lost,
                "loss_percent": round(self.loss_percent(), 4),
                "repaired": tally.repaired,
                "strays": tally.strays,
                "keyframes_asked": tally.keyframes_asked,
            },
            "delay_ms": { "p50": delay(0.5), "p99": delay(0.99), "max": delay(1.0) },
            "added_delay_ms": {
                "p50": round((tally.delays.quantile_ms(0.5) - path_ms).max(0.0), 3),
                "p99": round((tally.delays.quantile_ms(0.99) - path_ms).max(0.0), 3),
            },
            "server": {
                "cpu_us_per_packet": self.cpu_us_per_packet().map(|us| round(us, 2)),
                "cpu_percent": self.server_share().map(|share| round(share * 100.0, 1)),
                "memory_idle_kib": self.usage[0].known.then(|| self.usage[0].resident / 1024),
                "memory_joined_kib": self.usage[1].known.then(|| self.usage[1].resident / 1024),
                "memory_kib": self.usage[3].known.then(|| self.usage[3].resident / 1024),
                "memory_joined_kib_per_participant": self.memory_kib_each(1).map(|kib| round(kib, 1)),
                "memory_kib_per_participant": self.memory_kib_each(3).map(|kib| round(kib, 1)),
            },
            "generator": {
                "cpu_percent": round(self.share(self.generator.cpu) * 100.0, 1),
                "busiest_thread_percent": round(self.share(most) * 100.0, 1),
                "late_ms_p99": round(tally.late.quantile_ms(0.99), 3),
                "datagrams_not_sent": tally.unsent,
                "bottleneck": self.is_generator_bottleneck(),
            },
            "complete": self.is_complete(),
            "failures": self.failures,
        })
    }

    /// For people.
    pub fn table(&self) -> String {
        let (plan, tally, joins) = (&self.plan, &self.tally, &self.joins);
        let [_, bytes, largest_theirs, ..] = self.descriptions;
        let known = |value: Option<String>| value.unwrap_or_else(|| "not known: the server runs elsewhere".to_owned());
        let mut table = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a String cannot fail.
            writeln!(table, "  {name:<22}{value}").ok();
        };
        row(
            "rooms",
            format!(
                "{} of {}, {} publishing",
                plan.rooms, plan.participants, plan.publishers
            ),
        );
        row(
            "joined",
            format!(
                "{} in {:.1} s, {} refused",
                joins.took.len(),
                joins.seconds,
                joins.refused
            ),
        );
        let (p50, p99) = (joins.quantile_ms(0.5), joins.quantile_ms(0.99));
        row("time to join", format!("p50 {p50:.1} ms, p99 {p99:.1} ms"));
        row(
            "CPU of joining",
            known(self.join_cpu_ms().map(|ms| format!("{ms:.1} ms a participant"))),
        );
        row(
            "descriptions",
            format!(
                "{} kB in all, largest {} kB",
                bytes.div_ceil(1000),
                largest_theirs.div_ceil(1000)
            ),
        );
        row("streams heard", format!("{} of {}", tally.heard, plan.streams()));
        let rate = tally.received as f64 / self.took.as_secs_f64();
        let heard = match plan.decrypt_every {
            ..=1 => "decrypted",
            _ => "received",
        };
        row(
            &format!("packets {heard}"),
            format!(
                "{} in {:.1} s, {rate:.0} a second",
                tally.received,
                self.took.as_secs_f64()
            ),
        );
        row(
            "lost",
            format!(
                "{} ({:.3} %), {} came late or resent",
                tally.lost,
                self.loss_percent(),
                tally.repaired
            ),
        );
        let (p50, p99) = (tally.delays.quantile_ms(0.5), tally.delays.quantile_ms(0.99));
        row(
            "delay",
            format!("p50 {p50:.2} ms, p99 {p99:.2} ms, the path's own included"),
        );
        row(
            "server CPU",
            known(self.cpu_us_per_packet().map(|us| {
                let percent = self.server_share().unwrap_or_default() * 100.0;
                format!("{us:.2} µs a packet {heard}, {percent:.0} % of a processor")
            })),
        );
        row(
            "server memory",
            known(
                self.memory_kib_each(3)
                    .map(|kib| format!("{} MiB, {kib:.0} KiB a participant", self.usage[3].resident >> 20)),
            ),
        );
        let percent = self.share(self.generator.cpu) * 100.0;
        row(
            "generator",
            format!(
                "{percent:.0} % of a processor, late by {:.1} ms (p99)",
                tally.late.quantile_ms(0.99)
            ),
        );
        if self.is_generator_bottleneck() {
            table += "\nThe generator could not keep up: delays and losses are partly its own. Give it another processor\n\
                      (--load-cpus, --threads), fewer participants or a lower --video-kbps.\n";
        }
        for failure in &self.failures {
            writeln!(table, "\nfailed: {failure}").ok();
        }
        table
    }

    fn plan_json(&self) -> Value {
        let plan = &self.plan;
        json!({
            "rooms": plan.rooms,
            "participants": plan.participants,
            "publishers": plan.publishers,
            "speakers": plan.speakers,
            "passing": plan.passing,
            "audio": plan.audio,
            "codecs": plan.codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>(),
            "video_kbps": plan.video_bits / 1000,
            "fps": plan.frames_per_second,
            "simulcast": plan.simulcast,
            "loss_percent": f64::from(plan.lost_per_mille) / 10.0,
            "delay_ms": plan.delay.as_millis() as u64,
            "rate_kbps": plan.rate.map(|bits| bits / 1000),
            "decrypt_every": plan.decrypt_every,
            "seed": plan.seed,
        })
    }

    fn loss_percent(&self) -> f64 {
        let all = self.tally.lost + self.tally.received;
        100.0 * self.tally.lost as f64 / all.max(1) as f64
    }

    fn share(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() / self.took.as_secs_f64().max(1e-9)
    }

    fn server_share(&self) -> Option<f64> {
        let [.., before, after] = self.usage;
        after.known.then(|| self.share(after.cpu.saturating_sub(before.cpu)))
    }

    fn join_cpu_ms(&self) -> Option<f64> {
        let [idle, joined, ..] = self.usage;
        let cpu = joined.cpu.saturating_sub(idle.cpu).as_secs_f64() * 1000.0;
        joined.known.then(|| cpu / self.joins.took.len().max(1) as f64)
    }

    /// At one of the moments of [`Report::usage`], for each who joined.
    fn memory_kib_each(&self, moment: usize) -> Option<f64> {
        let (idle, after) = (self.usage[0], self.usage[moment]);
        let more = after.resident.saturating_sub(idle.resident) as f64 / 1024.0;
        after.known.then(|| more / self.joins.took.len().max(1) as f64)
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
