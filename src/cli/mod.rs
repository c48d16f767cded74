//! The command line: one file per command. Commands call flows, as HTTP does.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod client_flags;
mod clients;
mod config;
mod healthcheck;
mod keys;
mod migrate;
mod openapi;
mod password;
mod probe;
mod revoke_all;
mod serve;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use clap::{Parser, Subcommand, ValueEnum};
use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use serde::Serialize;

use crate::app::App;
use crate::settings::{Settings, SettingsError};
use crate::start::start_command_app;

/// A standalone auth server: signed tokens any service verifies offline, and keys that rotate without breaking anyone.
#[derive(Parser)]
#[command(name = "chancery", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings that override the built-in config/default.toml.
    #[arg(long, global = true, value_name = "FILE", env = "CHANCERY_CONFIG")]
    config: Option<PathBuf>,
    /// How to print results.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Bring the database's schema up to date, without serving.
    Migrate,
    /// Look at signing keys; rotate, revoke, import and export them; change the master key.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Revoke all sessions and all signing keys: after a restored backup, or a theft of unknown extent.
    RevokeAll(revoke_all::RevokeAllArgs),
    /// Make and manage accounts.
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Register and manage OAuth clients: applications users sign in to, and services.
    #[command(subcommand)]
    Clients(clients::ClientsCommand),
    /// Check or show the settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Send a live service good and forged tokens, and tell which it gets wrong and how fast it follows a change of keys.
    Probe(probe::ProbeArgs),
    /// Ask the server on this machine whether it is ready.
    Healthcheck,
    /// Print the API's description (OpenAPI).
    Openapi,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Usage(String),
    /// Exit code 1.
    Failed(String),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(format!("configuration: {error}"))
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// Runs the command and says how it went.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = actix_web::rt::System::new().block_on(dispatch(cli));
    let (message, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Usage(message)) => (message, 2),
    };
    eprintln!("chancery: {message}");
    ExitCode::from(code)
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { command, config, output } = cli;
    let settings = || Settings::from_process(config.as_deref());
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(settings()?).await,
        Command::Migrate => migrate::run(&settings()?).await,
        Command::Keys(command) => keys::run(command, settings, output).await,
        Command::Users(command) => users::run(command, settings()?, output).await,
        Command::Clients(command) => clients::run(command, settings()?, output).await,
        Command::RevokeAll(args) => revoke_all::run(args, settings()?, output).await,
        Command::Config(command) => config::run(&command, config.as_deref()),
        Command::Probe(args) => probe::run(args, settings()?, output).await,
        Command::Healthcheck => healthcheck::run(&settings()?).await,
        Command::Openapi => openapi::run(),
    }
}

/// A client for one kind of address. TLS needs the machine's certificates and fails where there are none, as in a bare
/// container; plain HTTP must work there too.
fn http_client(scheme: &str, timeout: Duration) -> ClientBuilder {
    let builder = ClientBuilder::new().timeout(timeout).redirect(Policy::none());
    if scheme == "https" { builder } else { builder.tls_certs_only([]) }
}

/// What a command that works on the database needs.
async fn open(settings: Settings) -> Result<App, Failure> {
    start_command_app(settings).await.map_err(failed)
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value).map_err(failed)?);
    Ok(())
}

/// A duration argument in whole seconds.
fn parse_span(text: &str) -> Result<TimeDelta, &'static str> {
    let span = humantime::parse_duration(text).ok().filter(|span| span.subsec_nanos() == 0);
    let span = span.and_then(|span| TimeDelta::from_std(span).ok());
    span.ok_or("must be a duration in whole seconds, such as 30s, 5m or 24h")
}
