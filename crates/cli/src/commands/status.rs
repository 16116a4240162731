use std::time::Duration;

use baraza_api::types::Status;

use super::Context;
use crate::error::CliError;
use crate::output::{self, printable, short};

pub(crate) async fn run(context: &Context<'_>) -> Result<(), CliError> {
    let status: Status = context.client.get("/status").await?;
    if context.json() {
        return output::json(&status);
    }
    let list = |list: &[String]| match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    };
    output::line(&format!(
        "Baraza {}, process {}, for {}, {:.1} MiB of memory\nDHT on {}, beginning with {}",
        status.version,
        status.pid,
        output::span(Duration::from_secs(status.uptime)),
        Mebibytes(status.memory).value(),
        list(&status.dht_addresses),
        list(&status.bootstrap),
    ))?;
    if let Some(dht) = &status.dht {
        output::line(&format!(
            "  {} nodes answer by IPv4, {} by IPv6; {} values stored; {} packets in, {} out, \
             {} dropped",
            dht.good_ipv4, dht.good_ipv6, dht.values, dht.received, dht.sent, dht.dropped
        ))?;
    }
    for account in &status.accounts {
        let who = &account.account;
        let found = if who.announced {
            "can be found"
        } else {
            "cannot be found yet"
        };
        let doing = &account.diagnostics;
        output::line(&format!(
            "\n{} {}\n  {}, {found}\n  {} conversations, {} requests; {} fetches and {} clones \
             under way, {} devices are owed messages",
            who.jami_id,
            printable(&who.display_name),
            who.state.as_str(),
            account.conversations,
            account.requests,
            doing.fetches,
            doing.clones,
            doing.owed,
        ))?;
        if account.running && who.backed_up.is_none() {
            output::line(
                "  in no backup yet: it is lost for ever with this machine (baraza backup FILE)",
            )?;
        }
        for link in &doing.links {
            let (account, device) = (link.account.to_hex(), link.device.to_hex());
            output::line(&format!(
                "  connected: {}, device {}",
                short(&account),
                short(&device)
            ))?;
        }
    }
    Ok(())
}

/// A size for people.
struct Mebibytes(u64);

impl Mebibytes {
    fn value(&self) -> f64 {
        // Tenths are enough, and exact up to sizes no memory has.
        let tenths = self.0.saturating_mul(10) / (1024 * 1024);
        f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
    }
}
