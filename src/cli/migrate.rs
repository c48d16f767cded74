use super::{Failure, failed};
use crate::settings::Settings;
use crate::start::migrate_database;

pub async fn run(settings: &Settings) -> Result<(), Failure> {
    match migrate_database(settings).await.map_err(failed)? {
        0 => println!("The schema is up to date."),
        count => println!("{count} migrations run; the schema is up to date."),
    }
    Ok(())
}
