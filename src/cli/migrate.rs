use super::{Failure, failed};
use crate::settings::Settings;
use crate::start::connect;
use crate::store::migrate;

pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let db = connect(settings, true).await.map_err(failed)?;
    match migrate(&db).await.map_err(failed)? {
        0 => println!("The schema is up to date."),
        count => println!("{count} migrations run; the schema is up to date."),
    }
    Ok(())
}
