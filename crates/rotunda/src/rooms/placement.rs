//! Which media worker a new room goes to: the one that has the least to do. A room stays where it is.
//!
//! How busy a worker was in the last second says most, but says nothing yet of rooms that were placed just now. So a worker
//! counts as at least as busy as the participants that it has and awaits would make it, and workers that are about equally
//! busy are told apart by their participants, then by their rooms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::limits;

/// All of a core.
const PPM: u128 = 1_000_000;

/// Differences in business below this part of a core are chance.
const STEP_PPM: u128 = PPM / 8;

/// What a participant costs of a core at least, as far as is known beforehand: a few streams of sound.
const PARTICIPANT_PPM_MIN: u128 = PPM / 500;

/// What a worker shows at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// How long it has waited for something to do, since its start.
    pub(super) idle: Duration,
    pub(super) is_running: bool,
}

/// What is known of all workers.
#[derive(Debug)]
pub(super) struct Placement {
    workers: Vec<Load>,
    measured: Option<Instant>,
    /// What a participant costs, where they cost least.
    participant_ppm: u128,
}

#[derive(Debug, Clone, Default)]
struct Load {
    is_gone: bool,
    /// At the last measurement.
    idle: Duration,
    /// In the time before it.
    busy_ppm: u128,
    transports: usize,
    /// Participants that are about to come, by when they were announced; after a while they do not come any more.
    announced: VecDeque<(Instant, usize)>,
    /// Their sum.
    awaited: usize,
    rooms: usize,
}

/// The load of a worker, for those who look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Rooms placed there.
    pub rooms: usize,
    /// Transports of their participants.
    pub transports: usize,
}

impl Placement {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers: vec![Load::default(); workers],
            measured: None,
            participant_ppm: PARTICIPANT_PPM_MIN,
        }
    }

    /// Takes a measurement, unless the last one is younger than [`limits::LOAD_INTERVAL`]. Samples are in the order of the
    /// workers.
    pub(super) fn observe(&mut self, samples: &[Sample], now: Instant) {
        let passed = self.measured.map(|at| now.saturating_duration_since(at));
        if passed.is_some_and(|passed| passed < limits::LOAD_INTERVAL) {
            return;
        }
        for (load, sample) in self.workers.iter_mut().zip(samples) {
            let waited = sample.idle.saturating_sub(load.idle);
            load.busy_ppm = passed.map_or(0, |passed| {
                PPM * passed.saturating_sub(waited).as_nanos() / passed.as_nanos().max(1)
            });
            load.idle = sample.idle;
            load.is_gone = !sample.is_running;
        }
        let with_participants = self.workers.iter().filter(|load| load.transports > 0);
        let each_ppm = with_participants.map(|load| load.busy_ppm / load.transports as u128);
        self.participant_ppm = each_ppm.min().unwrap_or(0).max(PARTICIPANT_PPM_MIN);
        self.measured = Some(now);
    }

    /// A place for a room in which so many participants are awaited; its load is [taken away](Self::leave) when it ends.
    pub(super) fn place(&mut self, awaited: usize, samples: &[Sample], now: Instant) -> usize {
        self.observe(samples, now);
        self.workers.iter_mut().for_each(|load| load.forget_awaited(now));
        let participant_ppm = self.participant_ppm;
        let weight = |load: &Load| {
            let participants = load.transports + load.awaited;
            let measured_ppm = load.busy_ppm / STEP_PPM * STEP_PPM;
            let busy_ppm = measured_ppm.max(participant_ppm * participants as u128);
            (load.is_gone, busy_ppm, participants, load.rooms)
        };
        let lightest = self.workers.iter().enumerate().min_by_key(|(_, load)| weight(load));
        let worker = lightest.map_or(0, |(worker, _)| worker);
        if let Some(load) = self.workers.get_mut(worker) {
            load.rooms += 1;
            load.announced.push_back((now, awaited));
            load.awaited += awaited;
        }
        worker
    }

    /// A room ended.
    pub(super) fn leave(&mut self, worker: usize) {
        if let Some(load) = self.workers.get_mut(worker) {
            load.rooms = load.rooms.saturating_sub(1);
        }
    }

    pub(super) fn transport_opened(&mut self, worker: usize) {
        if let Some(load) = self.workers.get_mut(worker) {
            load.transports += 1;
            load.take_awaited();
        }
    }

    pub(super) fn transport_closed(&mut self, worker: usize) {
        if let Some(load) = self.workers.get_mut(worker) {
            load.transports = load.transports.saturating_sub(1);
        }
    }

    pub(super) fn loads(&self) -> Vec<WorkerLoad> {
        let load = |load: &Load| WorkerLoad {
            rooms: load.rooms,
            transports: load.transports,
        };
        self.workers.iter().map(load).collect()
    }
}

impl Load {
    /// Somebody came: most likely one of those that are awaited for longest.
    fn take_awaited(&mut self) {
        while let Some((_, left)) = self.announced.front_mut() {
            if let Some(fewer) = left.checked_sub(1) {
                *left = fewer;
                self.awaited = self.awaited.saturating_sub(1);
                return;
            }
            self.announced.pop_front();
        }
    }

    fn forget_awaited(&mut self, now: Instant) {
        let is_over = |at: Instant| now.saturating_duration_since(at) >= limits::AWAITED_TIME_MAX;
        while let Some((_, left)) = self.announced.pop_front_if(|(at, _)| is_over(*at)) {
            self.awaited = self.awaited.saturating_sub(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Workers whose business is simulated.
    struct World {
        placement: Placement,
        samples: Vec<Sample>,
        now: Instant,
    }

    impl World {
        fn new(workers: usize) -> Self {
            let sample = Sample {
                idle: Duration::ZERO,
                is_running: true,
            };
            let mut world = Self {
                placement: Placement::new(workers),
                samples: vec![sample; workers],
                now: Instant::now(),
            };
            world.placement.observe(&world.samples, world.now);
            world
        }

        /// Milliseconds pass, of which each worker is busy for so many percent.
        fn pass(&mut self, ms: u32, busy: &[u32]) -> &mut Self {
            for (sample, busy) in self.samples.iter_mut().zip(busy) {
                sample.idle += Duration::from_micros(u64::from(10 * ms * (100 - busy)));
            }
            self.now += Duration::from_millis(ms.into());
            self.placement.observe(&self.samples, self.now);
            self
        }

        fn place(&mut self, awaited: usize) -> usize {
            self.placement.place(awaited, &self.samples, self.now)
        }

        fn rooms(&self) -> Vec<usize> {
            self.placement.loads().iter().map(|load| load.rooms).collect()
        }
    }

    #[test]
    fn rooms_that_nobody_has_joined_are_spread() {
        let mut world = World::new(3);
        let placed: Vec<usize> = (0..6).map(|_| world.place(1)).collect();
        assert_eq!(placed, [0, 1, 2, 0, 1, 2]);
        world.pass(60_000, &[0, 0, 0]);
        assert_eq!(world.place(1), 0);
        assert_eq!(world.place(1), 1);
    }

    #[test]
    fn the_busy_one_is_spared_however_many_are_elsewhere() {
        let mut world = World::new(2);
        for _ in 0..50 {
            world.placement.transport_opened(1);
        }
        world.pass(1000, &[90, 10]);
        assert!((0..20).all(|_| world.place(1) == 1));
        world.pass(1000, &[10, 60]);
        assert_eq!(world.place(1), 0);
    }

    #[test]
    fn a_crowd_does_not_go_where_it_was_quiet_a_moment_ago() {
        let mut world = World::new(2);
        (0..10).for_each(|_| world.placement.transport_opened(0));
        (0..10).for_each(|_| world.placement.transport_opened(1));
        world.pass(1000, &[13, 12]);
        let placed: Vec<usize> = (0..100).map(|_| world.place(1)).collect();
        let on_the_other = placed.iter().filter(|worker| **worker == 1).count();
        assert!((45..=55).contains(&on_the_other), "{placed:?}");
    }

    #[test]
    fn chance_does_not_decide() {
        let mut world = World::new(2);
        world.placement.transport_opened(0);
        world.pass(1000, &[1, 12]);
        assert_eq!(world.place(1), 1, "it has fewer participants");
    }

    #[test]
    fn what_was_measured_is_of_the_last_second() {
        let mut world = World::new(2);
        world.pass(1000, &[80, 10]).pass(500, &[0, 100]);
        assert_eq!(world.place(1), 1, "half a second is not measured yet");
        world.pass(500, &[0, 100]);
        assert_eq!(world.place(1), 0);
        // Nobody looked for long: the one who places does.
        world.samples[0].idle += Duration::from_secs(1);
        world.samples[1].idle += Duration::from_secs(60);
        world.now += Duration::from_secs(60);
        assert_eq!(world.place(1), 1);
    }

    #[test]
    fn one_that_stands_still_is_busy() {
        let mut world = World::new(2);
        world.pass(1000, &[100, 0]);
        assert!((0..5).all(|_| world.place(1) == 1));
    }

    #[test]
    fn restored_rooms_are_placed_by_those_who_will_come_back() {
        let mut world = World::new(2);
        let sizes = [100, 40, 30, 20, 9, 1];
        let placed: Vec<usize> = sizes.iter().map(|size| world.place(*size)).collect();
        assert_eq!(placed, [0, 1, 1, 1, 1, 1]);
        assert_eq!(world.place(1), 0, "a hundred on each");
        // Whoever came is not awaited any more, and after a while nor is who did not.
        (0..80).for_each(|_| world.placement.transport_opened(0));
        world.placement.transport_opened(1);
        assert_eq!(world.place(1), 1, "101 are there or awaited on the other");
        world.pass(10_000, &[0, 0]);
        assert_eq!(world.place(1), 1, "one is there, and eighty on the other");
    }

    #[test]
    fn what_ended_is_no_load() {
        let mut world = World::new(2);
        assert_eq!((world.place(0), world.place(0), world.place(0)), (0, 1, 0));
        world.placement.transport_opened(0);
        world.placement.transport_closed(0);
        world.placement.leave(0);
        world.placement.leave(0);
        assert_eq!(world.rooms(), [0, 1]);
        assert_eq!(world.place(0), 0);
    }

    #[test]
    fn one_that_is_gone_gets_none_while_there_are_others() {
        let mut world = World::new(2);
        world.samples[0].is_running = false;
        world.pass(1000, &[0, 100]);
        assert!((0..5).all(|_| world.place(1) == 1));
        world.samples[1].is_running = false;
        world.pass(1000, &[0, 0]);
        assert_eq!(world.place(1), 0);
    }

    proptest! {
        /// Rooms of equal size, placed whenever and in bursts, on workers whose business is that of their participants: the
        /// workers end up with about as many.
        #[test]
        fn equal_rooms_end_up_equal(workers in 1_usize..9, bursts in prop::collection::vec((1_usize..6, 0_u32..3000), 1..40)) {
            let mut world = World::new(workers);
            for (burst, ms) in bursts {
                for _ in 0..burst {
                    let worker = world.place(2);
                    world.placement.transport_opened(worker);
                    world.placement.transport_opened(worker);
                }
                let busy: Vec<u32> = world.placement.loads().iter().map(|load| load.transports.min(100) as u32 / 4).collect();
                world.pass(ms, &busy);
            }
            let rooms = world.rooms();
            let (least, most) = (rooms.iter().min().unwrap_or(&0), rooms.iter().max().unwrap_or(&0));
            prop_assert!(most - least <= 20, "{:?}", rooms);
        }
    }
}
