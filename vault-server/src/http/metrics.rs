//! What the server counts, and how a scraper reads it. Labels come from small fixed sets: no id of a member or dataset is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::vault::Vault;
use crate::wire::problem::Type;

/// Seconds, from what a cache answers to what a slow store takes.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProblemLabels {
    problem: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

/// How a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It may send requests.
    Served,
    /// There were too many.
    Refused,
    /// It said nothing in time, or its handshake failed.
    Unready,
}

/// The counters. What a scraper reads lies in [`Registry`]; these are its other ends.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    in_flight: Gauge,
    bytes_in: Counter,
    bytes_out: Counter,
    problems: Family<ProblemLabels, Counter>,
    panics: Counter,
    links: Family<MethodLabels, Counter>,
    connections: Gauge,
    arrivals: Family<OutcomeLabels, Counter>,
    ready: Gauge,
    certificate_end: Gauge<i64, AtomicI64>,
    reloads: Family<OutcomeLabels, Counter>,
}

impl Metrics {
    /// Metrics of a server, with those of its vault's service.
    #[must_use]
    pub fn new(vault: Option<&Vault>) -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            problems: Family::default(),
            panics: Counter::default(),
            links: Family::default(),
            connections: Gauge::default(),
            arrivals: Family::default(),
            ready: Gauge::default(),
            certificate_end: Gauge::default(),
            reloads: Family::default(),
        };
        metrics.register(vault);
        metrics.begin_at_zero();
        Arc::new(metrics)
    }

    /// A series that begins with its first event shows no increase by it, and an alert on one event would miss that one.
    fn begin_at_zero(&self) {
        for of in Type::ALL {
            drop(self.problems.get_or_create(&ProblemLabels { problem: of.row().0 }));
        }
        for outcome in ["served", "refused", "unready"] {
            drop(self.arrivals.get_or_create(&OutcomeLabels { outcome }));
        }
        for outcome in ["used", "refused"] {
            drop(self.reloads.get_or_create(&OutcomeLabels { outcome }));
        }
    }

    /// The text that a scraper reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts a request that has ended.
    #[allow(clippy::too_many_arguments, reason = "the numbers of one request, from one place")]
    pub(super) fn request(
        &self,
        method: &'static str,
        route: &str,
        status: u16,
        took: Duration,
        bytes_in: u64,
        bytes_out: u64,
        problem: Option<&'static str>,
    ) {
        self.requests.get_or_create(&RequestLabels { method, route: route.to_owned(), status }).inc();
        self.durations.get_or_create(&RouteLabels { route: route.to_owned() }).observe(took.as_secs_f64());
        self.bytes_in.inc_by(bytes_in);
        self.bytes_out.inc_by(bytes_out);
        if let Some(problem) = problem {
            self.problems.get_or_create(&ProblemLabels { problem }).inc();
        }
    }

    /// Counts a request in work until what is returned is dropped.
    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an open connection until what is returned is dropped.
    pub(super) fn connection(&self) -> InFlight {
        self.connections.inc();
        InFlight(self.connections.clone())
    }

    pub(super) fn arrived(&self, arrival: Arrival) {
        let outcome = match arrival {
            Arrival::Served => "served",
            Arrival::Refused => "refused",
            Arrival::Unready => "unready",
        };
        self.arrivals.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    pub(super) fn links(&self, get: usize, put: usize) {
        for (method, count) in [("GET", get), ("PUT", put)] {
            self.links.get_or_create(&MethodLabels { method }).inc_by(count as u64);
        }
    }

    pub(super) fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Notes when the certificate in use ends, seconds since 1970.
    pub(super) fn certificate(&self, ends: i64) {
        self.certificate_end.set(ends);
    }

    pub(super) fn reloaded(&self, worked: bool) {
        let outcome = if worked { "used" } else { "refused" };
        self.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    fn register(&mut self, vault: Option<&Vault>) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION")), ("vault_format", "1")]);
        let process = self.registry.sub_registry_with_prefix("process");
        process.register("start_time_seconds", "When this process started, seconds since 1970", {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(started);
            gauge
        });
        process.register_collector(Box::new(Process));
        let r = self.registry.sub_registry_with_prefix("seqvault");
        r.register("build", "What runs", build);
        r.register("requests", "Requests that have ended", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "From a request's head to the end of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        r.register("requests_in_flight", "Requests in work", self.in_flight.clone());
        r.register_with_unit(
            "request_body",
            "Bodies of requests, as far as they were read",
            Unit::Bytes,
            self.bytes_in.clone(),
        );
        r.register_with_unit(
            "response_body",
            "Bodies of answers, as far as they were sent",
            Unit::Bytes,
            self.bytes_out.clone(),
        );
        r.register("problems", "Requests answered with a problem, by its name", self.problems.clone());
        r.register("panics", "Requests that ran into a bug", self.panics.clone());
        r.register("links", "Links given to clients", self.links.clone());
        r.register("connections", "Connections open", self.connections.clone());
        r.register("connections_arrived", "Connections, by how they began", self.arrivals.clone());
        r.register("ready", "1 if the last look at the vault found it in order", self.ready.clone());
        r.register(
            "tls_certificate_end_timestamp_seconds",
            "When the certificate in use ends, seconds since 1970; 0 without TLS",
            self.certificate_end.clone(),
        );
        r.register("tls_reloads", "Certificates read again, by whether they could be used", self.reloads.clone());
        if let Some(vault) = vault {
            vault.store().seen().register(r);
            r.register_collector(Box::new(Service { vault: vault.clone() }));
        }
    }
}

/// One of something, while it lasts.
#[derive(Debug)]
pub(super) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the system knows of this process.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name, help, value: Option<i64>| match value {
            Some(value) => {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
            }
            None => Ok(()),
        };
        gauge("resident_memory_bytes", "Memory in use", resident_bytes())?;
        gauge("open_fds", "Open files and connections", open_files())
    }
}

/// `VmRSS` of this process; nothing on systems without /proc.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn open_files() -> Option<i64> {
    // One of them is the folder that is being read.
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(open).ok().map(|open| open - 1)
}

/// What the vault's service knows of itself.
#[derive(Debug)]
struct Service {
    vault: Vault,
}

impl Collector for Service {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let folds = ConstGauge::new(i64::try_from(self.vault.folds_kept()).unwrap_or(i64::MAX));
        folds.encode(encoder.encode_descriptor("folds_kept", "Ledger states in memory", None, folds.metric_type())?)
    }
}

/// `/metrics`, for a listener of its own.
pub fn router(metrics: Arc<Metrics>) -> Router {
    let answer = move || {
        let metrics = Arc::clone(&metrics);
        async move { ([(http::header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()) }
    };
    Router::new().route("/metrics", get(answer))
}
