//! Names, with the answers of a daemon.

use anyhow::{Context as _, bail};
use baraza_core::event::LocalId;
use baraza_core::names::{NameFound, NameProblem, NameServerChoice};
use baraza_core::{Command, CommandError, NodeError, Reply};
use baraza_names::client::{Failure, Query, QueryError};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::commands::{Peer, password};

/// What a daemon says of a lookup.
const FOUND: u32 = 0;
const INVALID: u32 = 1;
const NOT_FOUND: u32 = 2;
const ERROR: u32 = 3;

impl Peer {
    /// Has an account ask the server that the harness gives.
    pub(crate) async fn use_name_server(&self, account: LocalId, url: &str) -> anyhow::Result<()> {
        if url.is_empty() {
            return Ok(());
        }
        let command = Command::ChangeNameSettings {
            server: Some(NameServerChoice::At(url.to_owned())),
            only_signed: None,
        };
        self.node
            .command(account, command)
            .await
            .with_context(|| format!("name server {url:?}"))?;
        Ok(())
    }

    /// As the daemon's codes are named in the harness.
    pub(crate) async fn register_name(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let name = with.required("name")?;
        let password = password(&mut with, "password")?;
        let _has_an_end_by_itself = with.seconds("timeout", 30.0)?;
        with.end()?;
        let registered = self.node.register_name(account, &name, password).await;
        Ok(json!(match registered {
            Ok(_) => 0,
            Err(NodeError::WrongPassword | NodeError::PasswordNeeded) => 1,
            Err(NodeError::Name(NameProblem::Asked(failure))) => match failure {
                Failure::Invalid(_) => 2,
                Failure::Taken | Failure::HasName(_) => 3,
                failure => {
                    tracing::info!(%failure, "no name registered");
                    4
                }
            },
            Err(NodeError::Name(problem)) => {
                tracing::info!(%problem, "no name registered");
                4
            }
            Err(error) => return Err(error.into()),
        }))
    }

    pub(crate) async fn lookup_name(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let name = with.required("name")?;
        self.lookup(account, &name, with).await
    }

    pub(crate) async fn lookup_address(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let address = with.required("address")?;
        self.lookup(account, &address, with).await
    }

    async fn lookup(
        &self,
        account: LocalId,
        text: &str,
        mut with: Arguments,
    ) -> anyhow::Result<Value> {
        let _has_an_end_by_itself = with.seconds("timeout", 30.0)?;
        with.end()?;
        let looked = match Query::parse(text) {
            Ok(query) => {
                let fresh = false;
                self.node
                    .command(account, Command::LookUpName { query, fresh })
                    .await
            }
            Err(error) => Err(CommandError::Name(NameProblem::Query(error))),
        };
        let answer = |status, found: Option<&NameFound>, why: &str| {
            json!({
                "event": "registeredNameFound",
                "account": account,
                "requested": text,
                "status": status,
                "address": found.map(|found| found.id.to_hex()).unwrap_or_default(),
                "name": found.map(|found| found.name.clone()).unwrap_or_default(),
                "cached": found.is_some_and(|found| found.cached),
                "signed": found.is_some_and(|found| found.signed),
                "why": why,
            })
        };
        Ok(match looked {
            Ok(Reply::Name(found)) => answer(FOUND, Some(&found), ""),
            Ok(other) => bail!("no name: {other:?}"),
            Err(CommandError::Name(problem)) => {
                let status = match &problem {
                    NameProblem::Query(QueryError::Name(_) | QueryError::Server(_)) => INVALID,
                    NameProblem::Asked(Failure::NotFound) => NOT_FOUND,
                    _ => ERROR,
                };
                answer(status, None, &problem.to_string())
            }
            Err(error) => return Err(error.into()),
        })
    }
}
