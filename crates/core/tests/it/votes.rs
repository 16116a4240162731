//! Bans where there are several admins.
//!
//! Nothing on the wire makes a second one (docs/protocol/05-swarm.md sections 4 and 5), so
//! that the repositories are prepared by hand.

use std::path::Path;
use std::process::Command as Program;

use baraza_core::command::Role;
use baraza_core::{Command, Reply};
use baraza_wire::{AccountId, ConversationId};

use crate::divergence::forget_journal;
use crate::groups::group_of;
use crate::world::World;

fn git(directory: &Path, arguments: &[&str]) -> String {
    let done = Program::new("git")
        .arg("--git-dir")
        .arg(directory.join(".git"))
        .args(arguments)
        .env("GIT_INDEX_FILE", directory.join("made-by-hand"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "git {arguments:?}: {error}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Makes members admins in the repositories of all hosts.
fn promote(world: &mut World, chat: ConversationId, admins: &[usize], all: &[usize]) {
    for host in all {
        world.stop(*host);
        forget_journal(&world.hosts[*host].conversation(chat));
    }
    let first = world.hosts[0].conversation(chat);
    git(&first, &["read-tree", "refs/heads/main"]);
    for admin in admins {
        let id = world.id(*admin);
        let file = git(
            &first,
            &["rev-parse", &format!("refs/heads/main:members/{id}.crt")],
        );
        let entry = format!("100644,{file},admins/{id}.crt");
        git(&first, &["update-index", "--add", "--cacheinfo", &entry]);
        git(
            &first,
            &[
                "update-index",
                "--force-remove",
                &format!("members/{id}.crt"),
            ],
        );
    }
    let tree = git(&first, &["write-tree"]);
    let device = world.identity(0).device_id();
    let email = format!("user.email={device}");
    let message = "{\"type\":\"made-by-hand\"}";
    let commit = git(
        &first,
        &[
            "-c",
            "user.name=alice",
            "-c",
            &email,
            "commit-tree",
            &tree,
            "-p",
            "refs/heads/main",
            "-m",
            message,
        ],
    );
    git(&first, &["update-ref", "refs/heads/main", &commit]);
    for host in all.iter().filter(|host| **host != 0) {
        let other = world.hosts[*host].conversation(chat);
        let from = first.to_str().unwrap();
        let what = "+refs/heads/main:refs/heads/main";
        git(&other, &["fetch", "-q", "--update-head-ok", from, what]);
    }
    for host in all {
        world.start(*host);
    }
}

fn role(world: &mut World, host: usize, chat: ConversationId, of: AccountId) -> Option<Role> {
    match world.ask(host, Command::Members { conversation: chat }) {
        Ok(Reply::Members(members)) => members.iter().find(|m| m.uri == of).map(|m| m.role),
        other => panic!("{other:?}"),
    }
}

fn ban(world: &mut World, host: usize, chat: ConversationId, member: AccountId) {
    let command = Command::BanMember {
        conversation: chat,
        member,
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

#[test]
fn of_two_admins_both_and_of_three_two_have_to_agree() {
    for admins in [2_usize, 3] {
        let mut world = World::pair(admins as u64);
        world.add("carol");
        world.add("dave");
        let others: Vec<usize> = (1..4).collect();
        let chat = group_of(&mut world, &others);
        world.say(0, chat, "before");
        world.settle(&[0, 1, 2, 3], chat, 1);
        let more: Vec<usize> = (1..admins).collect();
        promote(&mut world, chat, &more, &[0, 1, 2, 3]);
        let out = world.id(3);
        for host in 0..admins {
            let id = world.id(host);
            assert_eq!(role(&mut world, 0, chat, id), Some(Role::Admin));
        }
        ban(&mut world, 0, chat, out);
        world.until("the vote is seen", |world| {
            world.history(1, chat).iter().any(|it| it.kind == "vote")
        });
        assert_eq!(
            role(&mut world, 1, chat, out),
            Some(Role::Member),
            "one vote is not enough"
        );
        ban(&mut world, 1, chat, out);
        for host in 0..3 {
            world.until("the ban is seen", |world| {
                role(world, host, chat, out) == Some(Role::Banned)
            });
        }
        // Taken back the same way.
        let back = Command::AddMember {
            conversation: chat,
            member: out,
        };
        assert_eq!(world.ask(0, back.clone()), Ok(Reply::Done));
        world.until("the vote is seen", |world| {
            world
                .history(1, chat)
                .iter()
                .filter(|it| it.kind == "vote")
                .count()
                == 3
        });
        assert_eq!(role(&mut world, 1, chat, out), Some(Role::Banned));
        assert_eq!(world.ask(1, back), Ok(Reply::Done));
        for host in 0..3 {
            world.until("the return is seen", |world| {
                role(world, host, chat, out) == Some(Role::Member)
            });
        }
    }
}
