//! Whose names are looked up, and how many at once: a name whose server is slow takes one place, an account with many such
//! names a part of them.
//!
//! The system's look-up cannot be broken off, so a place is held until it ends, also when the attempt that asked is over by
//! then. Without shares one account could fill all places, again with each retry, and nobody else's names would be found.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use room::AccountSid;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};

use super::resolver::Lookup;
use crate::limits;

tokio::task_local! {
    /// Whose callback this task sends. The HTTP client, which asks for the addresses of a name, knows the name alone.
    pub(super) static ACCOUNT: AccountSid;
}

/// What became of a look-up; nothing yet while it is under way.
type Found = Option<Result<Vec<IpAddr>, Arc<io::Error>>>;

/// Look-ups under way.
pub(super) struct Lookups {
    lookup: Lookup,
    places: Arc<Semaphore>,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By name: whoever asks for one that is under way gets its answer.
    under_way: HashMap<String, watch::Receiver<Found>>,
    /// The places of accounts that have some under way or wait for one.
    of_accounts: HashMap<Option<AccountSid>, Arc<Semaphore>>,
}

/// A place among all, in its account's share.
struct Place {
    lookups: Arc<Lookups>,
    account: Option<AccountSid>,
    /// `None` only while it is dropped.
    permits: Option<[OwnedSemaphorePermit; 2]>,
}

impl Lookups {
    pub(super) fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            places: Arc::new(Semaphore::new(limits::CALLBACK_LOOKUPS_MAX)),
            shared: Mutex::default(),
        }
    }

    /// The addresses of a name, for the account of this task. Waits for a place as long as it is polled, and keeps none
    /// waiting behind it that others could have.
    pub(super) fn find(self: Arc<Self>, name: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send {
        let account = ACCOUNT.try_with(|account| *account).ok();
        async move {
            let under_way = match self.under_way(&name) {
                Some(under_way) => under_way,
                None => {
                    let place = Place::take(&self, account).await.map_err(io::Error::other)?;
                    self.begin(name, place)
                }
            };
            answer(under_way).await
        }
    }

    fn under_way(&self, name: &str) -> Option<watch::Receiver<Found>> {
        self.lock().under_way.get(name).cloned()
    }

    /// Asks for a name, unless that has begun while the place was waited for.
    fn begin(&self, name: String, place: Place) -> watch::Receiver<Found> {
        let mut shared = self.lock();
        if let Some(under_way) = shared.under_way.get(&name).cloned() {
            // The place is given back by whoever can lock again.
            drop(shared);
            return under_way;
        }
        let (tell, told) = watch::channel(None);
        shared.under_way.insert(name.clone(), told.clone());
        drop(shared);
        // A task of its own: it goes on when nobody waits for it any more.
        let under_way = UnderWay { name, place };
        let asked = (self.lookup)(under_way.name.clone());
        tokio::spawn(async move {
            let found = asked.await.map_err(Arc::new);
            // Later questions are asked anew, before this answer is there.
            drop(under_way);
            tell.send_replace(Some(found));
        });
        told
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // No holder leaves it half changed, so a panic does not either.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(mut under_way: watch::Receiver<Found>) -> io::Result<Vec<IpAddr>> {
    let found = under_way.wait_for(Option::is_some).await;
    match found.as_deref() {
        Ok(Some(Ok(addresses))) => Ok(addresses.clone()),
        Ok(Some(Err(error))) => Err(io::Error::new(error.kind(), Arc::clone(error))),
        // The task broke off.
        Ok(None) | Err(_) => Err(io::Error::other("the look-up broke off")),
    }
}

impl Place {
    /// The account's first: who waits for a share holds no place of others.
    async fn take(lookups: &Arc<Lookups>, account: Option<AccountSid>) -> Result<Self, AcquireError> {
        let share = || Arc::new(Semaphore::new(limits::CALLBACK_LOOKUPS_PER_ACCOUNT_MAX));
        let share = Arc::clone(lookups.lock().of_accounts.entry(account).or_insert_with(share));
        // Made before the waits, so that a share that nobody needs any more is forgotten however they end.
        let mut place = Self {
            lookups: Arc::clone(lookups),
            account,
            permits: None,
        };
        let own = share.acquire_owned().await?;
        let of_all = Arc::clone(&lookups.places).acquire_owned().await?;
        place.permits = Some([own, of_all]);
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permits = None;
        let mut shared = self.lookups.lock();
        // One is the table's own.
        if let Some(share) = shared.of_accounts.get(&self.account)
            && Arc::strong_count(share) == 1
        {
            shared.of_accounts.remove(&self.account);
        }
    }
}

/// A name under way, with its place, until it is answered or its task breaks off.
struct UnderWay {
    name: String,
    place: Place,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.place.lookups.lock().under_way.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::BoxFuture;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    /// Answers `quick…` at once and other names when told; tells what it is asked.
    fn lookups() -> (Arc<Lookups>, mpsc::UnboundedReceiver<String>, Arc<Semaphore>) {
        let (tell, asked) = mpsc::unbounded_channel();
        let answers = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&answers);
        let lookup: Lookup = Arc::new(move |name| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            tell.send(name.clone()).ok();
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                if !name.starts_with("quick") {
                    gate.acquire_owned().await.map_err(io::Error::other)?.forget();
                }
                Ok(vec![IpAddr::from([192, 0, 2, 1])])
            })
        });
        (Arc::new(Lookups::new(lookup)), asked, answers)
    }

    fn account(number: u8) -> AccountSid {
        AccountSid::from_bytes([number; 16])
    }

    async fn find(lookups: &Arc<Lookups>, of: AccountSid, name: String) -> io::Result<Vec<IpAddr>> {
        let lookups = Arc::clone(lookups);
        ACCOUNT.scope(of, async move { lookups.find(name).await }).await
    }

    fn begin(lookups: &Arc<Lookups>, tasks: &mut JoinSet<io::Result<Vec<IpAddr>>>, of: u8, name: String) {
        let lookups = Arc::clone(lookups);
        tasks.spawn(async move { find(&lookups, account(of), name).await });
    }

    /// Lets everybody do what can be done now.
    async fn settle() {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    fn count(asked: &mut mpsc::UnboundedReceiver<String>) -> usize {
        std::iter::from_fn(|| asked.try_recv().ok()).count()
    }

    #[tokio::test]
    async fn an_account_with_slow_names_has_only_its_share() {
        let (lookups, mut asked, answers) = lookups();
        let mut tasks = JoinSet::new();
        for number in 0..100 {
            begin(&lookups, &mut tasks, 1, format!("slow{number}.test"));
        }
        settle().await;
        assert_eq!(count(&mut asked), limits::CALLBACK_LOOKUPS_PER_ACCOUNT_MAX);
        for number in 0..50 {
            assert!(find(&lookups, account(2), format!("quick{number}.test")).await.is_ok());
        }
        assert_eq!(count(&mut asked), 50);
        // Its attempts are over, its look-ups are not.
        tasks.abort_all();
        settle().await;
        begin(&lookups, &mut tasks, 1, "one more.test".to_owned());
        settle().await;
        assert_eq!(count(&mut asked), 0);
        answers.add_permits(1);
        settle().await;
        assert_eq!(count(&mut asked), 1);
        answers.add_permits(limits::CALLBACK_LOOKUPS_PER_ACCOUNT_MAX);
        settle().await;
        let shared = lookups.lock();
        assert_eq!((shared.under_way.len(), shared.of_accounts.len()), (0, 0));
    }

    #[tokio::test]
    async fn all_accounts_together_have_so_many_places() {
        let (lookups, mut asked, answers) = lookups();
        let mut tasks = JoinSet::new();
        for of in 0..10 {
            for number in 0..limits::CALLBACK_LOOKUPS_PER_ACCOUNT_MAX {
                begin(&lookups, &mut tasks, of, format!("slow{number}.of{of}.test"));
            }
        }
        settle().await;
        assert_eq!(count(&mut asked), limits::CALLBACK_LOOKUPS_MAX);
        answers.add_permits(tasks.len());
        let all = tasks.join_all().await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(lookups.places.available_permits(), limits::CALLBACK_LOOKUPS_MAX);
    }

    #[tokio::test]
    async fn a_name_under_way_is_asked_once_for_all_who_want_it() {
        let (lookups, mut asked, answers) = lookups();
        let mut tasks = JoinSet::new();
        for of in 0..40 {
            begin(&lookups, &mut tasks, of, "slow.test".to_owned());
        }
        settle().await;
        assert_eq!(count(&mut asked), 1);
        answers.add_permits(1);
        for found in tasks.join_all().await {
            assert_eq!(found.ok(), Some(vec![IpAddr::from([192, 0, 2, 1])]));
        }
        // The answer is not kept.
        answers.add_permits(1);
        assert!(find(&lookups, account(1), "slow.test".to_owned()).await.is_ok());
        assert_eq!(count(&mut asked), 1);
    }
}
