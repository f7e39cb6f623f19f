//! ICE lite for one transport: which addresses are the client's, and where to send.
//!
//! A lite agent sends no checks (RFC 8445 section 2.5). The rule here is simpler than an engine's
//! list of pairs, and faster: the newest authentic check that nominates wins at once, and the first
//! check with the credentials of a restart ends the claims of the old addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use negotiation::IceCredentials;

use crate::limits;
use crate::stun::BindingRequest;

/// Between which addresses packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    /// The client's address.
    pub(crate) remote: SocketAddr,
    /// The address of ours that it writes to; unknown on sockets bound to a single address.
    pub(crate) local: Option<IpAddr>,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// To be sent back on the path of the check.
    pub(crate) response: Vec<u8>,
    /// The address of the check is the client's from now on; false for a refused role.
    pub(crate) valid: bool,
    /// Credentials of before a restart that are void now: their ufrag.
    pub(crate) retired: Option<String>,
}

/// The lite agent.
#[derive(Debug)]
pub(crate) struct IceLite {
    current: IceCredentials,
    /// Credentials before a restart, valid until the first check with the new ones.
    previous: Option<IceCredentials>,
    selected: Option<Path>,
    nominated: bool,
    remotes: Vec<Remote>,
    last_check: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Remote {
    address: SocketAddr,
    last_check: Instant,
    /// After this it is forgotten; set when a restart made it obsolete.
    expires: Option<Instant>,
}

impl IceLite {
    pub(crate) fn new(local: IceCredentials) -> Self {
        Self {
            current: local,
            previous: None,
            selected: None,
            nominated: false,
            remotes: Vec::new(),
            last_check: None,
        }
    }

    /// Takes our credentials of a new session. Different ones are a restart; returns the ufrag
    /// that is void at once, if there were two already.
    pub(crate) fn set_credentials(&mut self, local: &IceCredentials) -> Option<String> {
        if self.current == *local {
            return None;
        }
        let before = std::mem::replace(&mut self.current, local.clone());
        // A second restart before the first was used: the path still belongs to the oldest.
        match &self.previous {
            Some(_) => Some(before.ufrag),
            None => {
                self.previous = Some(before);
                None
            }
        }
    }

    /// The user name fragments that checks to us may carry.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .map(|credentials| credentials.ufrag.as_str())
    }

    /// A binding request arrived. `None` if it is not authentic: no answer then, since an answer
    /// would tell a stranger that the ufrag exists.
    pub(crate) fn handle_check(&mut self, request: &BindingRequest<'_>, path: Path, now: Instant) -> Option<Checked> {
        let ufrag = request.local_ufrag();
        let is_current = ufrag == self.current.ufrag;
        let credentials = if is_current {
            &self.current
        } else {
            self.previous.as_ref().filter(|previous| previous.ufrag == ufrag)?
        };
        if !request.is_authentic(&credentials.pwd) {
            return None;
        }
        if request.controlled {
            let response = request.role_conflict(&credentials.pwd);
            return Some(Checked {
                response,
                valid: false,
                retired: None,
            });
        }
        let response = request.success(path.remote, &credentials.pwd);
        let retired = if is_current { self.retire(now) } else { None };
        self.last_check = Some(now);
        self.remember(path.remote, now);
        // Before any nomination the first address will do: DTLS may start on it.
        if request.nominates || !self.nominated {
            let provisional = !request.nominates && self.selected.is_some();
            if !provisional {
                self.selected = Some(path);
            }
            self.nominated |= request.nominates;
        }
        Some(Checked {
            response,
            valid: true,
            retired,
        })
    }

    /// Where to send; `None` before the first check.
    pub(crate) fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// When the last authentic check arrived.
    pub(crate) fn last_check(&self) -> Option<Instant> {
        self.last_check
    }

    /// Forgets addresses whose time is over and returns them.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<SocketAddr> {
        let selected = self.selected.map(|path| path.remote);
        let gone = |remote: &Remote| match remote.expires {
            Some(at) => now >= at,
            None => {
                Some(remote.address) != selected
                    && now.saturating_duration_since(remote.last_check) > limits::REMOTE_IDLE_MAX
            }
        };
        let expired = self
            .remotes
            .iter()
            .filter(|remote| gone(remote))
            .map(|remote| remote.address)
            .collect();
        self.remotes.retain(|remote| !gone(remote));
        expired
    }

    /// Whether this address is the client's beyond doubt: it passed a check a short while ago.
    pub(crate) fn holds(&self, address: SocketAddr, now: Instant) -> bool {
        let recent = |remote: &Remote| now.saturating_duration_since(remote.last_check) < limits::CHECK_GAP;
        self.remotes
            .iter()
            .any(|remote| remote.address == address && remote.expires.is_none() && recent(remote))
    }

    /// All addresses that passed a check.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.remotes.iter().map(|remote| remote.address)
    }

    /// The first check with the new credentials: what was chosen with the old ones is void.
    fn retire(&mut self, now: Instant) -> Option<String> {
        let previous = self.previous.take()?;
        self.selected = None;
        self.nominated = false;
        for remote in &mut self.remotes {
            remote.expires = Some(now + limits::RESTART_GRACE);
        }
        Some(previous.ufrag)
    }

    fn remember(&mut self, address: SocketAddr, now: Instant) {
        if let Some(known) = self.remotes.iter_mut().find(|remote| remote.address == address) {
            known.last_check = now;
            known.expires = None;
            return;
        }
        if self.remotes.len() >= limits::REMOTES_PER_TRANSPORT_MAX {
            // Marked, not removed: `expire` reports it, so that the demultiplexer forgets it too.
            let selected = self.selected.map(|path| path.remote);
            let spare = |remote: &&mut Remote| remote.expires.is_none() && Some(remote.address) != selected;
            let oldest = self
                .remotes
                .iter_mut()
                .filter(spare)
                .min_by_key(|remote| remote.last_check);
            if let Some(oldest) = oldest {
                oldest.expires = Some(now);
            }
        }
        self.remotes.push(Remote {
            address,
            last_check: now,
            expires: None,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::stun::nominating_request;
    use std::time::Duration;

    fn credentials(name: &str) -> IceCredentials {
        IceCredentials {
            ufrag: name.into(),
            pwd: format!("password of {name}"),
        }
    }

    fn path(port: u16) -> Path {
        Path {
            remote: SocketAddr::from(([192, 0, 2, 1], port)),
            local: None,
        }
    }

    fn check(ice: &mut IceLite, name: &str, port: u16, now: Instant) -> Option<Checked> {
        let bytes = nominating_request(&format!("{name}:x"), &credentials(name).pwd, [1; 12]);
        let request = BindingRequest::parse(&bytes).unwrap();
        ice.handle_check(&request, path(port), now)
    }

    #[test]
    fn the_newest_nominating_check_wins_at_once() {
        let now = Instant::now();
        let mut ice = IceLite::new(credentials("a"));
        assert!(ice.selected().is_none());
        check(&mut ice, "a", 1, now).unwrap();
        assert_eq!(ice.selected(), Some(path(1)));
        check(&mut ice, "a", 2, now).unwrap();
        assert_eq!(ice.selected(), Some(path(2)));
    }

    #[test]
    fn a_wrong_password_changes_nothing() {
        let mut ice = IceLite::new(credentials("a"));
        let bytes = nominating_request("a:x", "guess", [1; 12]);
        let request = BindingRequest::parse(&bytes).unwrap();
        assert_eq!(ice.handle_check(&request, path(1), Instant::now()), None);
        assert!(ice.selected().is_none() && ice.last_check().is_none());
    }

    #[test]
    fn both_credentials_hold_until_the_new_ones_are_used() {
        let now = Instant::now();
        let mut ice = IceLite::new(credentials("a"));
        check(&mut ice, "a", 1, now).unwrap();
        assert_eq!(ice.set_credentials(&credentials("b")), None);
        assert_eq!(ice.ufrags().collect::<Vec<_>>(), ["b", "a"]);
        check(&mut ice, "a", 1, now).unwrap();
        let checked = check(&mut ice, "b", 2, now).unwrap();
        assert_eq!(checked.retired.as_deref(), Some("a"));
        assert_eq!(ice.selected(), Some(path(2)));
        assert!(check(&mut ice, "a", 3, now).is_none());
        assert!(ice.expire(now).is_empty());
        assert_eq!(ice.expire(now + limits::RESTART_GRACE), [path(1).remote]);
    }

    #[test]
    fn a_second_restart_voids_the_first() {
        let mut ice = IceLite::new(credentials("a"));
        ice.set_credentials(&credentials("b"));
        assert_eq!(ice.set_credentials(&credentials("c")).as_deref(), Some("b"));
        assert_eq!(ice.ufrags().collect::<Vec<_>>(), ["c", "a"]);
    }

    #[test]
    fn addresses_are_bounded_and_the_silent_one_goes() {
        let start = Instant::now();
        let mut ice = IceLite::new(credentials("a"));
        for port in 0..20 {
            let now = start + Duration::from_millis(u64::from(port));
            check(&mut ice, "a", port + 1, now).unwrap();
            ice.expire(now);
            assert!(ice.remotes().count() <= limits::REMOTES_PER_TRANSPORT_MAX);
        }
        assert_eq!(ice.selected(), Some(path(20)));
        let later = start + limits::REMOTE_IDLE_MAX * 2;
        ice.expire(later);
        assert_eq!(ice.remotes().collect::<Vec<_>>(), [path(20).remote]);
    }
}
