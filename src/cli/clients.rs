use std::fmt::Display;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::client_flags::{ChangedSettings, NewSettings, name_of_flag, shown};
use super::{Failure, Output, failed, open, parse_span, print_json};
use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::Authority;
use crate::domain::clients::{
    Client, ClientAuthMethod, ClientChange, ClientSetting, GrantType, InvalidClient, SettingValues,
};
use crate::domain::operations::AuditContext;
use crate::flows::clients::{
    CreateClient, CreateClientError, RotateClientSecretError, RotatedSecret, UpdateClientError,
    create_client, delete_client, get_client, list_clients, rotate_client_secret, update_client,
};
use crate::settings::Settings;
use crate::views::{ClientSecretView, ClientView, RegisteredClientView, rfc3339};

#[derive(Subcommand)]
pub enum ClientsCommand {
    /// Create a client. The secret is shown once.
    Create(CreateArgs),
    /// List all clients.
    List,
    /// Show a client.
    Show(WhichArgs),
    /// Change the settings of a client. Absent settings keep their values; a list replaces the list before.
    Update(UpdateArgs),
    /// Delete a client and end its sessions.
    Delete(DeleteArgs),
    /// Create a new secret for a client. The secret is shown once.
    RotateSecret(RotateArgs),
}

#[derive(Args)]
pub struct CreateArgs {
    /// Client id; random when absent.
    #[arg(long, value_parser = ClientId::parse)]
    client_id: Option<ClientId>,
    /// A client that cannot keep a secret: an app on a phone, a page in a browser. The same as `--auth-method none`.
    #[arg(long, conflicts_with = "auth_method")]
    public: bool,
    /// How the client authenticates: `client_secret_basic` (the default), `client_secret_post`, `private_key_jwt` or `none`.
    #[arg(long, value_name = "METHOD", value_parser = parse_auth_method)]
    auth_method: Option<ClientAuthMethod>,
    #[command(flatten)]
    settings: NewSettings,
}

#[derive(Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    settings: ChangedSettings,
}

#[derive(Args)]
pub struct WhichArgs {
    /// Id of the client.
    #[arg(value_name = "CLIENT_ID", value_parser = ClientId::parse)]
    id: ClientId,
}

#[derive(Args)]
pub struct DeleteArgs {
    /// Id of the client.
    #[arg(value_name = "CLIENT_ID", value_parser = ClientId::parse)]
    id: ClientId,
    /// Show how many sessions would end, without a change.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub struct RotateArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// How long earlier secrets stay valid, from 0s to 30d.
    #[arg(long, default_value = "24h", value_parser = parse_span)]
    overlap: TimeDelta,
}

pub async fn run(command: ClientsCommand, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let context = AuditContext::operator();
    match command {
        ClientsCommand::Create(args) => create(&app, args, context, output).await,
        ClientsCommand::List => list(&app, output).await,
        ClientsCommand::Show(which) => {
            print_client(&get_client(&app, &which.id).await.map_err(failed)?, output)
        }
        ClientsCommand::Update(args) => update(&app, args, &context, output).await,
        ClientsCommand::Delete(args) => delete(&app, &args, &context, output).await,
        ClientsCommand::RotateSecret(args) => rotate(&app, args, &context, output).await,
    }
}

async fn delete(app: &App, args: &DeleteArgs, context: &AuditContext, output: Output) -> Result<(), Failure> {
    let DeleteArgs { id, dry_run } = args;
    let deleted = delete_client(app, id, &Authority::Unlimited, context, *dry_run).await;
    let sessions = deleted.map_err(failed)?;
    if output == Output::Json {
        return print_json(
            &serde_json::json!({ "client_id": id.as_str(), "sessions": sessions, "dry_run": dry_run }),
        );
    }
    match dry_run {
        true => println!("Nothing was changed. {id} would be removed. Sessions that would end: {sessions}"),
        false => println!("{id} is removed. Sessions that have ended: {sessions}"),
    }
    Ok(())
}

async fn create(app: &App, args: CreateArgs, context: AuditContext, output: Output) -> Result<(), Failure> {
    let auth_method = match args.public {
        true => ClientAuthMethod::None,
        false => args.auth_method.unwrap_or(ClientAuthMethod::SecretBasic),
    };
    let options = CreateClient {
        id: args.client_id,
        auth_method,
        change: parse_settings(args.settings.0)?,
        authority: Authority::Unlimited,
        context,
    };
    let created = create_client(app, options).await;
    let (client, secret) = created.map_err(|error| match error {
        CreateClientError::Invalid(error) => usage(error),
        other => failed(other),
    })?;
    let view = RegisteredClientView {
        client: ClientView::from(&client),
        client_secret: secret.map(|secret| secret.expose().to_owned()),
    };
    if output == Output::Json {
        return print_json(&view);
    }
    println!("client_id      {}", view.client.client_id);
    match view.client_secret {
        Some(secret) => print_secret(&secret),
        None if client.is_public() => println!("The client is public and has no secret."),
        None => println!("The client authenticates with its own keys and has no secret."),
    }
    Ok(())
}

async fn list(app: &App, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct All {
        clients: Vec<ClientView>,
    }

    let mut clients = Vec::new();
    let mut after = None;
    loop {
        let page = list_clients(app, after.as_ref(), 200).await.map_err(failed)?;
        clients.extend(page.clients);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if output == Output::Json {
        return print_json(&All { clients: clients.iter().map(ClientView::from).collect() });
    }
    println!("{:<24}  {:<19}  {:<50}  NAME", "CLIENT ID", "AUTH METHOD", "GRANT TYPES");
    for client in &clients {
        let (method, grants) = (client.auth_method.as_str(), grants_of(client));
        println!("{:<24}  {method:<19}  {grants:<50}  {}", client.id.as_str(), client.name.as_str());
    }
    Ok(())
}

async fn update(app: &App, args: UpdateArgs, context: &AuditContext, output: Output) -> Result<(), Failure> {
    let change = parse_settings(args.settings.0)?;
    let changed = update_client(app, &args.which.id, change, &Authority::Unlimited, context).await;
    let client = changed.map_err(|error| match error {
        UpdateClientError::Invalid(error) => usage(error),
        other => failed(other),
    })?;
    print_client(&client, output)
}

async fn rotate(app: &App, args: RotateArgs, context: &AuditContext, output: Output) -> Result<(), Failure> {
    let id = args.which.id;
    let rotated = rotate_client_secret(app, &id, args.overlap, &Authority::Unlimited, context).await;
    let RotatedSecret { secret, old_until } = rotated.map_err(|error| match error {
        RotateClientSecretError::Overlap => Failure::Usage(format!("--overlap: {error}")),
        other => failed(other),
    })?;
    let client_secret = secret.expose().to_owned();
    if output == Output::Json {
        return print_json(&ClientSecretView { client_id: id.to_string(), client_secret, old_until });
    }
    println!("client_id      {id}");
    print_secret(&client_secret);
    println!("Earlier secrets are good until {}.", rfc3339(old_until));
    Ok(())
}

fn print_secret(secret: &str) {
    println!("client_secret  {secret}");
    println!("The secret is not shown again.");
}

fn print_client(client: &Client, output: Output) -> Result<(), Failure> {
    let view = ClientView::from(client);
    if output == Output::Json {
        return print_json(&view);
    }
    let ours = [
        ("client_id", view.client_id),
        ("token_endpoint_auth_method", client.auth_method.as_str().to_owned()),
    ];
    let settings = ClientSetting::of_operators().map(|setting| (setting.name, shown(setting, client)));
    let age = [("created_at", rfc3339(view.created_at))];
    for (name, value) in ours.into_iter().chain(settings).chain(age) {
        println!("{name:<37}  {value}");
    }
    Ok(())
}

fn grants_of(client: &Client) -> String {
    let grants: Vec<&str> = client.grant_types.iter().copied().map(GrantType::as_str).collect();
    grants.join(" ")
}

fn parse_settings(values: SettingValues) -> Result<ClientChange, Failure> {
    values.parse().map_err(|error| wrong_usage(error.name, error.value.reason))
}

fn usage(error: InvalidClient) -> Failure {
    wrong_usage(error.member(), error)
}

fn wrong_usage(name: &str, reason: impl Display) -> Failure {
    let flag = ClientSetting::by_name(name).map_or("auth-method", name_of_flag);
    Failure::Usage(format!("--{flag}: {reason}"))
}

fn parse_auth_method(name: &str) -> Result<ClientAuthMethod, &'static str> {
    ClientAuthMethod::parse(name)
        .ok_or("must be client_secret_basic, client_secret_post, private_key_jwt or none")
}
