//! File descriptors: as many as the system grants, a reserve for what must go on, the rest for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::limits;

/// Asks the system for as many descriptors as connections may need. What it does not grant is said
/// when the listener starts.
pub fn raise() {
    let wanted = (limits::CONNECTIONS_MAX + limits::DESCRIPTORS_RESERVED) as u64;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let better = wanted.min(hard);
        if better > soft {
            setrlimit(Resource::RLIMIT_NOFILE, better, hard)
        } else {
            Ok(())
        }
    });
    if let Err(errno) = raised {
        tracing::debug!(%errno, "the limit of file descriptors stays as it is");
    }
}

/// How many connections fit into the limit as it is, beside the reserve; one at least.
pub(super) fn connections_max() -> usize {
    let granted = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let granted = usize::try_from(granted).unwrap_or(usize::MAX);
    let room = granted.saturating_sub(limits::DESCRIPTORS_RESERVED).max(1);
    if room < limits::CONNECTIONS_MAX {
        tracing::info!(
            "the limit of {granted} file descriptors leaves room for {room} connections at once; raise it with `ulimit -n` or LimitNOFILE="
        );
    }
    room.min(limits::CONNECTIONS_MAX)
}
