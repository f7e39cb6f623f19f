//! Which processor a media thread stays on, if it is to stay on one.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread; as `pid` of the system calls below.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// A processor for each of so many threads, as far apart as may be, of those that this process may use. With more threads
/// than processors some share one.
pub(crate) fn spread(threads: usize) -> Result<Vec<usize>, Errno> {
    let allowed = sched_getaffinity(THIS_THREAD)?;
    let allowed: Vec<usize> = (0..CpuSet::count())
        .filter(|processor| allowed.is_set(*processor) == Ok(true))
        .collect();
    Ok(spread_over(&allowed, threads))
}

fn spread_over(allowed: &[usize], threads: usize) -> Vec<usize> {
    let place = |thread| thread * allowed.len() / threads.max(allowed.len().min(threads));
    (0..threads)
        .filter_map(|thread| allowed.get(place(thread)).copied())
        .collect()
}

/// Keeps the calling thread on a processor.
pub(crate) fn pin(processor: usize) -> Result<(), Errno> {
    let mut only = CpuSet::new();
    only.set(processor)?;
    sched_setaffinity(THIS_THREAD, &only)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn threads_are_spread_over_the_processors_that_there_are() {
        assert_eq!(spread_over(&[0, 1, 2, 3], 2), [0, 2]);
        assert_eq!(spread_over(&[4, 5, 8], 3), [4, 5, 8]);
        assert_eq!(spread_over(&[4, 8], 4), [4, 4, 8, 8]);
        assert_eq!(spread_over(&[3], 1), [3]);
        assert!(spread_over(&[], 2).is_empty());
    }

    #[test]
    fn a_pinned_thread_may_use_one_processor() {
        let processor = *spread(1).unwrap().first().unwrap();
        let pinned = std::thread::spawn(move || {
            pin(processor).unwrap();
            sched_getaffinity(THIS_THREAD).unwrap()
        });
        let mut only = CpuSet::new();
        only.set(processor).unwrap();
        assert_eq!(pinned.join().unwrap(), only);
    }
}
