use super::{Context, linking};
use crate::args::DeviceAction;
use crate::error::CliError;

pub(crate) async fn run(context: &Context<'_>, action: DeviceAction) -> Result<(), CliError> {
    match action {
        DeviceAction::Pin { password } => linking::pin(context, &password).await,
    }
}
