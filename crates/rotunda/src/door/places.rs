//! Places counted by key: so many at once, each given back when it is dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many places each key has taken. A key without places is not remembered.
#[derive(Debug)]
pub(super) struct Places<K> {
    /// 0 is no bound.
    most: u32,
    taken: Mutex<HashMap<K, u32>>,
}

/// One place.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    key: K,
}

impl<K: Eq + Hash> Places<K> {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            taken: Mutex::default(),
        }
    }

    /// Takes a place; `None` if the key has as many as it may.
    pub(super) fn take(places: &Arc<Self>, key: K) -> Option<Place<K>>
    where
        K: Copy,
    {
        let mut taken = places.lock();
        let count = taken.entry(key).or_default();
        if places.most != 0 && *count >= places.most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place {
            places: Arc::clone(places),
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        // A holder adds or removes one: the map is whole after a panic too.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Place<K> {
    /// Whose it is.
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_without_places_are_forgotten() {
        let places = Arc::new(Places::new(2));
        for key in 0..1000 {
            let (one, two) = (Places::take(&places, key).unwrap(), Places::take(&places, key).unwrap());
            assert!(Places::take(&places, key).is_none());
            drop((one, two));
        }
        assert!(places.lock().is_empty());
    }
}
