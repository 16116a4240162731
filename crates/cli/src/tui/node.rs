//! The way to the node: follows its events, comes back when it was gone, carries asks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::ask::{Act, Answer, Ask, Trouble};
use crate::args::Global;
use crate::client::Client;
use crate::error::CliError;

/// So long until a node that is gone is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// News that wait to be taken.
const MAX_NEWS: usize = 256;

/// What comes from the node.
#[derive(Debug)]
pub(super) enum News {
    /// It answers, and its events are followed from now on.
    Here(Arc<Client>),
    Event(Value),
    /// It does not answer.
    Away(String),
    Answer(u64, Answer),
}

/// The node that runs on a data directory, whichever it is by then.
#[derive(Debug)]
pub(super) struct Node {
    news: mpsc::Receiver<News>,
    sender: mpsc::Sender<News>,
    client: Option<Arc<Client>>,
    follower: tokio::task::JoinHandle<()>,
}

impl Node {
    pub(super) fn new(global: &Global) -> Self {
        let (sender, news) = mpsc::channel(MAX_NEWS);
        let follower = tokio::spawn(follow(global.clone(), sender.clone()));
        Self {
            news,
            sender,
            client: None,
            follower,
        }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> News {
        let news = self.news.recv().await;
        // There is always a sender: our own.
        let news = news.unwrap_or_else(|| News::Away("the node is not followed any more".into()));
        match &news {
            News::Here(client) => self.client = Some(Arc::clone(client)),
            News::Away(_) => self.client = None,
            News::Event(_) | News::Answer(..) => {}
        }
        news
    }

    /// Asks; the answer is news.
    pub(super) fn ask(&self, ask: Ask) {
        let (client, sender) = (self.client.clone(), self.sender.clone());
        drop(tokio::spawn(async move {
            let answer = match client {
                Some(client) => carry(&client, ask.act).await,
                None => Err(CliError::NoAnswer("it is gone".into())),
            };
            let answer = answer.map_err(|error| Trouble::from(&error));
            let _nobody_listens_any_more = sender.send(News::Answer(ask.id, answer)).await;
        }));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Follows the node's events, and looks for it again when it is gone.
async fn follow(global: Global, sender: mpsc::Sender<News>) {
    loop {
        let error = match follow_once(&global, &sender).await {
            Ok(()) => return,
            Err(error) => error,
        };
        let text = match error.hint() {
            Some(hint) => format!("{error}: {hint}"),
            None => error.to_string(),
        };
        if sender.send(News::Away(text)).await.is_err() {
            return;
        }
        // Nothing tells when a node starts.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Ends well when nobody listens any more.
async fn follow_once(global: &Global, sender: &mpsc::Sender<News>) -> Result<(), CliError> {
    let client = Arc::new(Client::new(global)?);
    // Before anything is read, so that nothing falls between the two.
    let mut events = client.events(None, None).await?;
    if sender.send(News::Here(client)).await.is_err() {
        return Ok(());
    }
    loop {
        let event = events.next().await?;
        if sender.send(News::Event(event)).await.is_err() {
            return Ok(());
        }
    }
}

async fn carry(client: &Client, act: Act) -> Result<Value, CliError> {
    match act {
        Act::Call {
            method,
            path,
            body,
            key,
        } => {
            let body = (!body.is_null()).then_some(body);
            client
                .call_once(method, &path, body.as_ref(), key.as_deref())
                .await
        }
        Act::Upload { path, file } => client.upload(&path, &file).await,
        Act::Download { path, to } => {
            client.download(&path, &to).await?;
            Ok(Value::Null)
        }
    }
}
