use std::time::Duration;

use baraza_core::Command;
use baraza_store::{Durability, Store};

use crate::world::World;

#[test]
fn who_was_away_gets_everything() {
    for away in 0..2 {
        let (mut world, chat) = World::talking(20 + away as u64);
        world.stop(away);
        for i in 0..50 {
            world.say(1 - away, chat, &format!("while you were away {i}"));
        }
        world.run(Duration::from_secs(1000));
        world.start(away);
        world.settle(&[0, 1], chat, 50);
    }
}

#[test]
fn each_writes_while_the_other_is_away() {
    let (mut world, chat) = World::talking(22);
    for round in 0..4 {
        let writer = round % 2;
        if world.hosts[1 - writer].account.is_some() {
            world.kill(1 - writer);
        }
        if world.hosts[writer].account.is_none() {
            world.start(writer);
        }
        for i in 0..10 {
            world.say(writer, chat, &format!("{round} {i}"));
        }
    }
    for host in 0..2 {
        if world.hosts[host].account.is_none() {
            world.start(host);
        }
    }
    world.settle(&[0, 1], chat, 40);
}

#[test]
fn swallowed_notices_are_made_good() {
    for old in [false, true] {
        let mut world = World::pair(23);
        world.hosts[1].old = old;
        let chat = world.connect(0, 1);
        world.swallow = 2;
        for i in 0..30 {
            world.say(i % 2, chat, &format!("text {i}"));
            world.run(Duration::from_millis(30));
        }
        world.settle(&[0, 1], chat, 30);
    }
}

#[test]
fn cut_links_cost_nothing_but_time() {
    let (mut world, chat) = World::talking(24);
    for i in 0..40 {
        world.say(i % 2, chat, &format!("text {i}"));
        if i % 7 == 3 {
            let side = i % 2;
            world.cut(side, true);
            world.run(Duration::from_millis(2500));
            world.cut(side, false);
        }
        world.run(Duration::from_millis(15));
    }
    world.settle(&[0, 1], chat, 40);
}

/// Kills either side anywhere: while it sends, receives, merges. What was confirmed is
/// there afterwards, once.
#[test]
fn killing_anywhere_loses_nothing() {
    for seed in 30..36 {
        let (mut world, chat) = World::talking(seed);
        let mut said = 0;
        for round in 0..12 {
            for host in 0..2 {
                let command = Command::SendMessage {
                    conversation: chat,
                    body: format!("{round} {host}"),
                    reply_to: None,
                };
                // Not waited for: the other host may be in the middle of something.
                let request = world.command(host, command);
                if world.take_reply(host, request).is_some() {
                    said += 1;
                }
            }
            let pause = world.rng.range(0..60);
            world.run(Duration::from_millis(pause));
            let victim = world.rng.index(2).unwrap();
            world.kill(victim);
            let pause = world.rng.range(0..3000);
            world.run(Duration::from_millis(pause));
            world.start(victim);
        }
        assert_eq!(said, 24, "all were confirmed at once");
        world.settle(&[0, 1], chat, 24);
        for host in 0..2 {
            world.verify(host, chat);
        }
    }
}

#[test]
fn an_index_that_does_not_fit_is_made_anew() {
    let (mut world, chat) = World::talking(40);
    for i in 0..5 {
        world.say(i % 2, chat, &format!("text {i}"));
    }
    world.settle(&[0, 1], chat, 5);
    let before = world.history(1, chat).len();
    world.kill(1);
    let store = Store::open(
        world.hosts[1].directory.join("node.db"),
        Durability::Process,
    )
    .unwrap();
    store
        .raw()
        .execute("DELETE FROM messages WHERE position > 2", ())
        .unwrap();
    drop(store);
    world.start(1);
    assert_eq!(world.history(1, chat).len(), before);
    world.say(0, chat, "and on");
    world.settle(&[0, 1], chat, 6);
}
