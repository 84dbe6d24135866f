//! Trying again when a server, or what lies between, does not answer for a while.
//!
//! Everything that is asked of a server can be asked again: an append finds its own bytes at its number, a create its own object.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::trouble::RemoteError;
use crate::output::Output;
use crate::random;

/// The wait after the first try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Tries that are made even if each takes long to fail.
const FEWEST_TRIES: u32 = 3;
/// A user who waits longer than this is told why.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// How long to go on, and who is told of it.
#[derive(Debug)]
pub(super) struct Patience {
    longest: Duration,
    first_wait: Duration,
    output: Output,
    told: AtomicBool,
}

impl Patience {
    pub(super) const fn new(longest: Duration, output: Output) -> Self {
        Self { longest, first_wait: FIRST_WAIT, output, told: AtomicBool::new(false) }
    }

    /// As short as tests want it.
    #[cfg(test)]
    pub(super) const fn short(longest: Duration) -> Self {
        let output = Output { json: false, quiet: true };
        Self { longest, first_wait: Duration::from_millis(2), output, told: AtomicBool::new(false) }
    }

    /// Runs `attempt` until it succeeds, fails for good, or no patience is left.
    pub(super) async fn run<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        // From the first failure on: a pack may take long before anything goes wrong.
        let mut begin = None;
        let mut course = Course { longest: self.longest, wait: self.first_wait, tries: 0 };
        loop {
            let error = match attempt().await {
                Err(error) if error.is_transient() => error,
                done => {
                    if done.is_ok() && self.told.swap(false, Ordering::Relaxed) {
                        self.output.note("seqvault: it answers again");
                    }
                    return done;
                }
            };
            let begin = *begin.get_or_insert_with(Instant::now);
            let [jitter] = random::bytes();
            let Some(pause) = course.next(begin.elapsed(), error.retry_after(), jitter) else { return Err(error) };
            if begin.elapsed() + pause > TELL_AFTER && !self.told.swap(true, Ordering::Relaxed) {
                self.output.note(&format!("seqvault: {error}; trying again for about {} s", self.longest.as_secs()));
            }
            sleep(pause).await;
        }
    }
}

/// Which pause comes next; no clock and no randomness of its own.
struct Course {
    longest: Duration,
    wait: Duration,
    tries: u32,
}

impl Course {
    /// The pause after one more failed try, or the end.
    fn next(&mut self, elapsed: Duration, asked: Option<Duration>, jitter: u8) -> Option<Duration> {
        self.tries += 1;
        // Between half of it and one and a half: many clients that lost one server do not come back in step.
        let jittered = self.wait / 2 + self.wait * u32::from(jitter) / 255;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        let (left, asked) = (self.longest.saturating_sub(elapsed), asked.unwrap_or_default());
        // Who asks for more patience than there is gets none.
        if self.tries >= FEWEST_TRIES && (left.is_zero() || asked > left) || asked > self.longest {
            return None;
        }
        let pause = if left.is_zero() { jittered } else { jittered.min(left) };
        Some(pause.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn course() -> Course {
        Course { longest: MINUTE, wait: FIRST_WAIT, tries: 0 }
    }

    #[test]
    fn what_passes_is_waited_for_about_a_minute() {
        for jitter in [0, 100, 255] {
            let (mut course, mut elapsed, mut tries) = (course(), Duration::ZERO, 1);
            while let Some(pause) = course.next(elapsed, None, jitter) {
                assert!(pause <= LONGEST_WAIT * 3 / 2);
                elapsed += pause;
                tries += 1;
            }
            assert!((59..=61).contains(&elapsed.as_secs()) && (8..=24).contains(&tries), "{tries} in {elapsed:?}");
        }
    }

    #[test]
    fn tries_that_take_long_are_still_made_thrice() {
        let mut course = course();
        assert!(course.next(MINUTE, None, 9).is_some());
        assert!(course.next(MINUTE * 2, None, 9).is_some());
        assert!(course.next(MINUTE * 3, None, 9).is_none());
    }

    #[test]
    fn a_server_that_says_when_is_asked_then_and_not_before() {
        assert_eq!(course().next(Duration::ZERO, Some(Duration::from_secs(7)), 255), Some(Duration::from_secs(7)));
        assert_eq!(course().next(Duration::ZERO, Some(MINUTE * 60), 0), None);
    }
}
