use std::io::IsTerminal;

use super::print_table;
use super::timeline::draw;
use crate::cli::{Failure, Output, failed, open, print_json};
use crate::flows::keys::list_keys;
use crate::settings::Settings;
use crate::views::rfc3339;

pub async fn run(settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let view = list_keys(&app).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    print_table(&view.keys);
    println!("\nThe schedule rotates at {}.", rfc3339(view.next_rotation_at));
    if std::io::stdout().is_terminal() {
        println!("\n{}", draw(&view, app.clock.now()));
    }
    Ok(())
}
