use std::path::Path;

use clap::Subcommand;

use super::Failure;
use crate::settings;
use crate::settings::Settings;
use crate::tls::Certificates;

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Say whether the settings are good.
    Check,
    /// Print the settings in force, without secrets.
    Show,
}

pub fn run(command: &ConfigCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let settings = Settings::from_process(file)?;
            if let Some(files) = settings.server.tls {
                Certificates::load(files).map_err(|error| Failure::Usage(error.to_string()))?;
            }
            println!("The settings are good.");
        }
        ConfigCommand::Show => print!("{}", settings::show(file, settings::process_environment())?),
    }
    Ok(())
}
