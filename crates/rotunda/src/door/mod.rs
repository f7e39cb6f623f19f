//! The door: how much one address or one account may have at once and ask in a second.
//!
//! Everything here is a decision about who waits; nothing is a decision about rights.

mod bucket;
mod notice;
mod places;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use room::AccountSid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::bucket::{Bucket, Buckets, Rate};
pub(crate) use self::notice::Notice;
pub use self::places::Place;
use self::places::Places;
use crate::limits;

/// What an owner may change; 0 is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorSettings {
    /// REST requests a second of one account.
    pub rest_requests_per_s: u32,
    /// Joins a second of all accounts together.
    pub joins_per_s: u32,
    /// Joins a second of one account.
    pub joins_per_account_per_s: u32,
    /// Signaling sockets of one account at once.
    pub sockets_per_account: u32,
    /// HTTP connections of one remote address at once, WebSockets included.
    pub connections_per_address: u32,
}

impl Default for DoorSettings {
    /// Far above what an ordinary installation does; `config.default.toml` says the same.
    fn default() -> Self {
        Self {
            rest_requests_per_s: 2_000,
            joins_per_s: 2_000,
            joins_per_account_per_s: 1_000,
            sockets_per_account: 10_000,
            connections_per_address: 5_000,
        }
    }
}

/// Counts who is inside and how fast others come. One for a server.
pub struct Door {
    rates: Mutex<Rates>,
    accounts: Arc<Places<AccountSid>>,
    addresses: Arc<Places<Origin>>,
    sockets: Arc<Semaphore>,
    outside: Arc<Semaphore>,
    refused: Notice,
}

struct Rates {
    requests: Buckets<AccountSid>,
    joins: Bucket,
    account_joins: Buckets<AccountSid>,
}

/// A signaling socket's places, given back when it is dropped.
pub struct SocketPlaces {
    _socket: OwnedSemaphorePermit,
    /// Until it is in a room.
    outside: Option<OwnedSemaphorePermit>,
    account: Option<Place<AccountSid>>,
}

/// The place of a client behind a trusted proxy, for as long as its request or WebSocket lasts.
#[derive(Clone)]
pub struct ClientPlace {
    _place: Arc<Place<Origin>>,
}

impl ClientPlace {
    /// Shares a place that was taken.
    pub fn new(place: Place<Origin>) -> Self {
        Self {
            _place: Arc::new(place),
        }
    }
}

/// Who counts as one address: an IPv4 address, or the /64 that one subscriber of IPv6 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

impl Door {
    /// An open door, with nobody inside.
    pub fn new(settings: DoorSettings, now: Instant) -> Self {
        Self {
            rates: Mutex::new(Rates {
                requests: Buckets::new(Rate::per_s(settings.rest_requests_per_s)),
                joins: Bucket::full(Rate::per_s(settings.joins_per_s), now),
                account_joins: Buckets::new(Rate::per_s(settings.joins_per_account_per_s)),
            }),
            accounts: Arc::new(Places::new(settings.sockets_per_account)),
            addresses: Arc::new(Places::new(settings.connections_per_address)),
            sockets: Arc::new(Semaphore::new(limits::SOCKETS_MAX)),
            outside: Arc::new(Semaphore::new(limits::SOCKETS_OUTSIDE_ROOMS_MAX)),
            refused: Notice::default(),
        }
    }

    /// A REST request of an account.
    ///
    /// # Errors
    /// How long to wait before the next.
    pub fn request(&self, account: AccountSid, now: Instant) -> Result<(), Duration> {
        let taken = self.rates().requests.of(account, now).take(now);
        taken.inspect_err(|_| {
            self.refused
                .tell("REST requests of one account over rest_requests_per_s", now)
        })
    }

    /// A client of an account goes into a room, after the wait returned: it is taken into account
    /// for those behind.
    ///
    /// # Errors
    /// The wait, if it is longer than `at_most`; then nothing is counted.
    pub fn join(&self, account: AccountSid, at_most: Duration, now: Instant) -> Result<Duration, Duration> {
        let mut rates = self.rates();
        let wait = rates.joins.wait(now).max(rates.account_joins.wait(account, now));
        if wait <= at_most {
            rates.joins.promise(now);
            rates.account_joins.of(account, now).promise(now);
            return Ok(wait);
        }
        drop(rates);
        self.refused
            .tell("joins over joins_per_s or joins_per_account_per_s", now);
        Err(wait)
    }

    /// How long a client that is about to join would have to wait; `account` once it is known.
    pub fn join_wait(&self, account: Option<AccountSid>, now: Instant) -> Duration {
        let rates = self.rates();
        let of_account = account.map_or(Duration::ZERO, |account| rates.account_joins.wait(account, now));
        rates.joins.wait(now).max(of_account)
    }

    /// A connection from an address; `None` at the bound.
    pub fn connection(&self, address: IpAddr, now: Instant) -> Option<Place<Origin>> {
        let place = Places::take(&self.addresses, Origin::of(address));
        if place.is_none() {
            self.refused
                .tell("connections of one address over connections_per_address", now);
        }
        place
    }

    /// A signaling socket that is not in a room yet; `None` at the bound.
    pub fn socket(&self, now: Instant) -> Option<SocketPlaces> {
        let taken = Arc::clone(&self.sockets).try_acquire_owned();
        let outside = Arc::clone(&self.outside).try_acquire_owned();
        let (Ok(socket), Ok(outside)) = (taken, outside) else {
            self.refused.tell("signaling sockets", now);
            return None;
        };
        Some(SocketPlaces {
            _socket: socket,
            outside: Some(outside),
            account: None,
        })
    }

    /// Whether so many sockets are open that clients should come back later.
    pub fn is_crowded(&self) -> bool {
        self.sockets.available_permits() < limits::SOCKETS_MAX / 10
            || self.outside.available_permits() < limits::SOCKETS_OUTSIDE_ROOMS_MAX / 10
    }

    /// Counts a socket for an account; false at the bound, where it is not counted.
    pub fn admit(&self, places: &mut SocketPlaces, account: AccountSid, now: Instant) -> bool {
        if places.account.as_ref().is_some_and(|place| *place.key() == account) {
            return true;
        }
        places.account = Places::take(&self.accounts, account);
        if places.account.is_none() {
            self.refused
                .tell("sockets of one account over sockets_per_account", now);
        }
        places.account.is_some()
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        // Each holder leaves whole buckets, so a panic does too.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketPlaces {
    /// It is in a room: the place of those outside is free.
    pub fn entered(&mut self) {
        self.outside = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const A: AccountSid = AccountSid::from_bytes([1; 16]);
    const B: AccountSid = AccountSid::from_bytes([2; 16]);

    fn door(change: impl FnOnce(&mut DoorSettings)) -> (Door, Instant) {
        let mut settings = DoorSettings::default();
        change(&mut settings);
        let now = Instant::now();
        (Door::new(settings, now), now)
    }

    #[test]
    fn an_account_that_asks_too_much_does_not_slow_another() {
        let (door, now) = door(|settings| settings.rest_requests_per_s = 10);
        let passed = (0..1000).filter(|_| door.request(A, now).is_ok()).count();
        assert_eq!(passed, 10 * limits::BURST_S as usize);
        assert_eq!(door.request(A, now), Err(Duration::from_millis(100)));
        assert!(door.request(B, now).is_ok());
        assert!(door.request(A, now + Duration::from_millis(100)).is_ok());
    }

    #[test]
    fn joins_are_bounded_for_each_account_and_for_all() {
        let (door, now) = door(|settings| {
            settings.joins_per_s = 30;
            settings.joins_per_account_per_s = 20;
        });
        let passed = |account| {
            (0..1000)
                .filter(|_| door.join(account, Duration::ZERO, now).is_ok())
                .count()
        };
        assert_eq!(passed(A), 20 * limits::BURST_S as usize);
        assert!(door.join_wait(Some(A), now) > Duration::ZERO);
        assert_eq!(door.join_wait(Some(B), now), Duration::ZERO);
        assert_eq!(passed(B), 10 * limits::BURST_S as usize);
        assert!(door.join_wait(None, now) > Duration::ZERO);
        // What was refused cost nothing: the rate holds afterwards.
        let later = now + Duration::from_secs(1);
        assert_eq!(
            (0..1000)
                .filter(|_| door.join(A, Duration::ZERO, later).is_ok())
                .count(),
            20
        );
    }

    #[test]
    fn five_hundred_joins_at_once_meet_no_default() {
        let (door, now) = door(|_| ());
        assert!((0..500).all(|_| door.join(A, Duration::ZERO, now).is_ok() && door.request(A, now).is_ok()));
        let places: Vec<_> = (0..500).map(|_| door.socket(now).unwrap()).collect();
        assert!(!door.is_crowded());
        drop(places);
    }

    #[test]
    fn nothing_is_bounded_where_the_setting_is_0() {
        let (door, now) = door(|settings| {
            *settings = DoorSettings {
                rest_requests_per_s: 0,
                joins_per_s: 0,
                joins_per_account_per_s: 0,
                sockets_per_account: 0,
                connections_per_address: 0,
            }
        });
        let places: Vec<_> = (0..20_000)
            .map(|_| {
                assert!(door.join(A, Duration::ZERO, now).is_ok() && door.request(A, now).is_ok());
                door.connection(IpAddr::from([127, 0, 0, 1]), now).unwrap()
            })
            .collect();
        drop(places);
    }

    #[test]
    fn an_address_has_so_many_connections_and_a_whole_ipv6_network_is_one() {
        let (door, now) = door(|settings| settings.connections_per_address = 2);
        let v6 = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, host]);
        let first = door.connection(v6(1), now).unwrap();
        let _second = door.connection(v6(2), now).unwrap();
        assert!(door.connection(v6(3), now).is_none());
        assert!(
            door.connection(IpAddr::from([0x2001, 0xdb8, 0, 8, 0, 0, 0, 1]), now)
                .is_some()
        );
        drop(first);
        assert!(door.connection(v6(3), now).is_some());
        // An IPv4 address is the same one inside of IPv6.
        let _one = door.connection(IpAddr::from([192, 0, 2, 1]), now).unwrap();
        let _two = door
            .connection(IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]), now)
            .unwrap();
        assert!(door.connection(IpAddr::from([192, 0, 2, 1]), now).is_none());
        assert!(door.connection(IpAddr::from([192, 0, 2, 2]), now).is_some());
    }

    #[test]
    fn an_account_has_so_many_sockets() {
        let (door, now) = door(|settings| settings.sockets_per_account = 1);
        let (mut one, mut two) = (door.socket(now).unwrap(), door.socket(now).unwrap());
        assert!(door.admit(&mut one, A, now) && door.admit(&mut one, A, now));
        assert!(!door.admit(&mut two, A, now));
        assert!(door.admit(&mut two, B, now));
        // Who turns to another account gives the place of the first back.
        assert!(!door.admit(&mut one, B, now));
        assert!(door.admit(&mut two, A, now));
    }

    #[test]
    fn sockets_that_join_nothing_do_not_fill_the_house() {
        let (door, now) = door(|_| ());
        let mut idle = Vec::new();
        while let Some(place) = door.socket(now) {
            idle.push(place);
        }
        assert_eq!(idle.len(), limits::SOCKETS_OUTSIDE_ROOMS_MAX);
        assert!(door.is_crowded());
        for place in &mut idle {
            place.entered();
        }
        assert!(!door.is_crowded());
        let mut more = Vec::new();
        while let Some(mut place) = door.socket(now) {
            place.entered();
            more.push(place);
        }
        assert_eq!(idle.len() + more.len(), limits::SOCKETS_MAX);
    }
}
