//! Opening the database: folder, lock, SQLite's version, pragmas, migrations, the log's head and tree.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlSafeStr as _, SqlitePool};

use super::{StoreError, batch, log, schema, snapshot, tree};
use crate::audit::{Frontier, Head};

/// Below this a WAL reset can corrupt the file (SQLite's release notes of 3.51.3).
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// How many readers at once.
const READERS: u32 = 8;

/// An open database, before its writer runs.
pub(super) struct Opened {
    pub connection: SqliteConnection,
    /// Its triggers, all of them ours.
    pub triggers: String,
    pub readers: SqlitePool,
    /// Held as long as the writer lives.
    pub lock: File,
    pub head: Head,
    /// The right edge of the log's tree.
    pub frontier: Frontier,
}

pub(super) async fn open(folder: &Path) -> Result<Opened, StoreError> {
    let lock = lock(folder)?;
    let file = folder.join("placet.db");
    only_ours(&file)?;
    fits_its_wal(folder, &file)?;
    settle(&folder.join("placet.db-wal"))?;
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous())
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF")
        // What is deleted or moved leaves zeros behind: only so does erasing an argument take its bytes out of the file.
        .pragma("secure_delete", "ON");
    let writer = options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", WAL_PAGES);
    let mut connection = writer.connect().await.map_err(|e| snapshot::unreadable(folder, e))?;
    check_version(&mut connection).await?;
    migrate(&mut connection, &file).await?;
    let triggers = schema::check(&mut connection, folder).await?;
    batch::prepare(&mut connection, &triggers).await?;
    let head = log::head(&mut connection).await?;
    let frontier = tree::load(&mut connection, u64::try_from(head.seq).unwrap_or(0)).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .connect_with(options.read_only(true).create_if_missing(false))
        .await?;
    Ok(Opened { connection, triggers, readers, lock, head, frontier })
}

/// The writer's page cache, in KiB as SQLite writes it: the upper levels of every index of some millions of calls.
const WRITER_CACHE: &str = "-65536";

/// After so many pages, 16 MB, SQLite's log is copied into the database. Pages that every write touches are then copied
/// once for many writes, which is most of what a long history would cost a new call.
const WAL_PAGES: &str = "4000";

/// Every commit is synced before it is answered.
fn synchronous() -> SqliteSynchronous {
    // The power-loss test shows with it that it would notice.
    #[cfg(feature = "failpoints")]
    match std::env::var("PLACET_SYNCHRONOUS").as_deref() {
        Ok("off") => return SqliteSynchronous::Off,
        Ok("normal") => return SqliteSynchronous::Normal,
        _ => {}
    }
    SqliteSynchronous::Full
}

/// Takes the folder for this process, creating it for this user alone.
fn lock(folder: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let refuse = |problem: String| StoreError::Folder { path: folder.to_owned(), problem };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| refuse(problem(&e)))?;
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(folder.join("placet.lock")).map_err(|e| refuse(problem(&e)))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(e)) => Err(refuse(problem(&e))),
    }
}

/// The database holds what agents sent: no other user reads it. Before SQLite opens it, since its side files get the
/// mode that it has then.
fn only_ours(file: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let refuse = |e: io::Error| StoreError::Folder { path: file.to_owned(), problem: problem(&e) };
    File::options().create(true).append(true).mode(0o600).open(file).map_err(refuse)?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).map_err(refuse)
}

/// Refuses the write-ahead log of another database, which SQLite would write over a copy that was put in its place. A
/// copy does not say in its header that it has one, and a database that has one does.
fn fits_its_wal(folder: &Path, file: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::FileExt as _;
    /// SQLite's file format: byte 18 is 2 where a write-ahead log is used, 1 where not.
    const VERSION_AT: u64 = 18;
    let refuse = |problem: String| StoreError::Folder { path: folder.to_owned(), problem };
    let wal = match std::fs::metadata(folder.join("placet.db-wal")) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(refuse(problem(&error))),
    };
    let mut version = [0];
    let read = File::open(file).and_then(|file| file.read_at(&mut version, VERSION_AT));
    let whole = read.map_err(|e| refuse(problem(&e)))? == 1;
    if wal > 0 && whole && version[0] == 1 {
        return Err(refuse(
            "holds a placet.db-wal that belongs to the database that placet.db was put in place of, and would damage \
             it; move placet.db-wal and placet.db-shm away, and start again"
                .into(),
        ));
    }
    Ok(())
}

/// Writes what lies in SQLite's write-ahead log once more, and syncs it.
///
/// Where the last process ended after a sync that had failed, the log may hold transactions that only the system's
/// memory has, marked as written: SQLite would take them for committed, build on them, and a power cut would take all
/// of it. The same bytes at the same places harm nothing, whenever this is cut off.
fn settle(wal: &Path) -> Result<(), StoreError> {
    let again = || -> io::Result<()> {
        let file = match File::options().read(true).write(true).open(wal) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut piece = vec![0; 1 << 20];
        let mut at = 0;
        loop {
            let length = file.read_at(&mut piece, at)?;
            if length == 0 {
                return file.sync_all();
            }
            file.write_all_at(&piece[..length], at)?;
            at += length as u64;
        }
    };
    again().map_err(|e| StoreError::Folder { path: wal.to_owned(), problem: problem(&e) })
}

fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "cannot be used by this user; give it the right to write there, or set another data_dir".into()
        }
        io::ErrorKind::ReadOnlyFilesystem => "is on a read-only file system; set another data_dir".into(),
        io::ErrorKind::StorageFull => "is on a full disk; make room there first".into(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "is not a folder; move that file away, or set another data_dir".into()
        }
        _ => format!("cannot be used: {error}"),
    }
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *connection).await?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0_u32));
    let parts: [u32; 3] = std::array::from_fn(|_| parts.next().unwrap_or(0));
    if parts < OLDEST_SQLITE { Err(StoreError::OldSqlite(version)) } else { Ok(()) }
}

/// The schema's history, embedded. A file that has landed is never edited: the next change is the next file.
fn migrations() -> Vec<Migration> {
    let files = [
        (1, "calls", include_str!("../../migrations/0001_calls.sql")),
        (2, "identity", include_str!("../../migrations/0002_identity.sql")),
        (3, "outbox", include_str!("../../migrations/0003_outbox.sql")),
        (4, "meta", include_str!("../../migrations/0004_meta.sql")),
        (5, "hold_seal", include_str!("../../migrations/0005_hold_seal.sql")),
        (6, "checkpoints", include_str!("../../migrations/0006_checkpoints.sql")),
        (7, "redaction", include_str!("../../migrations/0007_redaction.sql")),
        (8, "restored", include_str!("../../migrations/0008_restored.sql")),
        (9, "seals", include_str!("../../migrations/0009_seals.sql")),
        (10, "findings", include_str!("../../migrations/0010_findings.sql")),
        (11, "open_calls", include_str!("../../migrations/0011_open_calls.sql")),
        (12, "holds", include_str!("../../migrations/0012_holds.sql")),
        (13, "fewer_pages", include_str!("../../migrations/0013_fewer_pages.sql")),
        (14, "limit_counters", include_str!("../../migrations/0014_limit_counters.sql")),
        (15, "tool_pins", include_str!("../../migrations/0015_tool_pins.sql")),
        (16, "policies", include_str!("../../migrations/0016_policies.sql")),
        (17, "standing", include_str!("../../migrations/0017_standing.sql")),
    ];
    files
        .map(|(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .into()
}

/// The number of the newest schema that this program knows.
pub(super) fn newest() -> i64 {
    migrations().iter().map(|migration| migration.version).max().unwrap_or(0)
}

pub(super) async fn migrate(connection: &mut SqliteConnection, file: &Path) -> Result<(), StoreError> {
    match Migrator::with_migrations(migrations()).run_direct(None, connection, false).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)) => {
            Err(StoreError::Newer(file.to_owned()))
        }
        Err(error) => Err(StoreError::Folder {
            path: file.to_owned(),
            problem: format!("could not be brought to this version's schema: {error}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::migrations;

    #[test]
    fn every_file_of_the_folder_is_applied_in_its_order() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut there: Vec<_> = names.filter(|name| name.ends_with(".sql")).collect();
        there.sort();
        let applied: Vec<_> =
            migrations().iter().map(|one| format!("{:04}_{}.sql", one.version, one.description)).collect();
        assert_eq!(applied, there);
    }
}
