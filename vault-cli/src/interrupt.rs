//! Ctrl-C and SIGTERM: the running verb is dropped, so that what it holds cleans up, and the process exits with 130.
//!
//! A verb is dropped where it next awaits. What blocks instead is given [`GRACE`] and then left; so nothing may depend on a
//! destructor for its integrity, only for its tidiness.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Failure, Kind, Outcome};
use crate::output;

/// How long a verb that does not await may go on after a signal.
pub const GRACE: Duration = Duration::from_secs(5);

const EXIT_CODE: i32 = Kind::Interrupted as i32;

/// Runs a verb until it ends or a signal comes.
///
/// # Errors
/// What the verb returns, or [`Kind::Interrupted`].
pub async fn unless_interrupted(verb: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let mut signals = Signals::listen().map_err(|e| Failure::new(Kind::Other, format!("signals: {e}")))?;
    let (tell, mut told) = tokio::sync::oneshot::channel();
    // On a thread of its own, because a verb that blocks keeps this one.
    tokio::spawn(async move {
        signals.next().await;
        let _ = tell.send(());
        if !is_prompting() {
            tokio::select! {
                () = signals.next() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
        }
        restore_terminal();
        std::process::exit(EXIT_CODE);
    });
    tokio::select! {
        biased;
        _ = &mut told => Err(interrupted()),
        outcome = verb => outcome,
    }
}

/// The failure of a verb that was stopped.
#[must_use]
pub fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted").or_in_chinese("已中断")
}

/// Tells work on other threads that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs blocking work on a thread of its own. If this future is dropped the work is asked to stop, and is not waited for.
///
/// # Errors
/// What the work returns.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce(&Stop) -> Outcome<T> + Send + 'static) -> Outcome<T> {
    let asked = StopOnDrop(Stop::default());
    let stop = asked.0.clone();
    match tokio::task::spawn_blocking(move || work(&stop)).await {
        Ok(outcome) => outcome,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(interrupted()),
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Runs a prompt on the terminal: a signal meanwhile ends the process at once and gives the terminal its echo back.
pub fn at_prompt<T>(prompt: impl FnOnce() -> T) -> T {
    let before = terminal().and_then(|tty| Ok(rustix::termios::tcgetattr(&tty)?)).ok();
    set_prompting(before);
    let answer = prompt();
    set_prompting(None);
    answer
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The terminal's settings from before the prompt that is on it now.
static PROMPTING: Mutex<Option<Termios>> = Mutex::new(None);

fn set_prompting(before: Option<Termios>) {
    *PROMPTING.lock().unwrap_or_else(PoisonError::into_inner) = before;
}

fn is_prompting() -> bool {
    PROMPTING.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

fn restore_terminal() {
    let before = PROMPTING.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before
        && let Ok(tty) = terminal()
    {
        let _ = rustix::termios::tcsetattr(&tty, OptionalActions::Now, &before);
        output::warn("");
    }
}

fn terminal() -> io::Result<std::fs::File> {
    std::fs::File::open("/dev/tty")
}
