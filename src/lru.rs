//! What was used last, by key.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many values with their keys, the last used last; the one not used for longest makes room for another.
/// A value that others hold lives on.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    most: usize,
    all: Mutex<Vec<(K, V)>>,
}

impl<K, V: Clone> Lru<K, V> {
    pub fn new(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    /// The value whose key fits.
    pub fn get(&self, fits: impl Fn(&K, &V) -> bool) -> Option<V> {
        let mut all = self.all();
        let at = all.iter().rposition(|(key, value)| fits(key, value))?;
        all[at..].rotate_left(1);
        all.last().map(|(_, value)| value.clone())
    }

    pub fn put(&self, key: K, value: V) {
        let mut all = self.all();
        if all.len() >= self.most {
            all.remove(0);
        }
        all.push((key, value));
    }

    #[cfg(any(feature = "gpu", test))]
    pub fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, Vec<(K, V)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_used_for_longest_goes() {
        let lru = Lru::new(2);
        let get = |wanted| lru.get(|key, _| *key == wanted);
        lru.put(1, "one");
        lru.put(2, "two");
        assert_eq!(get(1), Some("one"));
        lru.put(3, "three");
        assert_eq!([get(1), get(2), get(3)], [Some("one"), None, Some("three")]);
        lru.clear();
        assert_eq!(get(1), None);
    }
}
