//! Checks that a person starts, and a report of them that can be shown around.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use baraza_core::doctor::{Check, Examination};
use baraza_wire::UnixTime;

use crate::body::{Input, Params};
use crate::error::ApiError;
use crate::server::State;
use crate::types::doctor::{Checked, Doctor, DoctorReport, Examine, ReportFormat, ReportOptions};

/// How often a check may be made within [`WINDOW`]: checks ask others, and work the disk.
pub(crate) const MOST: usize = 6;
const WINDOW: Duration = Duration::from_secs(60);

/// What was examined, and when.
#[derive(Debug, Default)]
pub(crate) struct Practice(Mutex<BTreeMap<Check, Record>>);

#[derive(Debug, Default)]
struct Record {
    /// When it was last made, at most [`MOST`] times.
    made: VecDeque<Instant>,
    last: Option<(UnixTime, Examination)>,
}

impl Practice {
    /// Whether these may be made now; if not, how long to wait. All of them, or none.
    fn admit(&self, checks: &[Check], now: Instant) -> Result<(), Duration> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = Duration::ZERO;
        for check in checks {
            let made = &mut records.entry(*check).or_default().made;
            while made
                .front()
                .is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW)
            {
                made.pop_front();
            }
            if let (true, Some(first)) = (made.len() >= MOST, made.front()) {
                wait = wait.max(WINDOW.saturating_sub(now.saturating_duration_since(*first)));
            }
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        for check in checks {
            records.entry(*check).or_default().made.push_back(now);
        }
        Ok(())
    }

    fn note(&self, time: UnixTime, examination: Examination) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.entry(examination.check).or_default();
        record.last = Some((time, examination));
    }

    /// The last results, in the order of checks.
    fn last(&self) -> Vec<(UnixTime, Examination)> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .values()
            .filter_map(|one| one.last.clone())
            .collect()
    }
}

/// The checks that there are, and what came of them when they were last made.
#[utoipa::path(get, path = "/api/v1/doctor", tag = "doctor",
    responses((status = 200, body = Doctor)))]
pub(crate) async fn last(Shared(state): Shared<Arc<State>>) -> Json<Doctor> {
    let results = state.doctor.last().into_iter();
    Json(Doctor {
        checks: Check::ALL.to_vec(),
        results: results.map(|(time, one)| Checked::new(time, one)).collect(),
    })
}

/// Makes checks, all at the same time, within some seconds. Nobody is asked but this machine
/// itself, the hosts to join through, and the name servers that accounts have chosen.
#[utoipa::path(post, path = "/api/v1/doctor", tag = "doctor", request_body = Examine,
    responses((status = 200, body = Vec<Checked>),
        (status = 422, body = crate::error::Problem, description = "More checks than there are"),
        (status = 429, body = crate::error::Problem, description = "Too often")))]
pub(crate) async fn examine(
    Shared(state): Shared<Arc<State>>,
    Input(wanted): Input<Examine>,
) -> Result<Json<Vec<Checked>>, ApiError> {
    if wanted.checks.len() > Check::ALL.len() {
        let text = format!("there are {} checks, and more were named", Check::ALL.len());
        return Err(ApiError::unprocessable("invalid", text));
    }
    let mut checks = match wanted.checks.as_slice() {
        [] => Check::ALL.to_vec(),
        some => some.to_vec(),
    };
    checks.sort_unstable();
    checks.dedup();
    state
        .doctor
        .admit(&checks, Instant::now())
        .map_err(|wait| {
            let text = format!("each check is made {MOST} times a minute at most");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_often", text).retry_after(wait)
        })?;
    let made = checks.into_iter().map(|check| {
        let state = Arc::clone(&state);
        async move {
            let examination = state.node.examine(check).await;
            let time = UnixTime::from_system(SystemTime::now());
            state.doctor.note(time, examination.clone());
            Checked::new(time, examination)
        }
    });
    Ok(Json(futures_util::future::join_all(made).await))
}

/// A report of the checks that were last made, without IDs, names and addresses: to show to
/// others who may help.
#[utoipa::path(get, path = "/api/v1/doctor/report", tag = "doctor", params(ReportOptions),
    responses((status = 200, content(
        (DoctorReport = "application/json"), (String = "text/plain", example = "Baraza 0.1.0, 1 accounts, running for 86400 s.")))))]
pub(crate) async fn report(
    Shared(state): Shared<Arc<State>>,
    Params(options): Params<ReportOptions>,
) -> Response {
    let accounts = state.node.accounts().len();
    let report = DoctorReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made: UnixTime::from_system(SystemTime::now()),
        uptime: state.started.elapsed().as_secs(),
        accounts: u64::try_from(accounts).unwrap_or(u64::MAX),
        results: state
            .doctor
            .last()
            .into_iter()
            .map(|(time, one)| Checked::new(time, one.redacted()))
            .collect(),
    };
    match options.format {
        ReportFormat::Json => Json(report).into_response(),
        ReportFormat::Text => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (kind, report.text()).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_not_made_without_end() {
        let practice = Practice::default();
        let start = Instant::now();
        for _ in 0..MOST {
            practice.admit(&[Check::Disk], start).unwrap();
        }
        let later = start + Duration::from_secs(20);
        let wait = practice.admit(&Check::ALL, later).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40));
        // None of the others was counted.
        for _ in 0..MOST {
            practice.admit(&[Check::Clock], later).unwrap();
        }
        practice.admit(&[Check::Disk], start + WINDOW).unwrap();
    }
}
