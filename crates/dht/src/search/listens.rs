//! Listens: the subscriptions at the nearest nodes.

use std::time::Duration;

use super::peers::has_token;
use super::{Action, MAX_TRIES, REFUSED_PAUSE, Search};
use crate::clock::Ms;
use crate::node::{NodeRef, Nodes};
use crate::op::OpRef;

/// A listen.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) op: OpRef,
    targets: Vec<Ear>,
}

#[derive(Debug, Clone, Copy)]
struct Ear {
    node: NodeRef,
    socket: u32,
    waiting: bool,
    renewed: Ms,
    refused: Ms,
    tries: u8,
}

impl Search {
    pub(crate) fn add_listen(&mut self, op: OpRef) {
        self.listens.push(Subscription {
            op,
            targets: Vec::new(),
        });
    }

    /// A subscription was acknowledged.
    pub(crate) fn on_listening(&mut self, node: NodeRef, op: OpRef, now: Ms) {
        self.on_alive(node);
        if let Some(ear) = self.ear(node, op) {
            ear.waiting = false;
            ear.renewed = now;
            ear.tries = 0;
        }
    }

    /// A subscription was refused.
    pub(crate) fn on_listen_refused(&mut self, node: NodeRef, op: OpRef, again: bool, now: Ms) {
        if let Some(ear) = self.ear(node, op) {
            ear.waiting = false;
            ear.renewed = Ms::LONG_AGO;
            ear.tries = ear.tries.saturating_add(1);
            if !again || ear.tries >= MAX_TRIES {
                ear.refused = now;
                ear.tries = 0;
            }
        }
    }

    fn ear(&mut self, node: NodeRef, op: OpRef) -> Option<&mut Ear> {
        let listen = self.listens.iter_mut().find(|listen| listen.op == op)?;
        listen.targets.iter_mut().find(|ear| ear.node == node)
    }

    /// The listen that a node's update is for.
    pub(crate) fn listen_of(&self, node: NodeRef, socket: u32) -> Option<OpRef> {
        self.listens
            .iter()
            .find(|listen| {
                listen
                    .targets
                    .iter()
                    .any(|ear| ear.node == node && ear.socket == socket)
            })
            .map(|listen| listen.op)
    }
}

impl Subscription {
    /// What was asked of a node is void.
    pub(super) fn forget(&mut self, node: NodeRef) {
        self.targets.retain(|ear| ear.node != node);
    }

    /// What was answered before may no longer hold.
    pub(super) fn forget_answers(&mut self) {
        for ear in &mut self.targets {
            ear.renewed = Ms::LONG_AGO;
            ear.refused = Ms::LONG_AGO;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one decision")]
    pub(super) fn plan(
        &mut self,
        near: &[NodeRef],
        nodes: &Nodes,
        now: Ms,
        period: Duration,
        socket: &mut impl FnMut() -> u32,
        tokens: &mut Vec<NodeRef>,
        actions: &mut Vec<Action>,
    ) -> Ms {
        let op = self.op;
        // Those that are no longer near still send for a while.
        self.targets.retain(|ear| {
            near.contains(&ear.node) || ear.renewed.within(crate::listeners::LISTEN_LIFE, now)
        });
        let mut due = Ms::NEVER;
        for node in near {
            let known = self.targets.iter().position(|ear| ear.node == *node);
            let place = known.unwrap_or_else(|| {
                self.targets.push(Ear {
                    node: *node,
                    socket: socket(),
                    waiting: false,
                    renewed: Ms::LONG_AGO,
                    refused: Ms::LONG_AGO,
                    tries: 0,
                });
                self.targets.len().saturating_sub(1)
            });
            let Some(ear) = self.targets.get_mut(place) else {
                continue;
            };
            if ear.waiting {
                continue;
            }
            let next = ear
                .renewed
                .plus(period)
                .max(ear.refused.plus(REFUSED_PAUSE));
            if next > now {
                due = due.min(next);
            } else if has_token(nodes, *node, now) {
                ear.waiting = true;
                actions.push(Action::Listen {
                    node: *node,
                    op,
                    socket: ear.socket,
                });
            } else {
                tokens.push(*node);
            }
        }
        due
    }
}
