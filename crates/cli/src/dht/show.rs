//! What the console prints.

use std::io::Write as _;
use std::time::Duration;

use baraza_dht::{BucketInfo, FamilyStats, NodeState, SearchInfo, Stats, Value, value_type};
use baraza_wire::hex;

use crate::output::printable;

/// Longer data is only counted.
const MAX_SHOWN: usize = 512;

pub(super) fn line(text: &str) {
    // Who closed our output does not read it.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

pub(super) fn prompt() {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, ">> ");
    let _ = out.flush();
}

/// A span as precisely as it matters.
pub(super) fn span(time: Duration) -> String {
    if time < Duration::from_millis(1) {
        format!("{} us", time.as_micros())
    } else if time < Duration::from_secs(10) {
        format!("{:.3} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{} s", time.as_secs())
    }
}

/// A value: `decrypted` if it came encrypted.
pub(super) fn value(value: &Value, decrypted: bool) -> String {
    let mut text = format!("Value[id:{:x} ", value.id);
    if value.is_encrypted() {
        return text + "encrypted]";
    }
    if value.is_signed() {
        text += &format!("signed (v{}) ", value.seq());
    }
    if decrypted {
        text += "decrypted ";
    }
    if value.value_type() == value_type::CERTIFICATE {
        return text + "Certificate]";
    }
    let data = value.data();
    text += "data";
    if !value.user_type().is_empty() {
        text += &format!("({})", printable(value.user_type()));
    }
    let shown = match std::str::from_utf8(data) {
        _ if data.len() > MAX_SHOWN => format!("{} bytes", data.len()),
        Ok(plain) if value.user_type() == "text/plain" => format!("\"{}\"", printable(plain)),
        _ => hex::encode(data),
    };
    text + ":" + &shown + "]"
}

/// The fields of a value that a query asks for.
pub(super) fn row(value: &Value) -> String {
    let owner = value.owner_id().unwrap_or_default();
    format!(
        "Index[Id:{:x},ValueType:{},Owner:{},Seq:{},UserType:{}]",
        value.id,
        value.value_type(),
        owner,
        value.seq(),
        printable(value.user_type()),
    )
}

pub(super) fn stats(stats: &Stats) {
    let kib = stats
        .storage
        .bytes
        .saturating_add(stats.storage.local_bytes)
        / 1024;
    line(&format!(
        "{} ongoing operations\nStorage has {} values of {} keys, using {kib} KB; {} listeners",
        stats.operations, stats.storage.values, stats.storage.keys, stats.listeners,
    ));
    family("IPv4", &stats.ipv4);
    family("IPv6", &stats.ipv6);
    let c = &stats.counters;
    line(&format!(
        "Packets: {} received, {} sent; {} requests served; dropped: {} malformed, {} of other \
         networks, {} beyond the limit, {} not asked for, {} with bad tokens",
        c.received,
        c.sent,
        c.served,
        c.malformed,
        c.other_network,
        c.rate_limited,
        c.unsolicited,
        c.bad_tokens,
    ));
}

fn family(name: &str, stats: &FamilyStats) {
    line(&format!(
        "{name} stats: {:?}\nKnown nodes: {} good, {} dubious, {} incoming.\n{} searches, {} \
         total cached nodes",
        stats.status, stats.good, stats.dubious, stats.incoming, stats.searches, stats.known,
    ));
    if stats.depth > 1 {
        line(&format!(
            "Routing table depth: {}\nNetwork size estimation: {} nodes",
            stats.depth,
            stats.network_size(),
        ));
    }
    line("");
}

pub(super) fn routing_table(name: &str, buckets: &[BucketInfo]) {
    line(&format!("Buckets {name}:"));
    for bucket in buckets {
        line(&format!(
            "{} count: {} updated: {}{}",
            bucket.first,
            bucket.nodes.len(),
            ago(bucket.replied),
            if bucket.candidate { " (cached)" } else { "" },
        ));
        for node in &bucket.nodes {
            line(&format!("    {}", node_state(node)));
        }
    }
}

pub(super) fn search(search: &SearchInfo) {
    line(&format!(
        "Search {:?} {} gets: {} listens: {} puts: {}",
        search.family,
        search.key,
        search.gets,
        search.listens,
        search.puts.len(),
    ));
    for (id, stored) in &search.puts {
        line(&format!("  value {id:x} at {stored} nodes"));
    }
    for node in &search.nodes {
        line(&format!(
            "  {:3} {}",
            node.id.common_bits(&search.key),
            node_state(node)
        ));
    }
}

fn node_state(node: &NodeState) -> String {
    let state = if node.good {
        " [good]"
    } else if node.expired {
        " [expired]"
    } else {
        ""
    };
    format!(
        "{} {} heard: {} replied: {}{state}",
        node.id,
        node.address,
        ago(node.heard),
        ago(node.replied),
    )
}

fn ago(time: Option<Duration>) -> String {
    time.map_or_else(
        || "never".to_owned(),
        |time| format!("{} s", time.as_secs()),
    )
}

pub(super) const HELP: &str = "\
A key is 40 hexadecimal digits, or any word, which is hashed.
  h                       print this
  x                       stop the node
  ll                      print figures of the node
  ls [KEY]                print searches
  ld [KEY]                print what is stored
  lr                      print the routing tables
  la                      print our addresses as other nodes report them
  b HOST[:PORT]           join the network through a node
  cc                      the network changed: check all nodes
  g KEY [WHERE ...]       get values
  q KEY [SELECT ...] [WHERE ...]   get fields of values
  l KEY [WHERE ...]       listen for values
  cl KEY TOKEN            stop to listen
  p KEY WORD              put a value
  pp KEY WORD             put a value and keep it alive
  cpp KEY ID              stop to keep a value alive
  a KEY PORT              announce a service
With an identity (-i):
  s KEY WORD              put a signed value
  e KEY DESTINATION WORD  put a value encrypted for a key id
Conditions: WHERE id=1,value_type=3,owner_pk=HEX,user_type=\"x\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_dhtnode_shows_them() {
        let text = Value::new(0, b"hello")
            .with_id(0x4aaf)
            .with_user_type("text/plain");
        assert_eq!(
            value(&text, false),
            "Value[id:4aaf data(text/plain):\"hello\"]"
        );
        let raw = Value::new(0, [1, 2]).with_id(7);
        assert_eq!(value(&raw, false), "Value[id:7 data:0102]");
        let large = Value::new(0, [1; 600]).with_id(7);
        assert_eq!(value(&large, false), "Value[id:7 data:600 bytes]");
        assert_eq!(
            row(&text),
            "Index[Id:4aaf,ValueType:0,Owner:0000000000000000000000000000000000000000,Seq:0,\
             UserType:text/plain]"
        );
    }
}
