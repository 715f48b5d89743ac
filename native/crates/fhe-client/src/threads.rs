//! Work on several threads, and the buffers that threads work in.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// Cuts `0..count` into at most `parts` ranges of about the same length, none empty.
pub(crate) fn ranges(count: usize, parts: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let parts = parts.clamp(1, count.max(1));
    (0..parts).map(move |part| count * part / parts..count * (part + 1) / parts)
}

/// Does `work` on every part, each on a thread of its own but for the first, which the caller's thread
/// takes; the results come in order.
pub(crate) fn in_parallel<T: Send, R: Send>(parts: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let work = &work;
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return Vec::new();
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut results = vec![work(first)];
        for thread in others {
            results.push(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    })
}

/// Buffers that outlive a call, one for each thread that works at a time.
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    /// A pool without buffers.
    pub(crate) fn new() -> Self {
        Pool(Mutex::new(Vec::new()))
    }

    /// Calls `work` with a buffer of the pool, or a new one.
    pub(crate) fn lend<R>(&self, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let free = self.lock().pop();
        let mut buffer = free.unwrap_or_else(new);
        let result = work(&mut buffer);
        self.lock().push(buffer);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        // A list of buffers is whole even if a thread panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for count in [0, 1, 2, 7, 64, 768] {
            for parts in [0, 1, 2, 3, 64, 1000] {
                let mut next = 0;
                for range in ranges(count, parts) {
                    assert_eq!(range.start, next);
                    assert!(!range.is_empty() || count == 0);
                    next = range.end;
                }
                assert_eq!(next, count);
            }
        }
    }

    #[test]
    fn results_come_in_order_and_buffers_come_back() {
        let pool = Pool::new();
        let squares = in_parallel((0..5).collect(), |i: usize| {
            pool.lend(Vec::new, |buffer| {
                buffer.resize(100, i);
                i * i
            })
        });
        assert_eq!(squares, [0, 1, 4, 9, 16]);
        assert!((1..=5).contains(&pool.lock().len()));
    }
}
