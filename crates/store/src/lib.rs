//! Durable state: accounts, contacts, outbox and the message index in SQLite
