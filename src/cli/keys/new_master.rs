use std::path::PathBuf;

use crate::cli::{Failure, failed};
use crate::keys::MasterKey;
use crate::start::write_master_key;

pub fn run(out: Option<PathBuf>) -> Result<(), Failure> {
    let key = MasterKey::generate().map_err(failed)?;
    match out {
        None => print!("{}", *key.to_line()),
        Some(path) => {
            write_master_key(&path, &key).map_err(|error| failed(format!("{}: {error}", path.display())))?;
            println!(
                "{} holds master key {}. Give it to every node, and keep a copy.",
                path.display(),
                key.id()
            );
        }
    }
    Ok(())
}
