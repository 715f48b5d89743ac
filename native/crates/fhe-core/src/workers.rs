//! Work on several threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Does `work` on every part with up to `threads` threads, this one among them, each with buffers of its own.
///
/// `should_stop` is asked on this thread, before each part that it takes.
///
/// # Errors
/// The first that `buffers` or `work` gives; [`Error::Stopped`] if `should_stop` said so.
pub fn share<T: Send, B>(
    parts: impl Iterator<Item = T> + Send,
    threads: usize,
    should_stop: &mut dyn FnMut() -> bool,
    buffers: impl Fn() -> Result<B> + Sync,
    work: impl Fn(&mut B, T) -> Result<()> + Sync,
) -> Result<()> {
    let parts = Mutex::new(parts);
    let is_over = AtomicBool::new(false);
    let worker = |should_stop: &mut dyn FnMut() -> bool| {
        let mut buffers = buffers()?;
        while !is_over.load(Ordering::Relaxed) {
            // In a statement of its own, so that the lock is released.
            let part = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(part) = part else {
                break;
            };
            if should_stop() {
                return Err(Error::Stopped);
            }
            work(&mut buffers, part)?;
        }
        Ok(())
    };
    let worker = |should_stop: &mut dyn FnMut() -> bool| {
        let result = worker(should_stop);
        if result.is_err() {
            is_over.store(true, Ordering::Relaxed);
        }
        result
    };
    let worker = &worker;
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.max(1))
            .map(|_| scope.spawn(move || worker(&mut || false)))
            .collect();
        let mut result = worker(should_stop);
        for other in others {
            let part = other
                .join()
                .unwrap_or_else(|_| Err(Error::Internal("a thread panicked".into())));
            result = result.and(part);
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_part_is_done_once() {
        for threads in [0, 1, 3] {
            let sum = AtomicUsize::new(0);
            let mut asked = 0;
            let mut go_on = || {
                asked += 1;
                false
            };
            share(
                0..100,
                threads,
                &mut go_on,
                || Ok(()),
                |_, part| {
                    sum.fetch_add(part, Ordering::Relaxed);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(sum.into_inner(), 4950);
            assert!(threads == 3 || asked == 100);
        }
    }

    #[test]
    fn errors_and_requests_end_the_work() {
        let failing = |_: &mut (), part: usize| match part {
            5 => Err(Error::invalid("five")),
            _ => Ok(()),
        };
        for threads in [1, 2] {
            let result = share(0..usize::MAX, threads, &mut || false, || Ok(()), failing);
            assert_eq!(result, Err(Error::invalid("five")));
            let mut parts = 0;
            let mut stop_soon = || {
                parts += 1;
                parts > 3
            };
            let result = share(6..usize::MAX, threads, &mut stop_soon, || Ok(()), failing);
            assert_eq!(result, Err(Error::Stopped));
            let none = || Err::<(), _>(Error::invalid("no buffers"));
            let result = share(0..3, threads, &mut || false, none, failing);
            assert_eq!(result, Err(Error::invalid("no buffers")));
        }
    }
}
