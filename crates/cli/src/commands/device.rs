use baraza_api::types::{Account, ChangeDevice, Device, RevokeDevice};
use baraza_core::event::Presence;
use hyper::Method;
use serde_json::json;

use super::{Context, linking};
use crate::args::DeviceAction;
use crate::error::CliError;
use crate::{find, output, prompt};

pub(crate) async fn run(context: &Context<'_>, action: DeviceAction) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let base = format!("/accounts/{}/devices", account.account);
    match action {
        DeviceAction::Add { code, yes } => linking::add_device(context, code, yes).await,
        DeviceAction::Pin { password } => linking::pin(context, &password).await,
        DeviceAction::List => {
            let devices: Vec<Device> = client.get(&base).await?;
            if context.json() {
                return output::json(&devices);
            }
            for device in &devices {
                output::line(&line(device))?;
            }
            Ok(())
        }
        DeviceAction::Rename { name } => {
            let id = this(&account)?;
            let path = format!("{base}/{id}");
            let body = ChangeDevice { name };
            let device: Device = client.call(Method::PATCH, &path, Some(&body)).await?;
            if context.json() {
                return output::json(&device);
            }
            output::line(&line(&device))
        }
        DeviceAction::Revoke {
            device,
            password,
            yes,
        } => {
            let devices: Vec<Device> = client.get(&base).await?;
            let device = find::device(devices, &device)?;
            if !yes {
                eprintln!(
                    "This revokes {} ({}): it is refused by you and all your contacts from now \
                     on, and that cannot be taken back.",
                    output::printable(&device.name),
                    device.id
                );
                if !prompt::confirm("Revoke it?")? {
                    return Err(CliError::Interrupted);
                }
            }
            let body = RevokeDevice {
                password: prompt::password(&password, "Password of the account", false)?,
            };
            let path = format!("{base}/{}/revoke", device.id);
            let () = client.post(&path, &body).await?;
            if context.json() {
                return output::json(&json!({ "revoked": device.id }));
            }
            output::line(&format!("revoked {}", device.id))
        }
    }
}

fn this(account: &Account) -> Result<baraza_wire::DeviceId, CliError> {
    account
        .device_id
        .ok_or_else(|| CliError::NotFound("the account is not started".into()))
}

fn line(device: &Device) -> String {
    let state = match device {
        device if device.revoked => "revoked",
        device if device.current => "this one",
        device => match device.presence {
            Presence::Offline => "offline",
            Presence::Available => "there",
            Presence::Connected => "connected",
        },
    };
    format!(
        "{}  {state:<9}  {}",
        device.id,
        output::printable(&device.name)
    )
}
