//! Accounts, contacts and conversations: the engine behind the API
