//! What a process costs, from the kernel's accounts, and on which processors it runs.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// A process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(pub u32);

/// The process cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("looking at process {pid}")]
pub struct ProcessError {
    pid: u32,
    #[source]
    source: io::Error,
}

impl Process {
    /// CPU that all its threads have used, those that ended included.
    pub fn cpu(self) -> Result<Duration, ProcessError> {
        let text = self.file("stat")?;
        // The name, in parentheses, may hold anything.
        let after = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let mut fields = after.split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks(), ticks()) else {
            return Err(self.strange("stat"));
        };
        let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let a_second = u64::try_from(a_second).unwrap_or(100).max(1);
        Ok(Duration::from_micros((user + system) * 1_000_000 / a_second))
    }

    /// Memory that it has in RAM, bytes.
    pub fn resident(self) -> Result<u64, ProcessError> {
        let text = self.file("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.ok_or_else(|| self.strange("status"))? * 1024)
    }

    /// Keeps all its threads, and those that they start, to these processors.
    pub fn pin(self, cpus: &Cpus) -> Result<(), ProcessError> {
        let failed = |source| ProcessError { pid: self.0, source };
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0)).map_err(failed)?;
        for task in tasks {
            let name = task.map_err(failed)?.file_name();
            let tid = name.to_str().and_then(|name| name.parse().ok());
            let tid = tid.ok_or_else(|| self.strange("task"))?;
            sched_setaffinity(Pid::from_raw(tid), &cpus.0).map_err(|errno| failed(errno.into()))?;
        }
        Ok(())
    }

    fn file(self, name: &str) -> Result<String, ProcessError> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0))
            .map_err(|source| ProcessError { pid: self.0, source })
    }

    fn strange(self, name: &str) -> ProcessError {
        ProcessError {
            pid: self.0,
            source: io::Error::other(format!("/proc/{}/{name} is not as it should be", self.0)),
        }
    }
}

/// A list of processors, as `0`, `1,3` or `2-5`.
#[derive(Debug, Clone, Copy)]
pub struct Cpus(CpuSet);

impl Cpus {
    /// Keeps this thread, and the threads and processes that it starts, to these processors.
    pub fn pin_this_thread(&self) -> io::Result<()> {
        Ok(sched_setaffinity(Pid::from_raw(0), &self.0)?)
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("processors are written as 0, 1,3 or 2-5, not as {text:?}");
        let mut set = CpuSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.trim().parse().map_err(|_| wrong())?;
            let last: usize = last.trim().parse().map_err(|_| wrong())?;
            if first > last || last >= CpuSet::count() {
                return Err(wrong());
            }
            for cpu in first..=last {
                set.set(cpu).map_err(|_| wrong())?;
            }
        }
        Ok(Self(set))
    }
}

/// Lets this process, and those that it starts, open as many files as the system allows: each
/// participant takes two here and one in the server.
pub fn raise_file_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_this_process_costs() {
        let this = Process(std::process::id());
        let before = this.cpu().unwrap();
        let mut number = 1;
        while this.cpu().unwrap() < before + Duration::from_millis(50) {
            number = crate::link::splitmix(number);
        }
        assert!(number != 0 && this.resident().unwrap() > 1 << 20);
        assert!(Process(u32::MAX).cpu().is_err());
    }

    #[test]
    fn reads_lists_of_processors() {
        let set = |text: &str| {
            let Cpus(set) = text.parse().unwrap();
            (0..8).filter(|cpu| set.is_set(*cpu).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            (set("0"), set("1,3"), set("2-5,7")),
            (vec![0], vec![1, 3], vec![2, 3, 4, 5, 7])
        );
        for wrong in ["", "a", "3-1", "-1", "100000", "1,,2"] {
            assert!(wrong.parse::<Cpus>().is_err(), "{wrong}");
        }
    }
}
