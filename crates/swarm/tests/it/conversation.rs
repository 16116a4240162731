//! Conversations: their commits, their rules, their merges.

mod group;
mod reproduce;
mod rules;
mod storage;
mod support;
mod vectors;
