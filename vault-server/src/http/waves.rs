//! One look serves all who waited when it began. Spec section 7.5.
//!
//! Whoever comes while a look runs waits for the next one: that look may have begun before something that this request must see. So
//! at any time at most one look at a thing runs and at most one waits, however many ask.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

/// The least time from one look at a thing to the next, where the first one served several: who comes meanwhile shares the next. Under
/// load that halves what the store is asked; whoever asks alone never waits for it.
const PACE: Duration = Duration::from_millis(4);

/// A look that ended without an answer: a bug in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a look at the store broke off")]
pub(super) struct Broken;

/// Which looks run and which wait. `T` stands for those who wait for the same one.
#[derive(Debug)]
struct Queue<K, T> {
    /// A key is here while its looks run; with it, those who wait for the next one.
    keys: HashMap<K, Option<T>>,
}

impl<K: Eq + Hash + Clone, T: Clone> Queue<K, T> {
    /// Joins those who wait for the next look. True if looks do not run yet, so that the caller has to start them.
    fn join(&mut self, key: &K, new: impl FnOnce() -> T) -> (T, bool) {
        let runs = self.keys.contains_key(key);
        let waiting = self.keys.entry(key.clone()).or_default().get_or_insert_with(new);
        (waiting.clone(), !runs)
    }

    /// Those for whom the next look is; whoever joins from now on waits for the one after. `None` if nobody waits: looks have ended.
    fn begin(&mut self, key: &K) -> Option<T> {
        let waiting = self.keys.get_mut(key).and_then(Option::take);
        if waiting.is_none() {
            self.keys.remove(key);
        }
        waiting
    }
}

type Answer<V> = Arc<watch::Sender<Option<Result<V, Broken>>>>;

/// Looks of one kind.
#[derive(Debug)]
pub(super) struct Waves<K, V> {
    queue: Arc<Mutex<Queue<K, Answer<V>>>>,
    /// Places for looks at once, shared with other kinds.
    places: Arc<Semaphore>,
}

impl<K, V> Clone for Waves<K, V> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), places: Arc::clone(&self.places) }
    }
}

impl<K, V> Waves<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Looks that take one of these places each.
    pub(super) fn new(places: &Arc<Semaphore>) -> Self {
        Self { queue: Arc::new(Mutex::new(Queue { keys: HashMap::new() })), places: Arc::clone(places) }
    }

    /// The answer of a look that begins after this call.
    ///
    /// # Errors
    /// If the look panics.
    pub(super) async fn look<F, L>(&self, key: K, look: F) -> Result<V, Broken>
    where
        F: Fn() -> L + Send + Sync + 'static,
        L: Future<Output = V> + Send + 'static,
    {
        let (mut answered, first) = {
            let mut queue = lock(&self.queue);
            let (answer, first) = queue.join(&key, || Arc::new(watch::Sender::new(None)));
            (answer.subscribe(), first)
        };
        if first {
            // A task of its own: whoever came first may give up, and others wait.
            tokio::spawn(run(Arc::clone(&self.queue), Arc::clone(&self.places), key, look));
        }
        let found = answered.wait_for(Option::is_some).await.map_err(|_| Broken)?.clone();
        found.unwrap_or(Err(Broken))
    }
}

async fn run<K, V, F, L>(queue: Arc<Mutex<Queue<K, Answer<V>>>>, places: Arc<Semaphore>, key: K, look: F)
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
    F: Fn() -> L + Send + Sync + 'static,
    L: Future<Output = V> + Send + 'static,
{
    loop {
        let place = places.acquire().await;
        let Some(waiting) = lock(&queue).begin(&key) else { return };
        // All who waited may have gone.
        if waiting.receiver_count() == 0 {
            continue;
        }
        let (began, shared) = (Instant::now(), waiting.receiver_count() > 1);
        let found = tokio::spawn(look()).await.map_err(|_| Broken);
        drop(place);
        waiting.send_replace(Some(found));
        if shared {
            sleep_until(began + PACE).await;
        }
    }
}

/// A panic elsewhere leaves the queue whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests may unwrap")]

    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    fn places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(4))
    }

    #[test]
    fn who_comes_while_a_look_runs_waits_for_the_next() {
        let mut queue = Queue { keys: HashMap::new() };
        assert_eq!(queue.join(&"a", || 1), (1, true));
        assert_eq!(queue.join(&"a", || 2), (1, false), "the look has not begun");
        assert_eq!(queue.begin(&"a"), Some(1));
        assert_eq!(queue.join(&"a", || 3), (3, false), "it has begun");
        assert_eq!(queue.join(&"a", || 4), (3, false));
        assert_eq!(queue.join(&"b", || 5), (5, true), "another thing");
        assert_eq!(queue.begin(&"a"), Some(3));
        assert_eq!(queue.begin(&"a"), None);
        assert_eq!(queue.join(&"a", || 6), (6, true), "looks had ended");
    }

    #[tokio::test]
    async fn a_look_never_began_before_the_request() {
        let (begun, waves) = (Arc::new(AtomicU64::new(0)), Arc::new(Waves::<u8, u64>::new(&places())));
        let ask = |begun: Arc<AtomicU64>, waves: Arc<Waves<u8, u64>>| async move {
            let before = begun.load(Ordering::SeqCst);
            let seen = waves
                .look(0, move || {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    async move {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        number
                    }
                })
                .await
                .unwrap();
            assert!(seen > before, "look {seen} had begun when {before} had");
        };
        let asking: Vec<_> = (0..200u64)
            .map(|n| {
                let one = ask(Arc::clone(&begun), Arc::clone(&waves));
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_micros(n * 100)).await;
                    one.await;
                })
            })
            .collect();
        for one in asking {
            one.await.unwrap();
        }
    }

    #[tokio::test]
    async fn all_who_come_while_a_look_runs_share_the_next() {
        let (begun, go) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let waves = Arc::new(Waves::<u8, u64>::new(&places()));
        let asking: Vec<_> = (0..200)
            .map(|_| {
                let (begun, go, waves) = (Arc::clone(&begun), Arc::clone(&go), Arc::clone(&waves));
                tokio::spawn(async move {
                    let look = move || {
                        let (number, go) = (begun.fetch_add(1, Ordering::SeqCst) + 1, Arc::clone(&go));
                        async move { go.acquire().await.map_or(0, |_| number) }
                    };
                    waves.look(0, look).await.unwrap()
                })
            })
            .collect();
        // All of them have asked when the first look is let go.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        go.add_permits(1);
        let mut seen = Vec::new();
        for one in asking {
            seen.push(one.await.unwrap());
        }
        assert!(seen.iter().all(|look| (1..=2).contains(look)), "{seen:?}");
        assert!(begun.load(Ordering::SeqCst) <= 2, "{begun:?} looks for 200 requests");
    }

    #[tokio::test]
    async fn looks_that_several_share_keep_a_pace() {
        let (begun, waves) = (Arc::new(AtomicU64::new(0)), Arc::new(Waves::<u8, u64>::new(&places())));
        let one = || {
            let (begun, waves) = (Arc::clone(&begun), Arc::clone(&waves));
            async move {
                let count = move || {
                    let begun = Arc::clone(&begun);
                    async move { begun.fetch_add(1, Ordering::SeqCst) }
                };
                waves.look(0, count).await.unwrap()
            }
        };
        let start = Instant::now();
        for _ in 0..3 {
            tokio::join!(one(), one(), one());
        }
        assert_eq!(begun.load(Ordering::SeqCst), 3, "one look for each three");
        assert!(start.elapsed() >= 2 * PACE, "the second and the third three waited");
    }

    #[tokio::test]
    async fn a_look_that_breaks_off_says_so_and_the_next_one_runs() {
        let waves = Waves::<u8, u8>::new(&places());
        assert_eq!(waves.look(0, || async { panic!("in a test") }).await, Err(Broken));
        assert_eq!(waves.look(0, || async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn who_gives_up_takes_nobody_with_it() {
        let waves = Arc::new(Waves::<u8, u8>::new(&places()));
        let go = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&go);
        let slow = move || {
            let held = Arc::clone(&held);
            async move { held.acquire().await.map_or(0, |_| 7) }
        };
        let first = waves.look(0, slow.clone());
        let impatient = async {
            let gave_up = tokio::time::timeout(Duration::from_millis(5), first).await;
            go.add_permits(1);
            gave_up
        };
        let patient = waves.look(0, slow);
        let (gave_up, answered) = tokio::join!(impatient, patient);
        assert!(gave_up.is_err());
        assert_eq!(answered, Ok(7));
    }
}
