//! The machine's clock, read here and nowhere else in the commands.

use std::time::{SystemTime, UNIX_EPOCH};

/// How far in the future another machine's clock may be, in seconds (spec 4.6).
pub const SKEW: u64 = 300;

/// Seconds since 1970; 0 if the clock is before that.
#[must_use]
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // Debug builds can be told that it is another time, for the end-to-end tests.
    #[cfg(debug_assertions)]
    let now = now.saturating_add_signed(
        std::env::var("SEQVAULT_TEST_CLOCK").ok().and_then(|offset| offset.parse().ok()).unwrap_or(0),
    );
    now
}
