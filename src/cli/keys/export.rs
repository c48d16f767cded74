use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::{Failure, failed, open};
use crate::flows::keys::load_keyring;
use crate::settings::Settings;

/// The JWK Set exactly as the server serves it, for verifiers that cannot reach it.
pub async fn run(out: Option<PathBuf>, settings: Settings) -> Result<(), Failure> {
    let app = open(settings).await?;
    let keyring = load_keyring(&app).await.map_err(failed)?;
    let jwks = &keyring.jwks().body;
    match out {
        None => println!("{jwks}"),
        Some(path) => write(&path, jwks).map_err(|error| failed(format!("{}: {error}", path.display())))?,
    }
    Ok(())
}

/// Whoever reads the file sees the old set or the new one, never half of one.
fn write(path: &Path, jwks: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{jwks}")?;
    // Public keys are for everyone.
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
