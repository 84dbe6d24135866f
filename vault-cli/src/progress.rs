//! Progress of a transfer for people: a bar on a terminal, a line every few seconds elsewhere, nothing with `--quiet`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};

use crate::output::{self, Output};
use crate::transfer::{Phase, Progress};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The bar that is on the terminal now.
static DRAWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Writes something to the terminal beside the bar that may be drawn there: it makes room meanwhile.
pub fn beside<T>(write: impl FnOnce() -> T) -> T {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(WeakProgressBar::upgrade);
    match drawn {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Clears the bar that may be drawn, for good: work that nobody waits for any more may still tell of its progress.
pub fn end() {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = drawn.as_ref().and_then(WeakProgressBar::upgrade) {
        bar.finish_and_clear();
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// Draws or writes the progress of one transfer.
#[derive(Debug)]
pub struct Meter {
    bar: Option<ProgressBar>,
    lines: bool,
    total: AtomicU64,
    moved: AtomicU64,
    kept: AtomicU64,
    files: AtomicU64,
    last: Mutex<Instant>,
}

impl Meter {
    /// A meter for an output.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        let bar = output.is_terminal().then(|| {
            let bar = ProgressBar::new(0).with_message("starting");
            let template = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
            bar
        });
        let lines = bar.is_none() && !output.quiet;
        Self {
            bar,
            lines,
            total: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            files: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Clears the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Bytes that an earlier run had moved.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
        if !self.lines {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            let done = self.moved.load(Ordering::Relaxed) + self.kept.load(Ordering::Relaxed);
            let (total, files) = (self.total.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed));
            output::warn(&format!("{} of {}, {files} files", output::bytes(done), output::bytes(total)));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Progress for Meter {
    fn phase(&self, phase: Phase) {
        if let Some(bar) = &self.bar {
            bar.set_message(match phase {
                Phase::Checking => "checking",
                Phase::Moving => "moving",
                _ => "finishing",
            });
        }
    }

    fn total(&self, bytes: u64, _files: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc_length(bytes);
        }
    }

    fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.advance(bytes);
    }

    fn kept(&self, bytes: u64) {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        self.advance(bytes);
    }

    fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }
}
