//! Waits between tries: each about twice as long as the one before, and never the same for two clients, so that those who failed together
//! do not come back together.

use std::time::Duration;

/// The shortest first wait.
const FIRST: Duration = Duration::from_millis(50);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(3);

/// A row of waits.
#[derive(Debug)]
pub(crate) struct Pause {
    next: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Pause {
    /// Waits, longer each time.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(jittered(self.next)).await;
        self.next = self.next.saturating_mul(2).min(LONGEST);
    }
}

/// Between half of a wait and all of it.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0u8; 1];
    // Without randomness it is no worse than a fixed wait.
    let _ = getrandom::fill(&mut byte);
    let [random] = byte;
    wait.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_between_half_and_whole() {
        let wait = Duration::from_millis(1000);
        let waits: Vec<Duration> = (0..200).map(|_| jittered(wait)).collect();
        assert!(waits.iter().all(|w| (wait / 2..=wait).contains(w)));
        assert!(waits.iter().any(|w| *w != waits[0]), "all the same");
    }
}
