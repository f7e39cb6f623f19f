//! One run: everybody joins, then media flows, is measured, and everybody leaves.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::engine::{Engine, EngineGone, Tally};
use crate::janus::{Feeds, Janus, Member, Session};
use crate::limits::{ANSWER_TIME_MAX, FAILURES_KEPT_MAX, SETTLE_TIME_MAX};
use crate::media::Media;
use crate::participant::{DescriptionSizes, Joining, Outside, Participant};
use crate::peer::{Identity, PeerError};
use crate::plan::Plan;
use crate::process::{Process, ProcessError};
use crate::report::{Joins, Report, Usage};
use crate::rest::{Account, RestError};
use crate::stamp::Clock;

/// How often states are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Nothing new for this long counts as quiet.
const QUIET: Duration = Duration::from_secs(1);
/// How long packets under way are waited for, beyond the path's own delay.
const LATECOMERS_MAX: Duration = Duration::from_secs(3);

/// Makes an access token for an identity, or says why not.
pub type Tokens = Box<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// What is put under load.
pub enum Target {
    /// A Rotunda.
    Rotunda(Server),
    /// Janus' VideoRoom.
    Janus(Janus),
}

/// A Rotunda that runs.
pub struct Server {
    /// Makes rooms.
    pub account: Account,
    /// Where signaling is.
    pub signaling: String,
    /// Who may join.
    pub token: Tokens,
    /// Its process, if it runs on this machine.
    pub process: Option<Process>,
}

impl Target {
    /// As reports write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rotunda(_) => "rotunda",
            Self::Janus(_) => "janus",
        }
    }

    fn process(&self) -> Option<Process> {
        match self {
            Self::Rotunda(server) => server.process,
            Self::Janus(janus) => Some(janus.process()),
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many of so many have joined.
    Joining(u64, u64),
    /// So many of so many who come and go have gone.
    Passing(u64, u64),
    /// So many of so many streams are heard.
    Settling(u64, u64),
    /// So much of the time has been measured.
    Measuring(Duration, Duration),
    /// Everybody leaves.
    Leaving,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The rooms.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The server's costs.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The generator's certificate.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The generator's threads.
    #[error(transparent)]
    Engine(#[from] EngineGone),
    /// They could not be started.
    #[error("starting the generator's media threads")]
    Threads(#[source] std::io::Error),
    /// A token.
    #[error("making an access token: {0}")]
    Token(String),
    /// The rooms of Janus.
    #[error("making the rooms")]
    Rooms(#[from] Outside),
    /// Nobody came in.
    #[error("nobody could join: {0}")]
    Nobody(String),
}

/// Runs a plan against a server.
pub async fn run(plan: &Plan, target: &Target, progress: &mut dyn FnMut(Progress)) -> Result<Report, RunError> {
    let plan = Arc::new(plan.clone());
    let engines = Engines::start(plan.threads)?;
    let own = Process(std::process::id());
    let idle = Usage::of(target.process())?;
    let mut crowd = Crowd::new(&plan, target, &engines).await?;
    let result = crowd.measure(own, idle, progress).await;
    progress(Progress::Leaving);
    let ended = crowd.leave().await;
    engines.stop();
    result.map(|mut report| {
        report.failures.extend(ended);
        report.failures.truncate(FAILURES_KEPT_MAX);
        report.target = target.name();
        report
    })
}

/// The threads that carry media.
struct Engines {
    engines: Vec<Engine>,
    threads: Vec<JoinHandle<()>>,
}

impl Engines {
    fn start(count: usize) -> Result<Self, RunError> {
        let clock = Clock::start();
        let started = (0..count.max(1)).map(|number| Engine::start(number, clock));
        let started: Result<Vec<_>, _> = started.collect();
        let (engines, threads) = started.map_err(RunError::Threads)?.into_iter().unzip();
        Ok(Self { engines, threads })
    }

    fn of(&self, number: u32) -> Engine {
        self.engines[number as usize % self.engines.len()].clone()
    }

    async fn tallies(&self) -> Result<Vec<Tally>, EngineGone> {
        let mut tallies = Vec::new();
        for engine in &self.engines {
            tallies.push(engine.tally().await?);
        }
        Ok(tallies)
    }

    async fn tally(&self) -> Result<Tally, EngineGone> {
        let mut sum = Tally::default();
        self.tallies().await?.iter().for_each(|tally| sum.add(tally));
        Ok(sum)
    }

    fn all(&self, order: impl Fn(&Engine) -> Result<(), EngineGone>) -> Result<(), EngineGone> {
        self.engines.iter().try_for_each(order)
    }

    fn stop(self) {
        drop(self.engines);
        for thread in self.threads {
            if thread.join().is_err() {
                eprintln!("a media thread of the generator panicked");
            }
        }
    }
}

/// The participants of a run.
struct Crowd<'a> {
    plan: Arc<Plan>,
    target: &'a Target,
    engines: &'a Engines,
    http: reqwest::Client,
    /// Names and SIDs.
    rooms: Vec<(String, String)>,
    feeds: Arc<Feeds>,
    identity: Identity,
    media: Media,
    sizes: Arc<DescriptionSizes>,
    staying: JoinSet<Result<(), Outside>>,
    leave: watch::Sender<bool>,
}

impl<'a> Crowd<'a> {
    /// Makes the rooms.
    async fn new(plan: &Arc<Plan>, target: &'a Target, engines: &'a Engines) -> Result<Self, RunError> {
        let mut crowd = Self {
            media: Media::new(plan),
            plan: plan.clone(),
            target,
            engines,
            feeds: Arc::new(Feeds::new(plan.publishers)),
            http: reqwest::Client::new(),
            rooms: Vec::new(),
            identity: Identity::new()?,
            sizes: Arc::default(),
            staying: JoinSet::new(),
            leave: watch::Sender::new(false),
        };
        if let Err(error) = crowd.make_rooms().await {
            crowd.leave().await;
            return Err(error);
        }
        Ok(crowd)
    }

    async fn make_rooms(&mut self) -> Result<(), RunError> {
        match self.target {
            Target::Rotunda(server) => {
                for number in 0..self.plan.rooms {
                    let name = format!("load-{}-{}-{number}", std::process::id(), self.plan.seed);
                    let passing = self.plan.passing.min(Plan::PASSING_TOGETHER);
                    let size = (self.plan.participants + passing).max(2);
                    let sid = server.account.create_room(&self.http, &name, size).await?;
                    self.rooms.push((name, sid));
                }
            }
            Target::Janus(janus) => {
                let mut session = Session::open(&janus.url()).await?;
                for number in 0..self.plan.rooms {
                    Member::create_room(&mut session, number, self.plan.publishers).await?;
                }
                session.close().await;
            }
        }
        Ok(())
    }

    async fn measure(
        &mut self,
        own: Process,
        idle: Usage,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, RunError> {
        let began = Instant::now();
        let mut joins = self.join(progress).await?;
        self.quiet(joins.peers).await?;
        joins.seconds = began.elapsed().as_secs_f64();
        self.let_pass(joins.peers, progress).await?;
        let joined = Usage::of(self.target.process())?;
        self.engines.all(Engine::play)?;
        self.settle(progress).await?;

        self.engines.all(Engine::mark)?;
        let before = (
            Usage::of(self.target.process())?,
            own.cpu()?,
            self.engines.tallies().await?,
        );
        let began = Instant::now();
        while began.elapsed() < self.plan.duration {
            progress(Progress::Measuring(began.elapsed(), self.plan.duration));
            let left = self.plan.duration.saturating_sub(began.elapsed());
            tokio::time::sleep(left.min(LOOK)).await;
        }
        self.engines.all(Engine::silence)?;
        let took = began.elapsed();
        let after = (
            Usage::of(self.target.process())?,
            own.cpu()?,
            self.engines.tallies().await?,
        );
        let tally = self.latecomers().await?;
        Ok(Report::new(
            &self.plan,
            joins,
            &self.sizes,
            tally,
            [idle, joined, before.0, after.0],
            crate::report::Generator {
                cpu: after.1.saturating_sub(before.1),
                threads: after
                    .2
                    .iter()
                    .zip(&before.2)
                    .map(|(after, before)| after.cpu.saturating_sub(before.cpu))
                    .collect(),
            },
            took,
        ))
    }

    /// Everybody joins, the first of each room first.
    async fn join(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<Joins, RunError> {
        let total = self.plan.total();
        let (sender, mut answers) = mpsc::channel(64);
        let mut pace = tokio::time::interval(Duration::from_secs(1) / self.plan.join_rate.max(1));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut joins = Joins::default();
        let mut started = 0;
        while joins.answered() < u64::from(total) {
            tokio::select! {
                _ = pace.tick(), if started < total => {
                    let (room, place) = (started % self.plan.rooms, started / self.plan.rooms);
                    let leave = self.leave.subscribe();
                    self.start(room, room * self.plan.participants + place, leave, sender.clone())?;
                    started += 1;
                }
                answer = answers.recv() => match answer {
                    Some(Ok((took, peers))) => {
                        joins.took.push(took);
                        joins.peers += u64::from(peers);
                    }
                    Some(Err(error)) => joins.refused(error),
                    None => break,
                },
            }
            progress(Progress::Joining(joins.answered(), u64::from(total)));
        }
        match joins.took.is_empty() {
            true => Err(RunError::Nobody(joins.refusals.first().cloned().unwrap_or_default())),
            false => Ok(joins),
        }
    }

    /// Others come, publish and go, some at a time; those who stay are told of all of them.
    async fn let_pass(&mut self, mut peers: u64, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
        let (passing, rooms) = (self.plan.passing, self.plan.rooms);
        let mut passed = 0;
        while passed < passing {
            let together = (passing - passed).min(Plan::PASSING_TOGETHER * rooms);
            let leave = watch::Sender::new(false);
            let (sender, mut answers) = mpsc::channel(64);
            for number in passed..passed + together {
                self.start(
                    number % rooms,
                    self.plan.total() + number,
                    leave.subscribe(),
                    sender.clone(),
                )?;
            }
            drop(sender);
            while let Some(answer) = answers.recv().await {
                let (_, joined) = answer.map_err(RunError::Nobody)?;
                peers += u64::from(joined);
            }
            self.quiet(peers).await?;
            leave.send_replace(true);
            self.quiet(peers).await?;
            passed += together;
            progress(Progress::Passing(passed.into(), passing.into()));
        }
        Ok(())
    }

    fn start(&mut self, room: u32, number: u32, leave: watch::Receiver<bool>, answer: Answer) -> Result<(), RunError> {
        let mut joining = Joining {
            url: String::new(),
            token: String::new(),
            room_name: String::new(),
            number,
            room,
            identity: self.identity.clone(),
            engine: self.engines.of(number),
            media: self.media.clone(),
            sizes: self.sizes.clone(),
        };
        match self.target {
            Target::Rotunda(server) => {
                joining.url.clone_from(&server.signaling);
                joining.token = (server.token)(&format!("load-{number}")).map_err(RunError::Token)?;
                joining.room_name.clone_from(&self.rooms[room as usize].0);
                self.staying.spawn(async move {
                    let joined = within(Participant::join(joining)).await;
                    let Some(participant) = tell(joined, |_| 1, answer).await else {
                        return Ok(());
                    };
                    participant.stay(leave).await
                });
            }
            Target::Janus(janus) => {
                joining.url = janus.url();
                let (address, feeds) = (janus.media(), self.feeds.clone());
                self.staying.spawn(async move {
                    let joined = within(Member::join(joining, address, &feeds)).await;
                    let Some(member) = tell(joined, |member| member.peers, answer).await else {
                        return Ok(());
                    };
                    member.stay(leave).await
                });
            }
        }
        Ok(())
    }

    /// Waits until all are connected and no more descriptions come.
    async fn quiet(&self, joined: u64) -> Result<(), RunError> {
        let count = || self.sizes.count.load(std::sync::atomic::Ordering::Relaxed);
        let (began, mut last, mut since) = (Instant::now(), count(), Instant::now());
        while began.elapsed() < SETTLE_TIME_MAX {
            tokio::time::sleep(LOOK).await;
            if count() != last || self.engines.tally().await?.connected < joined {
                (last, since) = (count(), Instant::now());
            }
            if since.elapsed() > QUIET {
                break;
            }
        }
        Ok(())
    }

    /// Waits until everybody hears everybody, and a little longer.
    async fn settle(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
        let (began, wanted) = (Instant::now(), self.plan.streams());
        loop {
            let heard = self.engines.tally().await?.streams;
            progress(Progress::Settling(heard, wanted));
            if heard >= wanted || began.elapsed() > SETTLE_TIME_MAX {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(QUIET).await;
        Ok(())
    }

    /// What was counted, once no more comes.
    async fn latecomers(&self) -> Result<Tally, RunError> {
        let (began, mut last, mut since) = (Instant::now(), 0, Instant::now());
        loop {
            let tally = self.engines.tally().await?;
            if tally.received != last {
                (last, since) = (tally.received, Instant::now());
            }
            if since.elapsed() > QUIET / 2 + 2 * self.plan.delay
                || began.elapsed() > LATECOMERS_MAX + 4 * self.plan.delay
            {
                return Ok(tally);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everybody leaves and the rooms end; who had been put out before, and why.
    async fn leave(&mut self) -> Vec<String> {
        self.leave.send_replace(true);
        let mut ended = Vec::new();
        while let Some(result) = self.staying.join_next().await {
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => ended.push(with_causes(&error)),
                Err(error) => ended.push(error.to_string()),
            }
        }
        for (_, sid) in &self.rooms {
            let Target::Rotunda(server) = self.target else { break };
            if let Err(error) = server.account.complete_room(&self.http, sid).await {
                ended.push(with_causes(&error));
            }
        }
        ended
    }
}

/// How long joining took and how many peer connections it made, or why it failed.
type Answer = mpsc::Sender<Result<(Duration, u32), String>>;

async fn within<T>(join: impl Future<Output = Result<T, Outside>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_TIME_MAX, join).await {
        Ok(joined) => joined.map_err(|error| with_causes(&error)),
        Err(_) => Err("it took too long".to_owned()),
    }
}

/// Tells the run how joining went, and goes on with whoever came in.
async fn tell<T>(joined: Result<(T, Duration), String>, peers: impl Fn(&T) -> u32, answer: Answer) -> Option<T> {
    let (told, member) = match joined {
        Ok((member, took)) => (Ok((took, peers(&member))), Some(member)),
        Err(error) => (Err(error), None),
    };
    // The run waits for every answer, so there is somebody to take it.
    answer.send(told).await.ok();
    member
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
