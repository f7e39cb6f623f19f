//! The loop of the media thread: wait, take a batch, run the plane, send a batch.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::AsFd;

use crate::engine::Engines;
use crate::gather::Patience;
use crate::limits;
use crate::plane::Plane;
use crate::stats::SharedStats;
use crate::udp::Socket;
use crate::{Command, TransportId};

/// Batches taken before timers get their turn, under a flood. Media beyond what a turn can carry is only put aside, so
/// the socket's buffer is emptied faster than it fills.
pub(crate) const BATCHES_PER_TURN: usize = 16;

/// Longest sleep, ms: nothing depends on it.
const SLEEP_MS_MAX: u128 = 1000;

/// Pause after a panic, so that one that comes again and again fills neither a core nor the log.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// Wakes the worker for commands. The flag saves the system call while it is awake anyway.
#[derive(Debug)]
pub(crate) struct Wake {
    event: EventFd,
    pending: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self {
            event,
            pending: AtomicBool::new(false),
        })
    }

    /// Ends the worker's sleep, now or the next one.
    pub(crate) fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // It fails only when the counter is full, and then the worker is woken already.
            if let Err(errno) = self.event.write(1) {
                tracing::trace!(%errno, "the worker is awake already");
            }
        }
    }

    fn clear(&self) {
        if let Err(errno) = self.event.read() {
            tracing::trace!(%errno, "nothing had woken the worker");
        }
        // Acquires what senders that saw the flag set have put in.
        self.pending.swap(false, Ordering::AcqRel);
    }
}

/// Whether there are more commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commands {
    /// None now.
    Done,
    /// Perhaps: those of this turn were as many as it takes.
    Waiting,
    /// None ever: the handle is gone.
    Gone,
}

/// Everything the media thread owns.
pub(crate) struct Worker<E: Engines> {
    pub(crate) socket: Socket,
    pub(crate) plane: Plane<E>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) stats: Arc<SharedStats>,
    /// Who is being told something, and is not about to be closed.
    pub(crate) under_way: Option<TransportId>,
    pub(crate) patience: Patience,
}

impl<E: Engines> Worker<E> {
    /// Runs until the handle is dropped. A panic outside of a transport costs all of them, and nothing else: the thread,
    /// its port and what waits for them stay.
    pub(crate) fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            tracing::error!("a media worker panicked: its clients have to connect anew");
            std::thread::sleep(FAILURE_PAUSE);
            self.plane = self.plane.begin_anew(self.under_way.take(), Instant::now());
        }
    }

    fn serve(&mut self) {
        let mut commands = Commands::Done;
        while commands != Commands::Gone {
            let (woken, idle_since) = self.sleep(commands == Commands::Waiting);
            let now = Instant::now();
            let idle = idle_since.map_or(Duration::ZERO, |since| now.duration_since(since));
            self.plane.stats.idle_ns += idle.as_nanos() as u64;
            self.plane.stats.turns += 1;
            if woken {
                self.wake.clear();
            }
            commands = self.take_commands(now);
            self.take_datagrams();
            self.await_frames();
            self.plane.finish_turn(Instant::now());
            self.send();
            self.stats.publish(&self.plane.stats);
        }
        self.plane.close_all(Instant::now());
        self.send();
    }

    /// Waits for a datagram, a command or a deadline, unless something waits already; whether a command woke it, and since
    /// when it waited.
    fn sleep(&mut self, commands_wait: bool) -> (bool, Option<Instant>) {
        let since = (!commands_wait && !self.plane.has_backlog()).then(Instant::now);
        let timeout = since.map_or(PollTimeout::ZERO, |now| poll_timeout(self.plane.next_deadline(), now));
        let mut fds = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.event.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => tracing::error!(%errno, "waiting for datagrams failed"),
        }
        (fds[1].any().unwrap_or(false), since)
    }

    fn take_commands(&mut self, now: Instant) -> Commands {
        for _ in 0..limits::COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(command) => {
                    self.under_way = match command {
                        Command::Apply { transport, .. } | Command::Subscribe { transport, .. } => Some(transport),
                        Command::Close { .. } => None,
                    };
                    self.plane.handle_command(command, now);
                    self.under_way = None;
                }
                Err(TryRecvError::Empty) => return Commands::Done,
                Err(TryRecvError::Disconnected) => return Commands::Gone,
            }
        }
        Commands::Waiting
    }

    fn take_datagrams(&mut self) {
        let began = Instant::now();
        for _ in 0..BATCHES_PER_TURN {
            if let Err(error) = self.socket.receiver.receive() {
                // A datagram of ours came back as unreachable: reported here, about another.
                tracing::trace!(%error, "receiving failed");
            }
            let now = Instant::now();
            for (path, datagram) in self.socket.receiver.datagrams() {
                self.plane.handle_datagram(path, datagram, now);
                if self.plane.outgoing.len() >= limits::SEND_QUEUE_MAX {
                    self.plane.send_run();
                    let flushed = self.socket.sender.flush(&mut self.plane.outgoing);
                    self.plane.handle_flushed(flushed);
                }
            }
            // While the beginning of a frame was sealed for all its receivers, the rest of it arrives.
            let may_be_more = match self.plane.has_open_frames() {
                true => !self.socket.receiver.is_empty(),
                false => self.socket.receiver.is_full(),
            };
            // What a datagram costs is the sender's choice, so a turn is bounded by time, too: media that was put aside
            // must not grow old because of it.
            if !may_be_more || began.elapsed() >= limits::TURN_TIME_MAX {
                return;
            }
        }
    }

    /// Waits a moment for the rest of a frame, where that pays.
    fn await_frames(&mut self) {
        if self.plane.has_open_frames() && self.patience.waits() {
            let before = self.plane.frames_continued();
            let since = Instant::now();
            std::thread::sleep(limits::FRAME_WAIT);
            self.plane.stats.idle_ns += since.elapsed().as_nanos() as u64;
            self.take_datagrams();
            self.patience.waited(self.plane.frames_continued() > before);
        }
    }

    fn send(&mut self) {
        self.plane.send_run();
        let flushed = self.socket.sender.flush(&mut self.plane.outgoing);
        self.plane.handle_flushed(flushed);
    }
}

/// Rounded up: a millisecond late is better than a turn that finds nothing due.
fn poll_timeout(deadline: Instant, now: Instant) -> PollTimeout {
    let wait = deadline.saturating_duration_since(now);
    let ms = wait.as_nanos().div_ceil(1_000_000).min(SLEEP_MS_MAX);
    PollTimeout::from(ms as u16)
}
