//! The commands cover everything the API does: each operation has a command, or a reason.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{run, stderr, stdout};

/// Why an operation has no command of its own.
const SIGN_IN: &str = "-signs a browser in or out: the commands are the owner, who is signed in";
const SAME: &str = "-the command that lists them shows the same of each";

const FIRST_RUN: &str = "-`restore` reads the backup itself, with no node running";

/// Each operation, and the command that does it; after `-`, why there is none.
const OPERATIONS: &[(&str, &str)] = &[
    ("accounts_change", "account rename"),
    ("accounts_change_password", "account password"),
    ("accounts_change_settings", "account settings"),
    ("accounts_create", "account create"),
    ("accounts_disable", "account disable"),
    ("accounts_enable", "account enable"),
    ("accounts_export", "account export"),
    ("accounts_import", "account import"),
    ("accounts_import_jami", "account import-jami"),
    ("accounts_link", "account link"),
    ("accounts_list", "account list"),
    ("accounts_remove", "account delete"),
    ("accounts_settings", "account settings"),
    ("accounts_show", "account show"),
    ("backups_end_schedule", "backup schedule"),
    ("backups_make", "backup"),
    ("backups_restore", FIRST_RUN),
    ("backups_set_schedule", "backup schedule"),
    ("backups_state", "backup status"),
    ("backups_upload", FIRST_RUN),
    ("contacts_add", "contact add"),
    ("contacts_block", "contact block"),
    ("contacts_list", "contact list"),
    ("contacts_peer_devices", "contact devices"),
    ("contacts_remove", "contact remove"),
    ("contacts_show", SAME),
    ("contacts_unblock", "contact unblock"),
    ("contacts_unverify", "contact verify"),
    ("contacts_verify", "contact verify"),
    ("conversations_ban", "conversation ban"),
    ("conversations_change_preferences", "conversation set"),
    ("conversations_change_profile", "conversation profile"),
    ("conversations_create", "conversation create"),
    ("conversations_export", "conversation export"),
    ("conversations_import", "conversation import"),
    ("conversations_invite", "conversation invite"),
    ("conversations_leave", "conversation leave"),
    ("conversations_list", "conversation list"),
    ("conversations_members", "conversation members"),
    ("conversations_preferences", "conversation set"),
    ("conversations_profile", "conversation profile"),
    ("conversations_rejoin", "conversation rejoin"),
    ("conversations_show", SAME),
    ("devices_add_device", "device add"),
    ("devices_cancel_device", "device add"),
    ("devices_confirm_device", "device add"),
    ("devices_list", "device list"),
    ("devices_pin", "device pin"),
    ("devices_rename", "device rename"),
    ("devices_revoke", "device revoke"),
    ("devices_show_device", "device add"),
    ("diagnostics_diagnostics", "status"),
    ("diagnostics_status", "status"),
    ("doctor_examine", "doctor"),
    (
        "doctor_last",
        "-the command makes the checks, and shows what comes of them",
    ),
    ("doctor_report", "doctor"),
    ("events_poll", "watch"),
    ("events_socket", "watch"),
    ("files_accept", "fetch"),
    ("files_auto_accept", "account settings"),
    ("files_cancel", "cancel"),
    ("files_delete", "delete"),
    ("files_download", "save"),
    ("files_list", "files"),
    ("files_send", "send-file"),
    ("files_set_auto_accept", "account settings"),
    ("files_show", "fetch"),
    ("link_begin", "account link"),
    ("link_cancel", "account link"),
    ("link_confirm", "account link"),
    ("link_show", "account link"),
    ("messages_delivery", "message status"),
    ("messages_edit", "edit"),
    ("messages_entries", "view"),
    ("messages_history", "history"),
    ("messages_mark_read", "read"),
    ("messages_message", "history"),
    ("messages_react", "react"),
    ("messages_search", "search"),
    ("messages_send", "send"),
    ("messages_typing", "tui"),
    ("names_change_server", "name server"),
    ("names_find", "name lookup"),
    ("names_of", "name show"),
    ("names_register", "name register"),
    ("names_server", "name server"),
    ("nearby_change", "contact nearby"),
    ("nearby_look_around", "network local"),
    ("nearby_show", "contact nearby"),
    ("network_choose", "network bootstrap"),
    ("network_forget", "network bootstrap"),
    ("network_show", "network show"),
    ("profiles_change", "profile"),
    ("profiles_own", "profile"),
    ("profiles_show", "profile"),
    ("requests_accept", "request accept"),
    ("requests_block_asker", "request block"),
    ("requests_decline", "request decline"),
    ("requests_requests", "request list"),
    ("session_code", "open"),
    ("session_list", "session list"),
    ("session_revoke", "session revoke"),
    ("session_set_password", "session password"),
    ("session_show", SIGN_IN),
    ("session_sign_in", SIGN_IN),
    ("session_sign_out", SIGN_IN),
    ("tokens_create", "token create"),
    ("tokens_list", "token list"),
    ("tokens_revoke", "token revoke"),
    ("webhooks_add", "webhook add"),
    ("webhooks_enable", "webhook enable"),
    ("webhooks_list", "webhook list"),
    ("webhooks_remove", "webhook remove"),
    ("webhooks_test", "webhook test"),
];

#[test]
fn every_operation_of_the_api_has_a_command_or_a_reason() {
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let description = std::fs::read_to_string(description).unwrap();
    let description: Value = serde_json::from_str(&description).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let described: BTreeSet<&str> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let known: BTreeSet<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    let without: Vec<_> = described.difference(&known).collect();
    assert!(without.is_empty(), "no command does these: {without:?}");
    let gone: Vec<_> = known.difference(&described).collect();
    assert!(gone.is_empty(), "the API has none of these: {gone:?}");

    let dir = tempfile::tempdir().unwrap();
    let commands: BTreeSet<&str> = OPERATIONS.iter().map(|(_, command)| *command).collect();
    for command in commands.iter().filter(|command| !command.starts_with('-')) {
        let mut words: Vec<&str> = command.split(' ').collect();
        words.push("--help");
        let help = run(dir.path(), &words);
        assert!(help.status.success(), "baraza {command}: {}", stderr(&help));
        let usage = format!("Usage: baraza {command}");
        assert!(stdout(&help).contains(&usage), "baraza {command}");
    }
}
