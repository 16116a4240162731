use baraza_api::types::network::{ChooseBootstrap, LookAround, NetworkView};
use hyper::Method;

use super::Context;
use crate::args::{NetworkAction, Switch};
use crate::error::CliError;
use crate::output;

const PATH: &str = "/network/bootstrap";

pub(crate) async fn run(context: &Context<'_>, action: NetworkAction) -> Result<(), CliError> {
    let client = context.client;
    let network: NetworkView = match action {
        NetworkAction::Show => client.get("/network").await?,
        NetworkAction::Bootstrap { usual: true, .. } => {
            client.call(Method::DELETE, PATH, None::<&()>).await?
        }
        NetworkAction::Local { switch } => {
            let choice = LookAround {
                on: switch == Switch::On,
            };
            let path = "/network/local";
            client.call(Method::PUT, path, Some(&choice)).await?
        }
        NetworkAction::Bootstrap { hosts, .. } => {
            let choice = ChooseBootstrap { hosts };
            client.call(Method::PUT, PATH, Some(&choice)).await?
        }
    };
    if context.json() {
        return output::json(&network);
    }
    let list = |list: &[String]| match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    };
    output::line(&format!(
        "Listens on {}\nBegins at {}",
        list(&network.addresses),
        list(&network.bootstrap)
    ))?;
    if network.local {
        output::line("Looks for others in the local network: baraza contact nearby")?;
    }
    if network.given {
        output::line("The node was started with a list of its own, which counts at each start.")?;
    }
    Ok(())
}
