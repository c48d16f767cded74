use std::io::Write;
use std::path::Path;
use std::{fs, io};

use crate::app::App;
use crate::keys::{JwksDocument, MasterKeys, keep, recall};
use crate::settings::Settings;

/// Writes the key set that is served to its file, for a restart while the database is away. Nobody ever sees half of it.
pub fn keep_last_good(app: &App, document: &JwksDocument) -> io::Result<()> {
    let Some(path) = &app.settings.keys.jwks_cache_file else { return Ok(()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(keep(&app.master_keys, &app.settings.server.issuer, document).as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The key set that was served last, if there is one and this server wrote it.
pub fn recall_last_good(settings: &Settings, master_keys: &MasterKeys) -> Option<JwksDocument> {
    let text = fs::read_to_string(settings.keys.jwks_cache_file.as_ref()?).ok()?;
    recall(master_keys, &settings.server.issuer, &text)
}
