//! From settings to a working [`App`], in the order that writes nothing until everything that can be wrong has been looked
//! at: settings, master keys, database, whether the keys open; only then migrations and new keys.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use secrecy::ExposeSecret;

use crate::app::App;
use crate::clock::Clock;
use crate::flows::keys::{
    CheckMasterKeysError, LoadKeyringError, NewKeyError, STORED_SECRETS, check_master_keys,
    create_first_keys, load_keyring, recall_last_good, sync_clock, warn_of_lost_sessions,
};
use crate::keys::{KeyFactory, MasterKey, MasterKeyError, MasterKeys};
use crate::settings::{MasterKeySource, Settings};
use crate::store::{ConnectError, DatabaseOptions, Db, MigrationError, StoreError, is_migrated, migrate};
use crate::tls::TlsError;

/// Why there is nothing to start. The messages are for whoever starts it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("keys.master_keys: {0}")]
    MasterKeys(MasterKeyError),
    #[error("master key file {}: {}", .0.display(), .1)]
    MasterKeyFile(PathBuf, MasterKeyError),
    #[error("master key file {}: {}", .0.display(), .1)]
    MasterKeyIo(PathBuf, #[source] io::Error),
    #[error(
        "there is no master key file at {}; every node needs the same one. Make it once with \
         `chancery keys new-master --out FILE`", .0.display()
    )]
    MasterKeyFileMissing(PathBuf),
    #[error("{0}\nNothing was changed. Give the master key this database was sealed with.")]
    WrongMasterKey(#[source] CheckMasterKeysError),
    #[error("the database is not at this version's schema; run `chancery migrate`, or start the server once")]
    NotMigrated,
    #[error("the database is empty, although this node has served signing keys; is it the right one?")]
    NotItsDatabase,
    #[error(transparent)]
    Migration(#[from] MigrationError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
    #[error(transparent)]
    Keyring(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What the start did, for the operator's eyes.
#[derive(Debug, Default)]
pub struct StartReport {
    pub migrations: usize,
    pub master_key_made: Option<PathBuf>,
    pub keys_made: bool,
    /// Why the database is away, when the node serves the key set kept from before.
    pub database_away: Option<String>,
}

/// Makes everything a server needs: the embedded database and its master key on first start, the schema, the first keys.
pub async fn start_server_app(
    settings: Settings,
    clock: Clock,
    key_factory: KeyFactory,
) -> Result<(App, StartReport), StartError> {
    let mut report = StartReport::default();
    let mut master_keys = read_master_keys(&settings)?;
    // On a first start the key comes before the database: where it cannot be written, nothing is.
    if let (None, MasterKeySource::File(path), true) =
        (&master_keys, &settings.keys.master, is_first_start(&settings))
    {
        master_keys = Some(make_master_key(path)?);
        report.master_key_made = Some(path.clone());
    }
    let db = match connect(&settings, master_keys.is_some()).await {
        Err(away) if away.is_passing() => {
            return start_without_database(settings, clock, master_keys, key_factory, away.into());
        }
        connected => connected?,
    };
    let sealed_keys = match check(&db, master_keys.as_ref()).await {
        Err(away) if away.is_passing() => {
            return start_without_database(settings, clock, master_keys, key_factory, away);
        }
        checked => checked?,
    };
    let master_keys = match (master_keys, &settings.keys.master) {
        (Some(master_keys), _) => master_keys,
        // An embedded database that somebody migrated, and nobody has used yet.
        (None, MasterKeySource::File(path)) if is_embedded(&settings) && sealed_keys == 0 => {
            report.master_key_made = Some(path.clone());
            make_master_key(path)?
        }
        (None, source) => return Err(missing(source)),
    };
    let app = App::new(settings, clock, db, master_keys, key_factory)?;
    match prepare(&app, &mut report).await {
        Err(away) if away.is_passing() => report.database_away = Some(fall_back(&app, away)?),
        prepared => prepared?,
    }
    Ok((app, report))
}

/// Serves the key set kept from before, if there is one, and says why.
fn fall_back(app: &App, away: StartError) -> Result<String, StartError> {
    let Some(document) = recall_last_good(&app.settings, &app.master_keys) else { return Err(away) };
    app.last_good.store(Some(document.into()));
    tracing::error!(event = "started_without_database", error = %away, "serving the key set kept from before");
    Ok(away.to_string())
}

/// A node that restarts while the database is away goes on serving the key set it served last. Without one there is nothing
/// to serve, and the start fails.
fn start_without_database(
    settings: Settings,
    clock: Clock,
    master_keys: Option<MasterKeys>,
    key_factory: KeyFactory,
    away: StartError,
) -> Result<(App, StartReport), StartError> {
    let Some(master_keys) = master_keys.filter(|_| !is_embedded(&settings)) else { return Err(away) };
    let db = Db::connect_later(&database_options(&settings, false))?;
    let app = App::new(settings, clock, db, master_keys, key_factory)?;
    let database_away = Some(fall_back(&app, away)?);
    Ok((app, StartReport { database_away, ..StartReport::default() }))
}

/// What a node that was started without its database does when it is back.
pub async fn complete_start(app: &App) -> Result<(), StartError> {
    // It has served keys, so the database has some. One that has none is another database.
    if check(&app.db, Some(&app.master_keys)).await? == 0 {
        return Err(StartError::NotItsDatabase);
    }
    prepare(app, &mut StartReport::default()).await
}

async fn check(db: &Db, master_keys: Option<&MasterKeys>) -> Result<usize, StartError> {
    check_master_keys(db, STORED_SECRETS, master_keys).await.map_err(|error| match error {
        CheckMasterKeysError::Store(error) => StartError::Store(error),
        wrong @ CheckMasterKeysError::Seal(_) => StartError::WrongMasterKey(wrong),
    })
}

/// The schema, the first keys, this node's view of them.
async fn prepare(app: &App, report: &mut StartReport) -> Result<(), StartError> {
    report.migrations = migrate(&app.db).await?;
    sync_clock(app).await?;
    warn_of_lost_sessions(app).await?;
    report.keys_made = create_first_keys(app).await?;
    load_keyring(app).await?;
    app.hasher.warm_up().await;
    app.finish_start();
    Ok(())
}

impl StartError {
    /// Whether the database is away, and trying again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_passing(),
            Self::Store(StoreError::Unavailable(_))
            | Self::Migration(MigrationError::Store(StoreError::Unavailable(_)))
            | Self::NewKey(NewKeyError::Store(StoreError::Unavailable(_)))
            | Self::Keyring(LoadKeyringError::Store(StoreError::Unavailable(_))) => true,
            _ => false,
        }
    }
}

/// Opens what a command works on: a database that exists and is up to date, whose keys these master keys open. Keys sealed by
/// another would be of no use to the servers.
pub async fn start_command_app(settings: Settings) -> Result<App, StartError> {
    open_command_app(settings, true).await
}

/// The same without the check, for an operator who has lost the master key and continues with a new one.
pub async fn start_with_new_master_key(settings: Settings) -> Result<App, StartError> {
    open_command_app(settings, false).await
}

async fn open_command_app(settings: Settings, must_open: bool) -> Result<App, StartError> {
    let master_keys = read_master_keys(&settings)?.ok_or_else(|| missing(&settings.keys.master))?;
    let db = connect(&settings, false).await?;
    if !is_migrated(&db).await? {
        return Err(StartError::NotMigrated);
    }
    if must_open {
        check(&db, Some(&master_keys)).await?;
    }
    let key_factory = KeyFactory::new(settings.keys.plan);
    let app = App::new(settings, Clock::system(), db, master_keys, key_factory)?;
    sync_clock(&app).await?;
    Ok(app)
}

/// Brings the schema up to date and does nothing else. Makes the embedded database if it is not there. Returns how many
/// migrations were run.
pub async fn migrate_database(settings: &Settings) -> Result<usize, StartError> {
    let db = connect(settings, true).await?;
    Ok(migrate(&db).await?)
}

/// Connects as the settings say.
async fn connect(settings: &Settings, create: bool) -> Result<Db, ConnectError> {
    Db::connect(&database_options(settings, create)).await
}

fn database_options(settings: &Settings, create: bool) -> DatabaseOptions<'_> {
    DatabaseOptions {
        url: settings.database.url.expose_secret(),
        pool_size: settings.database.pool_size,
        acquire_timeout: settings.database.acquire_timeout,
        transaction_pooling: settings.database.transaction_pooling,
        create,
    }
}

fn is_embedded(settings: &Settings) -> bool {
    Db::sqlite_path(settings.database.url.expose_secret()).is_some()
}

fn is_first_start(settings: &Settings) -> bool {
    Db::sqlite_path(settings.database.url.expose_secret()).is_some_and(|path| !path.exists())
}

fn missing(source: &MasterKeySource) -> StartError {
    match source {
        MasterKeySource::File(path) => StartError::MasterKeyFileMissing(path.clone()),
        MasterKeySource::Given(_) => StartError::MasterKeys(MasterKeyError::None),
    }
}

/// `None` when the configured file is not there.
fn read_master_keys(settings: &Settings) -> Result<Option<MasterKeys>, StartError> {
    match &settings.keys.master {
        MasterKeySource::Given(keys) => {
            let keys = MasterKeys::parse(keys.iter().map(ExposeSecret::expose_secret));
            keys.map(Some).map_err(StartError::MasterKeys)
        }
        MasterKeySource::File(path) => match fs::read_to_string(path).map(zeroize::Zeroizing::new) {
            Ok(text) => {
                warn_if_open_to_others(path);
                let keys = MasterKeys::parse(text.lines());
                keys.map(Some).map_err(|error| StartError::MasterKeyFile(path.clone(), error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StartError::MasterKeyIo(path.clone(), error)),
        },
    }
}

/// Makes a master key file. If another process has just made it, that one is taken.
fn make_master_key(path: &Path) -> Result<MasterKeys, StartError> {
    let bad = |error| StartError::MasterKeyFile(path.to_owned(), error);
    let key = MasterKey::generate().map_err(bad)?;
    match write_master_key(path, &key) {
        Ok(()) => Ok(MasterKeys::single(key)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text =
                fs::read_to_string(path).map_err(|error| StartError::MasterKeyIo(path.to_owned(), error))?;
            MasterKeys::parse(text.lines()).map_err(bad)
        }
        Err(error) => Err(StartError::MasterKeyIo(path.to_owned(), error)),
    }
}

/// Writes a key file, readable by its owner only. Never overwrites one, and nobody ever sees half of one.
pub fn write_master_key(path: &Path, key: &MasterKey) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // A temporary file has mode 0600 and keeps it.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(key.to_line().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    // The name must survive a power cut as well as the bytes.
    fs::File::open(folder)?.sync_all()
}

fn warn_if_open_to_others(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(event = "master_key_readable", %path, "others may read the master key file; chmod 600 it");
    }
}
