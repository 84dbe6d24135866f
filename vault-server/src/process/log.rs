//! Where log lines go: to standard error, as text or JSON, each with its request's id; and traces to a collector, if one is named.
//!
//! Only this program's own lines follow the level. Libraries log headers and addresses when they are asked for more, so they are held at
//! warnings, whatever is set.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use super::StartError;
use crate::config::{Config, Level, LogFormat};

/// What has to be ended with the process.
#[derive(Debug)]
pub(super) struct Log {
    #[cfg(feature = "otlp")]
    traces: Option<super::traces::Traces>,
}

impl Log {
    /// Starts the log of this process.
    ///
    /// # Errors
    /// If it has one already, or the collector's address can't be used.
    pub(super) fn begin(config: &Config) -> Result<Self, StartError> {
        let lines = lines(config.log).with_filter(targets(config.log_level));
        let registry = tracing_subscriber::registry().with(lines);
        #[cfg(feature = "otlp")]
        {
            let traces = config.otlp.as_deref().map(super::traces::Traces::to).transpose();
            let traces = traces.map_err(|e| StartError::Traces(e.to_string()))?;
            // Spans are of the highest level, so that they are there whatever the lines' level is.
            let layer = traces.as_ref().map(|traces| {
                tracing_opentelemetry::layer().with_tracer(traces.tracer()).with_filter(targets(Level::Info))
            });
            registry.with(layer).try_init().map_err(|_| StartError::Log)?;
            Ok(Self { traces })
        }
        #[cfg(not(feature = "otlp"))]
        {
            registry.try_init().map_err(|_| StartError::Log)?;
            Ok(Self {})
        }
    }

    /// Sends what waits to be sent.
    #[cfg_attr(
        not(feature = "otlp"),
        allow(clippy::unused_async, reason = "with traces there is something to wait for")
    )]
    pub(super) async fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

fn targets(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("vault_server", level)
}
