//! Conversations as signed git histories: commits, rules, merges and the git wire
