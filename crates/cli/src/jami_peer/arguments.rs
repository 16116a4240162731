//! The arguments of a request, with their defaults.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

/// What a request holds beside its id.
#[derive(Debug)]
pub(crate) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(crate) fn new(request: Map<String, Value>) -> Self {
        Self(request)
    }

    /// A text; empty if it was left out.
    pub(crate) fn text(&mut self, name: &str) -> anyhow::Result<String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => bail!("{name} must be a text, not {other}"),
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, name: &str) -> anyhow::Result<String> {
        match self.0.get(name) {
            None => bail!("{name} is missing"),
            Some(_) => self.text(name),
        }
    }

    /// An id that must be there.
    pub(crate) fn id<T>(&mut self, name: &str) -> anyhow::Result<T>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text = self.required(name)?;
        text.parse().with_context(|| format!("{name} {text:?}"))
    }

    /// An id, if one was given.
    pub(crate) fn optional_id<T>(&mut self, name: &str) -> anyhow::Result<Option<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        match self.text(name)?.as_str() {
            "" => Ok(None),
            text => Ok(Some(
                text.parse().with_context(|| format!("{name} {text:?}"))?,
            )),
        }
    }

    /// Ids; none if they were left out.
    pub(crate) fn ids<T>(&mut self, name: &str) -> anyhow::Result<Vec<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let list = match self.0.remove(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => bail!("{name} must be a list, not {other}"),
        };
        list.into_iter()
            .map(|id| match id {
                Value::String(text) => text.parse().with_context(|| format!("{name} {text:?}")),
                other => bail!("{name} must be texts, not {other}"),
            })
            .collect()
    }

    /// Texts by name; none if they were left out.
    pub(crate) fn texts(&mut self, name: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let map = match self.0.remove(name) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => bail!("{name} must be an object, not {other}"),
        };
        map.into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key, text)),
                other => bail!("{name} must hold texts, not {other}"),
            })
            .collect()
    }

    /// Seconds.
    pub(crate) fn seconds(&mut self, name: &str, default: f64) -> anyhow::Result<Duration> {
        let value = self.0.remove(name).unwrap_or(Value::Null);
        let seconds = match &value {
            Value::Null => default,
            Value::Number(number) => number.as_f64().unwrap_or(default),
            other => bail!("{name} must be a number, not {other}"),
        };
        Duration::try_from_secs_f64(seconds).with_context(|| format!("{name} {seconds}"))
    }

    /// A whole number; 0 if it was left out.
    pub(crate) fn count(&mut self, name: &str) -> anyhow::Result<usize> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .with_context(|| format!("{name} must be a number, not {value}")),
        }
    }

    /// Yes or no; no if it was left out.
    pub(crate) fn flag(&mut self, name: &str) -> anyhow::Result<bool> {
        self.flag_or(name, false)
    }

    /// Yes or no.
    pub(crate) fn flag_or(&mut self, name: &str, default: bool) -> anyhow::Result<bool> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => bail!("{name} must be true or false, not {other}"),
        }
    }

    /// Nothing that means something may be left.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        for (name, value) in self.0 {
            let empty = matches!(&value, Value::Null | Value::Bool(false))
                || matches!(&value, Value::String(text) if text.is_empty())
                || matches!(&value, Value::Object(map) if map.is_empty());
            if !empty {
                bail!("{name} is not supported");
            }
        }
        Ok(())
    }
}
