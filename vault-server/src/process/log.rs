//! Where log lines go: to standard error, as text or JSON, each with its request's id.
//!
//! Only this program's own lines follow the level. Libraries log headers and addresses when they are asked for more, so they are held at
//! warnings, whatever is set.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::StartError;
use crate::config::{Level, LogFormat};

/// Starts the log of this process.
///
/// # Errors
/// If it has one already.
pub(super) fn begin(format: LogFormat, level: Level) -> Result<(), StartError> {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("vault_server", level);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(targets)).try_init().map_err(|_| StartError::Log)
}
