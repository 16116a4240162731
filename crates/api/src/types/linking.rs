//! Bringing an account to a new device, and its password.

use baraza_wire::UnixTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for a PIN, with which a new device gets the account.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct NewLinkPin {
    /// The account's password; none if empty.
    #[serde(default)]
    pub password: String,
}

/// A PIN, with which a new device gets the account.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LinkPin {
    /// Eight letters and digits.
    #[schema(example = "4vss3kcs")]
    pub pin: String,
    /// When it is of no use any more: ten minutes later.
    #[schema(value_type = u64)]
    pub expires: UnixTime,
    /// Whether the new device must also know the account's password. Without a password,
    /// the account lies on the DHT protected by the PIN alone: setting one is advisable.
    pub has_password: bool,
}

/// Makes this a device of the account that lies under a PIN.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct LinkByPin {
    /// The PIN that another device shows.
    pub pin: String,
    /// The account's password; none if empty.
    #[serde(default)]
    pub password: String,
    /// The name it shows; the account's if empty.
    #[serde(default)]
    pub display_name: String,
}

/// Gives the account's archive on this device another password.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password it has; empty if it has none.
    #[serde(default)]
    pub password: String,
    /// The new one; none if empty.
    #[serde(default)]
    pub new_password: String,
}

super::secret_debug!(NewLinkPin, LinkPin, LinkByPin, ChangePassword);
