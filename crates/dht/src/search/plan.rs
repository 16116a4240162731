//! What a search is to send now.

use std::time::Duration;

use super::gets::plan_gets;
use super::peers::{has_token, is_bad};
use super::{
    Action, CLOSE, CONCURRENCY, LISTEN_TARGETS, Next, REFUSED_PAUSE, SYNC_LIFE, Search, TARGETS,
};
use crate::clock::Ms;
use crate::node::{NodeRef, Nodes};

impl Search {
    /// What to send now.
    pub(crate) fn plan(
        &mut self,
        nodes: &Nodes,
        now: Ms,
        listen_period: Duration,
        mut socket: impl FnMut() -> u32,
        actions: &mut Vec<Action>,
    ) -> Next {
        if !self.is_needed() {
            return Next::Idle;
        }
        self.peers.retain(|peer| {
            nodes
                .get(peer.node)
                .is_some_and(|n| !(n.expired && n.is_old(now)))
        });
        let near: Vec<NodeRef> = self
            .peers
            .iter()
            .filter(|peer| !is_bad(peer, nodes) && !peer.refused.within(REFUSED_PAUSE, now))
            .map(|peer| peer.node)
            .take(TARGETS)
            .collect();
        if near.is_empty() {
            return if self.anything_under_way(nodes) {
                Next::Wait(Ms::NEVER)
            } else {
                Next::Stuck
            };
        }
        let mut due = Ms::NEVER;
        let mut free = CONCURRENCY.saturating_sub(self.in_flight(nodes));
        plan_gets(&mut self.gets, &near, &mut self.peers, &mut free, actions);
        let synced = self.is_synced(&near, now);
        if synced && self.explore {
            self.explore = false;
        }
        let mut tokens = Vec::new();
        // A new value goes to the nearest at once: while any of them must be asked for a
        // token, its answer may name nearer ones.
        let all_near = synced && near.iter().all(|node| has_token(nodes, *node, now));
        for put in &mut self.puts {
            if put.done && synced || all_near {
                let next = put.plan(&near, nodes, now, &mut tokens, actions);
                due = due.min(next);
            } else if !put.done {
                tokens.extend(near.iter().copied());
            }
        }
        if synced {
            let ears = near.get(..LISTEN_TARGETS).unwrap_or(&near);
            for listen in &mut self.listens {
                let next = listen.plan(
                    ears,
                    nodes,
                    now,
                    listen_period,
                    &mut socket,
                    &mut tokens,
                    actions,
                );
                due = due.min(next);
            }
        }
        let lasting = !self.listens.is_empty() || !self.puts.is_empty() || self.explore;
        for (index, node) in near.iter().enumerate() {
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == *node) else {
                continue;
            };
            let fresh = peer.replied.within(SYNC_LIFE, now);
            let lookup = index < CLOSE && !fresh && lasting;
            let token = tokens.contains(node) && !has_token(nodes, *node, now);
            if index < CLOSE && fresh && lasting {
                due = due.min(peer.replied.plus(SYNC_LIFE));
            }
            if (lookup || token) && !peer.asked && free > 0 {
                peer.asked = true;
                free = free.saturating_sub(1);
                actions.push(Action::Find(*node));
            }
        }
        if !self.is_needed() && self.in_flight(nodes) == 0 {
            return Next::Idle;
        }
        Next::Wait(due)
    }
}
