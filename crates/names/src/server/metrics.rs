//! Counts for Prometheus. None of them names anybody.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS: [u64; 9] = [100, 250, 500, 1000, 2500, 5000, 10_000, 100_000, 1_000_000];

/// What requests are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// For a name.
    Name,
    /// For an ID.
    Addr,
    /// A registration.
    Register,
    /// The page, its parts, descriptions.
    Other,
}

const ROUTES: [(Route, &str); 4] = [
    (Route::Name, "name"),
    (Route::Addr, "addr"),
    (Route::Register, "register"),
    (Route::Other, "other"),
];
const CLASSES: [&str; 6] = ["2xx", "400", "403", "404", "429", "other"];

fn class(status: StatusCode) -> usize {
    match status.as_u16() {
        200..300 => 0,
        400 => 1,
        401 | 403 => 2,
        404 => 3,
        429 => 4,
        _ => 5,
    }
}

#[derive(Debug, Default)]
struct PerRoute {
    statuses: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    routes: [PerRoute; ROUTES.len()],
    /// Connections that are open.
    pub(super) connections: AtomicI64,
    /// Connections that were closed at once.
    pub(super) refused: AtomicU64,
    /// Handshakes of TLS that failed.
    pub(super) handshakes: AtomicU64,
    /// Names registered.
    pub(super) registered: AtomicU64,
    /// Operations that the directory failed at.
    pub(super) failures: AtomicU64,
    /// Certificates read again.
    pub(super) reloads: AtomicU64,
}

/// What the directory says when it is asked for the counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory {
    pub(super) names: u64,
    pub(super) entries: u64,
    pub(super) signed: u64,
}

impl Metrics {
    pub(super) fn request(&self, route: Route, status: StatusCode, took: Duration) {
        let place = ROUTES.iter().position(|(known, _)| *known == route);
        let Some(counts) = place.and_then(|place| self.routes.get(place)) else {
            return;
        };
        if let Some(count) = counts.statuses.get(class(status)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        counts.count.fetch_add(1, Ordering::Relaxed);
        counts.micros.fetch_add(micros, Ordering::Relaxed);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound);
        if let Some(bucket) = bucket.and_then(|bucket| counts.buckets.get(bucket)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The text that Prometheus reads.
    pub(super) fn text(&self, directory: Option<Directory>) -> String {
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing into a string does not fail.
            let _infallible = writeln!(out, "{text}");
        };
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        line(format_args!(
            "# HELP baraza_names_requests_total Requests answered."
        ));
        line(format_args!("# TYPE baraza_names_requests_total counter"));
        for (counts, (_, route)) in self.routes.iter().zip(ROUTES) {
            for (count, class) in counts.statuses.iter().zip(CLASSES) {
                line(format_args!(
                    "baraza_names_requests_total{{route=\"{route}\",status=\"{class}\"}} {}",
                    load(count)
                ));
            }
        }
        line(format_args!(
            "# HELP baraza_names_request_seconds Time until the answer."
        ));
        line(format_args!(
            "# TYPE baraza_names_request_seconds histogram"
        ));
        for (counts, (_, route)) in self.routes.iter().zip(ROUTES) {
            let mut sum = 0u64;
            for (bucket, bound) in counts.buckets.iter().zip(BUCKETS) {
                sum = sum.saturating_add(load(bucket));
                line(format_args!(
                    "baraza_names_request_seconds_bucket{{route=\"{route}\",le=\"{}.{:06}\"}} {sum}",
                    bound / 1_000_000,
                    bound % 1_000_000
                ));
            }
            let (count, micros) = (load(&counts.count), load(&counts.micros));
            line(format_args!(
                "baraza_names_request_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}"
            ));
            line(format_args!(
                "baraza_names_request_seconds_sum{{route=\"{route}\"}} {}.{:06}",
                micros / 1_000_000,
                micros % 1_000_000
            ));
            line(format_args!(
                "baraza_names_request_seconds_count{{route=\"{route}\"}} {count}"
            ));
        }
        let counters = [
            ("registered_total", "Names registered.", &self.registered),
            (
                "connections_refused_total",
                "Connections closed at once, as there were too many.",
                &self.refused,
            ),
            (
                "tls_handshakes_failed_total",
                "Handshakes that failed.",
                &self.handshakes,
            ),
            (
                "store_failures_total",
                "Operations that the database failed at.",
                &self.failures,
            ),
            (
                "certificate_reloads_total",
                "Certificates read again.",
                &self.reloads,
            ),
        ];
        for (name, help, count) in counters {
            line(format_args!("# HELP baraza_names_{name} {help}"));
            line(format_args!("# TYPE baraza_names_{name} counter"));
            line(format_args!("baraza_names_{name} {}", load(count)));
        }
        let open = self.connections.load(Ordering::Relaxed);
        let mut gauges = vec![
            (
                "up",
                "Whether the database answers.",
                i64::from(directory.is_some()),
            ),
            ("connections", "Connections that are open.", open),
        ];
        if let Some(directory) = directory {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            gauges.push((
                "names",
                "Names that belong to somebody.",
                number(directory.names),
            ));
            gauges.push((
                "log_entries",
                "Entries of the log.",
                number(directory.entries),
            ));
            gauges.push((
                "log_signed",
                "Entry of the latest checkpoint.",
                number(directory.signed),
            ));
        }
        for (name, help, value) in gauges {
            line(format_args!("# HELP baraza_names_{name} {help}"));
            line(format_args!("# TYPE baraza_names_{name} gauge"));
            line(format_args!("baraza_names_{name} {value}"));
        }
        out
    }
}
