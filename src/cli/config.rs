use std::path::Path;

use clap::Subcommand;

use super::Failure;
use crate::settings::{self, Settings};

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
            Settings::from_process(file)?;
            println!("The settings are good.");
        }
        ConfigCommand::Show => print!("{}", settings::show(file, settings::process_environment())?),
    }
    Ok(())
}
