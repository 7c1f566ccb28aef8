//! One copy of each Register payload: whole fleets send the same.

use std::collections::HashSet;
use std::sync::Arc;

/// Payloads in use, each once. Those that nobody uses any more are forgotten.
#[derive(Debug)]
pub(super) struct LinksPool {
    texts: HashSet<Arc<str>>,
    texts_max: usize,
    /// Texts that were not in the pool, since unused ones were last looked for.
    misses: usize,
}

impl LinksPool {
    /// A pool of at most `texts_max` different texts; further ones get a copy of their own.
    pub(super) fn new(texts_max: usize) -> Self {
        Self {
            texts: HashSet::new(),
            texts_max,
            misses: 0,
        }
    }

    /// The one copy of this text.
    pub(super) fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(interned) = self.texts.get(text) {
            return Arc::clone(interned);
        }
        // Texts whose last user was not given to `release` are found here, at a constant cost per
        // miss.
        self.misses += 1;
        if self.misses > self.texts.len() / 2 {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.misses = 0;
        }
        let text = Arc::from(text);
        if self.texts.len() < self.texts_max {
            self.texts.insert(Arc::clone(&text));
        }
        text
    }

    /// To be told before a user lets go of a text: the last one's leaves the pool.
    pub(super) fn release(&mut self, text: &Arc<str>) {
        // This one and the pool's own.
        if Arc::strong_count(text) <= 2 {
            self.texts.remove(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_copy() {
        let mut pool = LinksPool::new(4);
        let (first, second) = (pool.intern("</5>"), pool.intern("</5>"));
        assert!(Arc::ptr_eq(&first, &second));
        pool.release(&first);
        drop(first);
        assert_eq!(pool.texts.len(), 1);
        pool.release(&second);
        assert_eq!(pool.texts.len(), 0);
    }

    #[test]
    fn unused_texts_do_not_pile_up_even_if_nobody_gives_them_back() {
        let mut pool = LinksPool::new(1000);
        let kept: Vec<_> = (0..100).map(|n| pool.intern(&format!("</{n}>"))).collect();
        for n in 0..10_000 {
            pool.intern(&format!("</9/{n}>"));
            assert!(pool.texts.len() <= 2 * kept.len() + 2);
        }
        for text in &kept {
            assert!(Arc::ptr_eq(&pool.intern(text), text));
        }
    }

    #[test]
    fn a_full_pool_gives_copies_and_takes_texts_again_once_there_is_room() {
        let mut pool = LinksPool::new(1);
        let first = pool.intern("a");
        assert!(!Arc::ptr_eq(&pool.intern("b"), &pool.intern("b")));
        assert!(Arc::ptr_eq(&pool.intern("a"), &first));
        pool.release(&first);
        let second = pool.intern("b");
        assert!(Arc::ptr_eq(&second, &pool.intern("b")));
    }
}
