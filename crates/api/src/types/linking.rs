//! Bringing an account to a new device, and its password.

use baraza_core::event::LocalId;
use baraza_core::link_device as core;
use baraza_wire::{AccountId, DeviceId, UnixTime};
use qrcode::QrCode;
use qrcode::render::svg;
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
    #[schema(value_type = super::ids::Time)]
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

/// Begins to make this a device of an account that another device has.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// The name it shows; the account's if empty.
    #[serde(default)]
    pub display_name: String,
}

/// Says that this shall become a device of the account shown.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct ConfirmLink {
    /// The account's password; none if empty.
    #[serde(default)]
    pub password: String,
}

/// Brings the account to a new device.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct LinkDevice {
    /// What the new device shows: `jami-auth://…`.
    pub token: String,
}

/// How far the linking of a device is.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LinkStatus {
    /// Rises with each change: ask for the next one with `after`.
    pub revision: u64,
    /// `INIT`, `TOKEN_AVAILABLE`, `CONNECTING`, `AUTHENTICATING`, `IN_PROGRESS` or `DONE`.
    #[schema(value_type = super::ids::LinkState)]
    pub state: core::LinkState,
    /// On the new device: what the other one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The same as a picture (SVG) for a camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_svg: Option<String>,
    /// On the new device, when authenticating: whether the account has a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_password: Option<bool>,
    /// On the new device, when authenticating: the account that it will be a device of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::ids::JamiId>)]
    pub peer_id: Option<AccountId>,
    /// On the device that has the account: the temporary id of the new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::ids::DeviceId>)]
    pub peer_device: Option<DeviceId>,
    /// Passwords that were wrong; the third one ends it.
    pub wrong_passwords: u32,
    /// When done, unless a device was linked: `network`, `timeout`, `auth_error`, `canceled`,
    /// `unknown` (the other device broke the rules) or `not_added`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::ids::LinkError>)]
    pub error: Option<core::LinkError>,
    /// On the new device, when done: the account's local name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::ids::LocalName>)]
    pub account: Option<LocalId>,
}

impl From<core::LinkStatus> for LinkStatus {
    fn from(status: core::LinkStatus) -> Self {
        let token_svg = status.token.as_ref().and_then(|token| {
            let code = QrCode::new(token).ok()?;
            Some(code.render::<svg::Color<'_>>().build())
        });
        Self {
            revision: status.revision,
            state: status.state,
            token: status.token,
            token_svg,
            needs_password: status.needs_password,
            peer_id: status.peer_id,
            peer_device: status.peer_device,
            wrong_passwords: status.wrong_passwords,
            error: status.error,
            account: status.account,
        }
    }
}

super::secret_debug!(
    NewLinkPin,
    LinkPin,
    LinkByPin,
    ChangePassword,
    ConfirmLink,
    LinkDevice,
    LinkStatus
);
