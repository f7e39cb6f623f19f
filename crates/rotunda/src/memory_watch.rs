//! Watches how near the process is to the memory that it may use, and is asked before new work is taken.
//!
//! Whoever reaches a limit is killed: by the system (a control group) or by a failed allocation
//! (`ulimit`). That is like `kill -9`: nothing acknowledged is lost and calls resume with the next
//! process, but better is not to get there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::resource::{Resource, getrlimit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;

/// Handle on the watch; cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryWatch {
    is_near: Arc<AtomicBool>,
}

impl MemoryWatch {
    /// Begins to watch as one of `tasks`, until `stop`.
    pub fn start(stop: CancellationToken, tasks: &TaskTracker) -> Self {
        let watch = Self {
            is_near: Arc::default(),
        };
        tasks.spawn(stop.run_until_cancelled_owned(watch.clone().run()));
        watch
    }

    /// Whether there is room for new work.
    pub fn is_fit(&self) -> bool {
        !self.is_near.load(Ordering::Relaxed)
    }

    async fn run(self) {
        let groups = control_groups(Path::new("/sys/fs/cgroup"), &text(Path::new("/proc/self/cgroup")));
        loop {
            let was_near = self.is_near.load(Ordering::Relaxed);
            let tightest = tightest(&groups);
            let is_near = tightest.as_ref().is_some_and(|use_| use_.is_near(was_near));
            if is_near != was_near {
                self.is_near.store(is_near, Ordering::Relaxed);
                match tightest.filter(|_| is_near) {
                    Some(use_) => tracing::error!(
                        "memory is nearly used up: {} of {} MiB ({}); calls go on, new rooms and joins are refused",
                        use_.used >> 20,
                        use_.limit >> 20,
                        use_.what
                    ),
                    None => tracing::warn!("there is memory again"),
                }
            }
            tokio::time::sleep(limits::MEMORY_WATCH_INTERVAL).await;
        }
    }
}

/// How much is used of one limit, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    what: &'static str,
    used: u64,
    limit: u64,
}

impl Use {
    /// Near from one share on, and until it is below a lower one.
    fn is_near(&self, was_near: bool) -> bool {
        let percent = if was_near {
            limits::MEMORY_AGAIN_PERCENT
        } else {
            limits::MEMORY_NEAR_PERCENT
        };
        u128::from(self.used) * 100 >= u128::from(self.limit) * u128::from(percent)
    }
}

/// Of all limits, the one that is used the most; `None` if there is none.
fn tightest(groups: &[PathBuf]) -> Option<Use> {
    let statm = text(Path::new("/proc/self/statm"));
    let groups = groups.iter().filter_map(|group| of_group(group));
    let all = of_process(&statm).into_iter().chain(groups);
    // Compared as used / limit, without division.
    all.max_by(|one, other| {
        (u128::from(one.used) * u128::from(other.limit)).cmp(&(u128::from(other.used) * u128::from(one.limit)))
    })
}

/// The limits of the process itself (setrlimit(2)); `statm` counts pages (proc_pid_statm(5)).
fn of_process(statm: &str) -> Vec<Use> {
    const PAGE_BYTES: u64 = 4096;
    let pages: Vec<u64> = statm.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let used = |index: usize| pages.get(index).copied().unwrap_or(0).saturating_mul(PAGE_BYTES);
    [
        ("ulimit -v", Resource::RLIMIT_AS, used(0)),
        ("ulimit -d", Resource::RLIMIT_DATA, used(5)),
    ]
    .into_iter()
    .filter_map(|(what, resource, used)| {
        let (limit, _) = getrlimit(resource).ok()?;
        (limit != nix::libc::RLIM_INFINITY).then_some(Use { what, used, limit })
    })
    .collect()
}

/// The control groups of version 2 that the process is in, from the innermost up.
fn control_groups(mount: &Path, own: &str) -> Vec<PathBuf> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    let innermost = mount.join(path);
    innermost
        .ancestors()
        .take_while(|group| group.starts_with(mount))
        .map(Path::to_owned)
        .collect()
}

/// What a control group uses, without what the system could drop at once; `None` without a limit.
fn of_group(group: &Path) -> Option<Use> {
    let number = |name: &str| text(&group.join(name)).trim().parse::<u64>().ok();
    let limit = number("memory.max")?;
    let current = number("memory.current")?;
    let droppable = text(&group.join("memory.stat"))
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok())
        .unwrap_or(0);
    Some(Use {
        what: "control group",
        used: current.saturating_sub(droppable),
        limit,
    })
}

/// What is in a file; nothing if it cannot be read.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_near_from_ninety_percent_until_below_eighty() {
        let near = |used, was| {
            let use_ = Use {
                what: "",
                used,
                limit: 1000,
            };
            use_.is_near(was)
        };
        assert!(!near(899, false) && near(900, false));
        assert!(near(800, true) && !near(799, true));
    }

    #[test]
    fn the_group_with_the_least_room_counts() {
        let mount = tempfile::tempdir().unwrap();
        let outer = mount.path().join("video.slice");
        let inner = outer.join("rotunda.service");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |group: &Path, max: &str, current: &str| {
            std::fs::write(group.join("memory.max"), max).unwrap();
            std::fs::write(group.join("memory.current"), current).unwrap();
            std::fs::write(group.join("memory.stat"), "anon 7\ninactive_file 100\nactive_file 3\n").unwrap();
        };
        write(&inner, "max\n", "500\n");
        write(&outer, "1000\n", "600\n");
        let groups = control_groups(mount.path(), "4:memory:/x\n0::/video.slice/rotunda.service\n");
        assert_eq!(groups, [inner.clone(), outer, mount.path().to_owned()]);
        let uses: Vec<Use> = groups.iter().filter_map(|group| of_group(group)).collect();
        let expected = Use {
            what: "control group",
            used: 500,
            limit: 1000,
        };
        assert_eq!(uses, [expected]);
        assert_eq!(control_groups(mount.path(), "4:memory:/x\n"), Vec::<PathBuf>::new());
    }
}
