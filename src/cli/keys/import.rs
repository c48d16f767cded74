use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use super::print_table;
use crate::cli::{Failure, Output, failed, open, print_json};
use crate::domain::keys::SigningAlgorithm;
use crate::domain::operations::AuditContext;
use crate::flows::keys::{ImportKey, Placement, import_key};
use crate::keys::ImportOptions;
use crate::settings::Settings;

/// A key takes less; what is longer is no key.
const LONGEST: u64 = 64 * 1024 + 1;

#[derive(Args)]
pub struct ImportArgs {
    /// PEM (PKCS#8, PKCS#1, SEC1 or public), DER or JWK; `-` reads standard input.
    file: PathBuf,
    /// `next`: it is published now and signs from the next rotation on. `previous`: it only verifies what it signed elsewhere.
    #[arg(long = "as", value_enum)]
    place: Place,
    /// The kid services know it by. Otherwise the JWK's, otherwise its thumbprint.
    #[arg(long)]
    kid: Option<String>,
    /// RS256, PS256, ES256 or EdDSA. Otherwise the JWK's, otherwise the usual one of its kind.
    #[arg(long, value_parser = parse_algorithm)]
    alg: Option<SigningAlgorithm>,
    /// Longest lifetime of the tokens that the key signed elsewhere, such as "1h". The key stays published until the last of
    /// these tokens has expired. Required with `--as previous`; the default with `--as next` is `tokens.access_token_ttl`.
    #[arg(long, value_parser = parse_life, required_if_eq("place", "previous"))]
    token_ttl: Option<TimeDelta>,
    /// Only tell what would happen.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Next,
    Previous,
}

pub async fn run(args: ImportArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    let placement = match (args.place, args.token_ttl) {
        (Place::Previous, Some(token_ttl)) => Placement::Previous { token_ttl },
        (Place::Next, life) => {
            Placement::Next { token_ttl: life.unwrap_or(settings.tokens.access_token_ttl) }
        }
        (Place::Previous, None) => return Err(Failure::Usage("--as previous needs --token-ttl".to_owned())),
    };
    let request = ImportKey {
        file: read(&args.file).map_err(|error| failed(format!("{}: {error}", args.file.display())))?,
        options: ImportOptions { kid: args.kid, alg: args.alg },
        placement,
        dry_run: args.dry_run,
        context: AuditContext::operator(),
    };
    let app = open(settings).await?;
    let view = import_key(&app, request).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    println!("{}", if args.dry_run { "Nothing was changed. It would come in as:" } else { "Imported." });
    print_table(&[view]);
    if !args.dry_run && args.place == Place::Next {
        println!("\nThe private half is sealed in the database now; destroy {}.", args.file.display());
    }
    Ok(())
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    match path.as_os_str() == "-" {
        true => std::io::stdin().take(LONGEST).read_to_end(&mut bytes)?,
        false => std::fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

fn parse_algorithm(name: &str) -> Result<SigningAlgorithm, String> {
    SigningAlgorithm::parse(name).ok_or_else(|| "must be RS256, PS256, ES256 or EdDSA".to_owned())
}

fn parse_life(text: &str) -> Result<TimeDelta, String> {
    let longest = TimeDelta::days(366);
    let life = humantime::parse_duration(text).ok().and_then(|life| TimeDelta::from_std(life).ok());
    let life = life.filter(|life| *life >= TimeDelta::seconds(1) && *life <= longest);
    life.ok_or_else(|| "must be a duration such as \"15m\" or \"12h\", from 1s to 366d".to_owned())
}
