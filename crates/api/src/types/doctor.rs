//! What the doctor says.

use baraza_core::doctor::{self as core, Check, Code, Examination, Fact, FactName, Value, Verdict};
use baraza_wire::UnixTime;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};

/// A text that is one of these.
fn one_of<T: Serialize>(all: impl IntoIterator<Item = T>) -> Schema {
    let names = all.into_iter().map(|one| serde_json::json!(one));
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .into()
}

fn checks() -> Schema {
    one_of(Check::ALL)
}

fn check_list(what: &str) -> Schema {
    ArrayBuilder::new()
        .items(RefOr::T(checks()))
        .max_items(Some(Check::ALL.len()))
        .description(Some(what))
        .into()
}

fn wanted_checks() -> Schema {
    check_list("Which checks; all if it is empty.")
}

fn all_checks() -> Schema {
    check_list("The checks that there are.")
}

fn verdicts() -> Schema {
    one_of([
        Verdict::Nothing,
        Verdict::Ok,
        Verdict::Look,
        Verdict::Broken,
    ])
}

fn codes() -> Schema {
    one_of(Code::ALL)
}

fn fact_names() -> Schema {
    one_of(FactName::ALL)
}

/// What is to be examined.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Examine {
    /// Which checks; all if it is empty.
    #[serde(default)]
    #[schema(schema_with = wanted_checks)]
    pub checks: Vec<Check>,
}

/// What a number measures, or what a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds, perhaps fewer than none.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Bytes.
    Bytes,
    /// A text.
    Text,
    /// A text that may say who or where somebody is: reports have its kind instead.
    Private,
}

/// Something that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// What.
    #[schema(schema_with = fact_names)]
    pub name: FactName,
    /// What it measures.
    pub unit: Unit,
    /// How much, as digits; or the text.
    #[schema(example = "37")]
    pub value: String,
}

impl From<Fact> for Measured {
    fn from(fact: Fact) -> Self {
        let (unit, value) = match fact.value {
            Value::Count(number) => (Unit::Count, number.to_string()),
            Value::Seconds(number) => (Unit::Seconds, number.to_string()),
            Value::Millis(number) => (Unit::Milliseconds, number.to_string()),
            Value::Bytes(number) => (Unit::Bytes, number.to_string()),
            Value::Word(text) => (Unit::Text, text),
            Value::Private(_, text) => (Unit::Private, text),
        };
        Self {
            name: fact.name,
            unit,
            value,
        }
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// For programs, and for other languages: stays the same over versions.
    #[schema(schema_with = codes)]
    pub code: Code,
    /// `nothing` (there is nothing to test), `ok`, `look` (worth a look) or `broken`.
    #[schema(schema_with = verdicts)]
    pub verdict: Verdict,
    /// What was found.
    #[schema(example = "The network is reached: enough nodes answer.")]
    pub text: String,
    /// What to try; empty if there is nothing.
    pub advice: String,
    /// What it rests on.
    pub facts: Vec<Measured>,
}

impl From<core::Finding> for Finding {
    fn from(finding: core::Finding) -> Self {
        Self {
            code: finding.code,
            verdict: finding.verdict(),
            text: finding.code.text().to_owned(),
            advice: finding.code.advice().to_owned(),
            facts: finding.facts.into_iter().map(Into::into).collect(),
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CheckResult)]
pub struct Checked {
    /// Which.
    #[schema(schema_with = checks)]
    pub check: Check,
    /// The worst verdict of it.
    #[schema(schema_with = verdicts)]
    pub verdict: Verdict,
    /// When it was made.
    #[schema(value_type = u64)]
    pub time: UnixTime,
    /// How long it took, in thousandths of a second.
    pub took: u64,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// What came of a check at some time.
    pub fn new(time: UnixTime, examination: Examination) -> Self {
        Self {
            check: examination.check,
            verdict: examination.verdict(),
            time,
            took: u64::try_from(examination.took.as_millis()).unwrap_or(u64::MAX),
            findings: examination.findings.into_iter().map(Into::into).collect(),
        }
    }
}

/// The last result of each check that was made since the node started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doctor {
    /// The checks that there are.
    #[schema(schema_with = all_checks)]
    pub checks: Vec<Check>,
    /// What came of those that were made.
    pub results: Vec<Checked>,
}

/// The same to show around: without IDs, names and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorReport {
    /// The version of Baraza.
    pub version: String,
    /// When the report was made.
    #[schema(value_type = u64)]
    pub made: UnixTime,
    /// For how many seconds the node runs.
    pub uptime: u64,
    /// How many accounts it has.
    pub accounts: u64,
    /// What came of the checks.
    pub results: Vec<Checked>,
}

/// How the report is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// For programs.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Which report.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReportOptions {
    /// `json` or `text`.
    #[serde(default)]
    #[param(inline)]
    pub format: ReportFormat,
}

impl DoctorReport {
    /// The report for people: plain text.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "Baraza {}, {} accounts, running for {} s. Without IDs, names and addresses.",
            self.version, self.accounts, self.uptime
        )];
        for result in &self.results {
            lines.push(String::new());
            lines.extend(result.lines());
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Checked {
    /// What it says, line by line, for people.
    pub fn lines(&self) -> Vec<String> {
        let title = self.check.title();
        let mut lines = vec![format!("{title}: {}", self.verdict.words())];
        for found in &self.findings {
            lines.push(format!("  {}", found.text));
            if !found.advice.is_empty() && found.verdict >= Verdict::Look {
                lines.push(format!("  Try: {}", found.advice));
            }
            let facts: Vec<_> = found.facts.iter().map(Measured::words).collect();
            if !facts.is_empty() {
                lines.push(format!("  ({})", facts.join("; ")));
            }
        }
        lines
    }
}

/// A number of bytes as one says it.
fn size(bytes: u64) -> String {
    let mut unit = "bytes";
    // Ten times as much, for one digit behind the point.
    let mut tenths = bytes.saturating_mul(10);
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    match unit {
        "bytes" => format!("{bytes} bytes"),
        unit => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

impl Measured {
    fn words(&self) -> String {
        let name = self.name.words();
        let value = &self.value;
        match self.unit {
            Unit::Count | Unit::Text | Unit::Private => format!("{name}: {value}"),
            Unit::Seconds => format!("{name}: {value} s"),
            Unit::Milliseconds => format!("{name}: {value} ms"),
            Unit::Bytes => format!("{name}: {}", size(value.parse().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn lengths_are_written_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (13_037_514_752, "12.1 GiB"),
            (u64::MAX, "1677721.5 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
