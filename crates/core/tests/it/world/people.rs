//! What people do, and see.

use super::*;

impl World {
    pub(crate) fn has_event(&self, host: usize, is: impl Fn(&EventBody) -> bool) -> bool {
        self.hosts[host].events.iter().any(|event| is(&event.body))
    }

    pub(crate) fn request(&mut self, from: usize, to: usize) -> ConversationId {
        let (to_id, from_id) = (self.id(to), self.id(from));
        let command = Command::SendRequest {
            to: to_id,
            text: String::new(),
        };
        let Ok(Reply::Conversation(chat)) = self.ask(from, command) else {
            panic!("no conversation");
        };
        self.until("the request arrives", |world| {
            world.has_event(to, |event| {
                matches!(event, EventBody::RequestReceived { from, conversation, .. }
                    if *from == from_id && *conversation == chat)
            })
        });
        chat
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize) -> ConversationId {
        let chat = self.request(from, to);
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(self.ask(to, accept), Ok(Reply::Done));
        let id = self.id(to);
        self.until("the asked joins", |world| {
            world.has_event(
                from,
                |event| matches!(event, EventBody::MemberEvent { member, .. } if *member == id),
            )
        });
        chat
    }

    pub(crate) fn say(&mut self, host: usize, chat: ConversationId, body: &str) -> CommitId {
        let command = Command::SendMessage {
            conversation: chat,
            body: body.into(),
            reply_to: None,
        };
        match self.ask(host, command) {
            Ok(Reply::Message(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    /// As [`Self::say`], once the conversation is ready.
    pub(crate) fn say_when_ready(&mut self, host: usize, chat: ConversationId, body: &str) {
        self.until("the conversation is ready", |world| {
            world.is_ready(host, chat)
        });
        self.say(host, chat, body);
    }

    pub(crate) fn history(&mut self, host: usize, chat: ConversationId) -> Vec<Message> {
        let command = Command::History {
            conversation: chat,
            from: None,
            count: 0,
        };
        match self.ask(host, command) {
            Ok(Reply::History(messages)) => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Texts as (id, body), in no order.
    pub(crate) fn texts(
        &mut self,
        host: usize,
        chat: ConversationId,
    ) -> BTreeSet<(CommitId, String)> {
        let history = self.history(host, chat);
        let texts: Vec<(CommitId, String)> = history
            .iter()
            .filter(|message| message.kind == "text/plain")
            .map(|message| (message.id, message.body().to_owned()))
            .collect();
        let set: BTreeSet<_> = texts.iter().cloned().collect();
        assert_eq!(set.len(), texts.len(), "a message is listed twice");
        set
    }

    /// Waits until all have the same texts, `count` of them.
    pub(crate) fn settle(&mut self, hosts: &[usize], chat: ConversationId, count: usize) {
        let hosts = hosts.to_vec();
        self.until("all have the same texts", |world| {
            let mut sets = hosts
                .iter()
                .map(|host| world.texts(*host, chat))
                .collect::<Vec<_>>();
            let first = sets.pop().unwrap();
            first.len() >= count && sets.iter().all(|set| *set == first)
        });
        for host in hosts {
            assert_eq!(self.texts(host, chat).len(), count);
            self.announced_once(host, chat);
        }
    }

    /// No message was told twice in this life.
    pub(crate) fn announced_once(&self, host: usize, chat: ConversationId) {
        let mut seen = BTreeSet::new();
        for event in &self.hosts[host].events {
            if let EventBody::MessageReceived {
                conversation,
                message,
            } = &event.body
                && *conversation == chat
            {
                assert!(seen.insert(message.id), "told twice");
            }
        }
    }

    pub(crate) fn is_ready(&self, host: usize, chat: ConversationId) -> bool {
        self.has_event(host, |event| {
            matches!(event, EventBody::ConversationReady { conversation } if *conversation == chat)
        })
    }

    /// Every commit of a repository is valid.
    pub(crate) fn verify(&self, host: usize, chat: ConversationId) {
        baraza_swarm::verify(&self.hosts[host].conversation(chat)).unwrap();
    }
}
