use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, Output, failed, open, print_json};
use crate::app::App;
use crate::domain::accounts::Authority;
use crate::domain::clients::{
    Client, ClientAuthMethod, ClientChange, ClientKeys, GrantType, InvalidClient, LogoutUri, RedirectUri,
};
use crate::domain::operations::AuditContext;
use crate::domain::{ClientId, DisplayName, Scope};
use crate::flows::clients::{
    CreateClient, CreateClientError, RotateClientSecretError, RotatedSecret, UpdateClientError,
    create_client, delete_client, get_client, list_clients, read_client_keys, rotate_client_secret,
    update_client,
};
use crate::settings::Settings;
use crate::views::{ClientSecretView, ClientView, RegisteredClientView, rfc3339};

#[derive(Subcommand)]
pub enum ClientsCommand {
    /// Register a client. Its secret is shown once.
    Create(CreateArgs),
    /// Show all clients.
    List,
    /// Show a client.
    Show(WhichArgs),
    /// Change a client. What is not named stays as it is; a list that is named is replaced.
    Update(UpdateArgs),
    /// Remove a client and end its sessions.
    Delete(DeleteArgs),
    /// Give a client a new secret. It is shown once.
    RotateSecret(RotateArgs),
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub struct CreateArgs {
    /// What it calls itself at the server; made when left out.
    #[arg(long, value_parser = ClientId::parse)]
    id: Option<ClientId>,
    /// What users are told.
    #[arg(long, value_parser = DisplayName::parse)]
    name: DisplayName,
    /// A client that cannot keep a secret: an app on a phone, a page in a browser.
    #[arg(long, conflicts_with = "auth_method")]
    public: bool,
    /// How it proves who it is: `client_secret_basic` (the default), `client_secret_post`, `private_key_jwt` or `none`.
    #[arg(long, value_name = "METHOD", value_parser = parse_auth_method)]
    auth_method: Option<ClientAuthMethod>,
    /// The public keys of a client that signs (`private_key_jwt`): a JWK Set.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    lists: Lists,
    #[command(flatten)]
    lives: Lives,
    #[command(flatten)]
    logout: Logout,
    /// Do not ask users before it gets anything: for an application of your own.
    #[arg(long)]
    no_consent: bool,
    /// Take its OpenID Connect requests without PKCE, too, if they bring a nonce: for old software.
    #[arg(long)]
    no_pkce: bool,
    /// Take only requests that it has pushed (RFC 9126).
    #[arg(long)]
    par: bool,
    /// Give it no access token that is not bound to a key of its own (DPoP, RFC 9449).
    #[arg(long)]
    dpop: bool,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub struct UpdateArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[arg(long, value_parser = DisplayName::parse)]
    name: Option<DisplayName>,
    /// New public keys in the place of those it has: a JWK Set.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    lists: Lists,
    /// Forget all addresses to return to after signing out.
    #[arg(long, conflicts_with = "post_logout_redirect_uris")]
    no_post_logout_redirect_uri: bool,
    /// Back to the server's `tokens.audience`.
    #[arg(long, conflicts_with = "audiences")]
    no_audience: bool,
    /// Let it exchange tokens for no service any more.
    #[arg(long, conflicts_with = "exchange_audiences")]
    no_exchange_audience: bool,
    #[command(flatten)]
    lives: Lives,
    #[command(flatten)]
    logout: Logout,
    /// Do not tell it any more that sessions have ended.
    #[arg(long, conflicts_with = "backchannel_logout_uri")]
    no_backchannel_logout_uri: bool,
    /// Back to the server's `tokens.access_token_ttl`.
    #[arg(long, conflicts_with = "access_token_life")]
    no_access_token_life: bool,
    /// Back to the server's `sessions.refresh_grace`.
    #[arg(long, conflicts_with = "refresh_grace")]
    no_refresh_grace: bool,
    #[arg(long, conflicts_with = "no_consent")]
    consent: bool,
    #[arg(long)]
    no_consent: bool,
    #[arg(long, conflicts_with = "no_pkce")]
    pkce: bool,
    #[arg(long)]
    no_pkce: bool,
    #[arg(long, conflicts_with = "no_par")]
    par: bool,
    #[arg(long)]
    no_par: bool,
    #[arg(long, conflicts_with = "no_dpop")]
    dpop: bool,
    #[arg(long)]
    no_dpop: bool,
}

#[derive(Args)]
struct Lists {
    /// Where users may be sent back to; may be repeated.
    #[arg(long = "redirect-uri", value_name = "URI", value_parser = RedirectUri::parse)]
    redirect_uris: Vec<RedirectUri>,
    /// Where users may be sent when they have signed out; may be repeated.
    #[arg(long = "post-logout-redirect-uri", value_name = "URI", value_parser = RedirectUri::parse)]
    post_logout_redirect_uris: Vec<RedirectUri>,
    /// By what it gets tokens: `authorization_code`, `refresh_token`, `client_credentials`,
    /// `urn:ietf:params:oauth:grant-type:device_code` (or `device_code`), or
    /// `urn:ietf:params:oauth:grant-type:token-exchange` (or `token-exchange`); may be repeated.
    #[arg(long = "grant", value_name = "GRANT", value_parser = parse_grant)]
    grants: Vec<GrantType>,
    /// What it may ask for; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = Scope::parse)]
    scopes: Vec<Scope>,
    /// Whom its tokens may be for; may be repeated.
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// The services for which it may exchange its users' tokens; may be repeated.
    #[arg(long = "exchange-audience", value_name = "AUDIENCE")]
    exchange_audiences: Vec<String>,
}

#[derive(Args)]
struct Lives {
    /// How long its access tokens live, such as 5m; at most the server's.
    #[arg(long, value_name = "LIFE", value_parser = parse_span)]
    access_token_life: Option<TimeDelta>,
    /// How long a refresh token that was used is forgiven, such as 0s.
    #[arg(long, value_name = "GRACE", value_parser = parse_span)]
    refresh_grace: Option<TimeDelta>,
}

#[derive(Args)]
struct Logout {
    /// Where it is told that a session of its has ended (OpenID Connect Back-Channel Logout).
    #[arg(long, value_name = "URI", value_parser = LogoutUri::parse)]
    backchannel_logout_uri: Option<LogoutUri>,
    /// Whether it needs `sid` to know which; it is told in any case.
    #[arg(long, value_name = "BOOL")]
    backchannel_logout_session_required: Option<bool>,
}

#[derive(Args)]
pub struct WhichArgs {
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
}

#[derive(Args)]
pub struct DeleteArgs {
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
    /// Says what it would end, and changes nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub struct RotateArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// How long earlier secrets are good; 0s to 30d.
    #[arg(long, default_value = "24h", value_parser = parse_span)]
    overlap: TimeDelta,
}

pub async fn run(command: ClientsCommand, settings: Settings, output: Output) -> Result<(), Failure> {
    let keys = match &command {
        ClientsCommand::Create(CreateArgs { jwks, .. }) | ClientsCommand::Update(UpdateArgs { jwks, .. }) => {
            jwks.as_deref().map(read_keys).transpose()?
        }
        _ => None,
    };
    let app = open(settings).await?;
    let context = AuditContext::operator();
    match command {
        ClientsCommand::Create(args) => create(&app, args, keys, context, output).await,
        ClientsCommand::List => list(&app, output).await,
        ClientsCommand::Show(which) => {
            print_client(&get_client(&app, &which.id).await.map_err(failed)?, output)
        }
        ClientsCommand::Update(args) => update(&app, args, keys, &context, output).await,
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

async fn create(
    app: &App,
    args: CreateArgs,
    keys: Option<ClientKeys>,
    context: AuditContext,
    output: Output,
) -> Result<(), Failure> {
    let auth_method = match args.public {
        true => ClientAuthMethod::None,
        false => args.auth_method.unwrap_or(ClientAuthMethod::SecretBasic),
    };
    let change = ClientChange {
        keys,
        access_token_ttl: args.lives.access_token_life.map(Some),
        refresh_grace: args.lives.refresh_grace.map(Some),
        require_pkce: args.no_pkce.then_some(false),
        require_consent: args.no_consent.then_some(false),
        backchannel_logout_uri: args.logout.backchannel_logout_uri.map(Some),
        backchannel_logout_session_required: args.logout.backchannel_logout_session_required,
        require_pushed: args.par.then_some(true),
        dpop_bound_access_tokens: args.dpop.then_some(true),
        ..args.lists.into_change()
    };
    let wanted = CreateClient {
        id: args.id,
        name: args.name,
        auth_method,
        change,
        authority: Authority::Unlimited,
        context,
    };
    let made = create_client(app, wanted).await;
    let (client, secret) = made.map_err(|error| match error {
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
        None if client.is_public() => println!("It is a public client and has no secret."),
        None => println!("It proves who it is by its own keys and has no secret."),
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
    println!("{:<24}  {:<19}  {:<50}  NAME", "ID", "PROVES ITSELF BY", "GETS TOKENS BY");
    for client in &clients {
        let (method, grants) = (client.auth_method.as_str(), grants_of(client));
        println!("{:<24}  {method:<19}  {grants:<50}  {}", client.id.as_str(), client.name.as_str());
    }
    Ok(())
}

async fn update(
    app: &App,
    args: UpdateArgs,
    keys: Option<ClientKeys>,
    context: &AuditContext,
    output: Output,
) -> Result<(), Failure> {
    let from_lists = args.lists.into_change();
    let no_uris = args.no_post_logout_redirect_uri.then(Vec::new);
    let no_audience = args.no_audience.then(Vec::new);
    let no_exchange = args.no_exchange_audience.then(Vec::new);
    let change = ClientChange {
        name: args.name,
        keys,
        post_logout_redirect_uris: no_uris.or(from_lists.post_logout_redirect_uris),
        audiences: no_audience.or(from_lists.audiences),
        exchange_audiences: no_exchange.or(from_lists.exchange_audiences),
        access_token_ttl: args
            .lives
            .access_token_life
            .map(Some)
            .or(args.no_access_token_life.then_some(None)),
        refresh_grace: args.lives.refresh_grace.map(Some).or(args.no_refresh_grace.then_some(None)),
        require_pkce: either(args.pkce, args.no_pkce),
        require_consent: either(args.consent, args.no_consent),
        backchannel_logout_uri: args
            .logout
            .backchannel_logout_uri
            .map(Some)
            .or(args.no_backchannel_logout_uri.then_some(None)),
        backchannel_logout_session_required: args.logout.backchannel_logout_session_required,
        require_pushed: either(args.par, args.no_par),
        dpop_bound_access_tokens: either(args.dpop, args.no_dpop),
        ..from_lists
    };
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
    let life = |seconds: Option<i64>| seconds.map_or("the server's".to_owned(), |life| format!("{life} s"));
    let audience = if view.audience.is_empty() { "the server's".to_owned() } else { view.audience.join(" ") };
    for (name, value) in [
        ("client_id", view.client_id),
        ("client_name", view.client_name),
        ("token_endpoint_auth_method", client.auth_method.as_str().to_owned()),
        ("jwks", keys_of(client)),
        ("grant_types", grants_of(client)),
        ("redirect_uris", view.redirect_uris.join(" ")),
        ("post_logout_redirect_uris", view.post_logout_redirect_uris.join(" ")),
        ("scope", view.scope),
        ("audience", audience),
        ("access_token_life", life(view.access_token_life)),
        ("refresh_grace", life(view.refresh_grace)),
        ("require_pkce", view.require_pkce.to_string()),
        ("require_consent", view.require_consent.to_string()),
        ("backchannel_logout_uri", view.backchannel_logout_uri.unwrap_or_default()),
        ("backchannel_logout_session_required", view.backchannel_logout_session_required.to_string()),
        ("exchange_audiences", view.exchange_audiences.join(" ")),
        ("require_pushed_authorization_requests", view.require_pushed_authorization_requests.to_string()),
        ("dpop_bound_access_tokens", view.dpop_bound_access_tokens.to_string()),
        ("created_at", rfc3339(view.created_at)),
    ] {
        println!("{name:<37}  {value}");
    }
    Ok(())
}

/// By name; one without a name is counted.
fn keys_of(client: &Client) -> String {
    let Some(keys) = &client.keys else { return "none".to_owned() };
    let kids: Vec<&str> = keys.iter().map(|key| key.kid.as_deref().unwrap_or("(unnamed)")).collect();
    kids.join(" ")
}

fn grants_of(client: &Client) -> String {
    let grants: Vec<&str> = client.grant_types.iter().copied().map(GrantType::as_str).collect();
    grants.join(" ")
}

impl Lists {
    fn into_change(self) -> ClientChange {
        ClientChange {
            redirect_uris: named(self.redirect_uris),
            post_logout_redirect_uris: named(self.post_logout_redirect_uris),
            grant_types: named(self.grants).map(|grants| grants.into_iter().collect()),
            scopes: named(self.scopes).map(|scopes| scopes.into_iter().collect()),
            audiences: named(self.audiences),
            exchange_audiences: named(self.exchange_audiences),
            ..ClientChange::default()
        }
    }
}

/// A list that was named at all.
fn named<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn either(yes: bool, no: bool) -> Option<bool> {
    (yes || no).then_some(yes)
}

fn usage(error: InvalidClient) -> Failure {
    let flag = match error.member() {
        "grant_types" => "--grant",
        "redirect_uris" => "--redirect-uri",
        "post_logout_redirect_uris" => "--post-logout-redirect-uri",
        "token_endpoint_auth_method" => "--auth-method",
        "jwks" => "--jwks",
        "require_pkce" => "--no-pkce",
        "access_token_life" => "--access-token-life",
        "refresh_grace" => "--refresh-grace",
        "scope" => "--scope",
        "exchange_audiences" => "--exchange-audience",
        _ => "--audience",
    };
    Failure::Usage(format!("{flag}: {error}"))
}

/// What an operator has written down for a client.
fn read_keys(file: &Path) -> Result<ClientKeys, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("--jwks: {}: {error}", file.display())))?;
    let set = serde_json::from_str(&text)
        .map_err(|_| Failure::Usage(format!("--jwks: {}: it is no JSON", file.display())))?;
    read_client_keys(&set).map_err(|error| Failure::Usage(format!("--jwks: {error}")))
}

fn parse_auth_method(name: &str) -> Result<ClientAuthMethod, &'static str> {
    ClientAuthMethod::parse(name)
        .ok_or("must be client_secret_basic, client_secret_post, private_key_jwt or none")
}

fn parse_grant(name: &str) -> Result<GrantType, &'static str> {
    match name {
        "device_code" => Ok(GrantType::DeviceCode),
        "token-exchange" => Ok(GrantType::TokenExchange),
        _ => GrantType::parse(name).ok_or(
            "must be authorization_code, refresh_token, client_credentials, device_code or token-exchange",
        ),
    }
}

fn parse_span(text: &str) -> Result<TimeDelta, &'static str> {
    let span = humantime::parse_duration(text).ok().filter(|span| span.subsec_nanos() == 0);
    let span = span.and_then(|span| TimeDelta::from_std(span).ok());
    span.ok_or("must be a duration in whole seconds, such as 30s, 5m or 24h")
}
