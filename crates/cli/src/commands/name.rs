use baraza_api::types::Account;
use baraza_api::types::names::{ChangeNameServer, NameServer, RegisterName, RegisteredName};
use baraza_wire::id::parse_account_uri;
use hyper::Method;

use super::Context;
use crate::args::{NameAction, PasswordOptions, Switch};
use crate::error::CliError;
use crate::output::{self, printable};
use crate::{find, prompt};

pub(crate) async fn run(context: &Context<'_>, action: NameAction) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let base = format!("/accounts/{}/names", account.account);
    match action {
        NameAction::Lookup { name, fresh } => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("find", name.trim());
            query.append_pair("fresh", if fresh { "true" } else { "false" });
            let path = format!("{base}?{}", query.finish());
            let found: RegisteredName = context.client.get(&path).await?;
            show(context, &found)
        }
        NameAction::Register { name, password } => {
            register(context, &account, &base, name, &password).await
        }
        NameAction::Server { server, unsigned } => {
            let path = format!("{base}/server");
            let settings: NameServer = if server.is_none() && unsigned.is_none() {
                context.client.get(&path).await?
            } else {
                let change = ChangeNameServer {
                    server,
                    only_signed: unsigned.map(|unsigned| unsigned == Switch::Off),
                };
                context
                    .client
                    .call(Method::PATCH, &path, Some(&change))
                    .await?
            };
            if context.json() {
                return output::json(&settings);
            }
            show_server(&settings)
        }
        NameAction::Show { who, fresh } => {
            let id = match who {
                None => account.jami_id,
                // Strangers have names, too.
                Some(who) => match parse_account_uri(&who) {
                    Ok(id) => id,
                    Err(_not_whole) => find::contact(context.client, &account, &who).await?.id,
                },
            };
            let path = format!("{base}/of/{id}?fresh={fresh}");
            let found: RegisteredName = context.client.get(&path).await?;
            show(context, &found)
        }
    }
}

async fn register(
    context: &Context<'_>,
    account: &Account,
    base: &str,
    name: String,
    password: &PasswordOptions,
) -> Result<(), CliError> {
    let body = RegisterName {
        name,
        password: prompt::account_password(password, account)?,
    };
    let found: RegisteredName = context.client.post(base, &body).await?;
    if context.json() {
        return output::json(&found);
    }
    output::line(&format!(
        "Registered {} at {}",
        printable(&found.name),
        printable(&found.server)
    ))
}

fn show(context: &Context<'_>, found: &RegisteredName) -> Result<(), CliError> {
    if context.json() {
        return output::json(found);
    }
    output::line(&format!(
        "{}  {}\nat {}{}{}",
        found.id,
        printable(&found.name),
        printable(&found.server),
        if found.signed {
            ", signed by its owner"
        } else {
            ", not signed by its owner: the server alone says so"
        },
        if found.cached {
            format!(", as of {}", output::date(found.resolved))
        } else {
            String::new()
        }
    ))
}

fn show_server(settings: &NameServer) -> Result<(), CliError> {
    match (&settings.server, &settings.proposed) {
        (Some(server), _) => output::line(&printable(server))?,
        (None, Some(public)) => output::line(&format!(
            "none; the account came with {public}, which is not asked before you say so: baraza \
             name server default"
        ))?,
        (None, None) => output::line(
            "none: nobody is asked for names (baraza name server names.example.com, or default)",
        )?,
    }
    if settings
        .server
        .as_ref()
        .is_some_and(|url| url.starts_with("http://"))
    {
        output::line("over http: who is on the way can read and change what is asked")?;
    }
    if settings.only_signed {
        output::line("answers without the owner's signature are refused")?;
    }
    Ok(())
}
