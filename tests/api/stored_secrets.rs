//! Sealed columns: the list of them against the catalogue, and a column that a later feature could
//! declare.

use std::sync::Mutex;

use chancery::domain::operations::AuditContext;
use chancery::flows::keys::{RewrapKeysError, STORED_SECRETS, StoredSecrets, check_master_keys, rewrap_keys};
use chancery::keys::{MasterKeys, Purpose};
use chancery::store::keys::sealed_columns;
use chancery::store::keys::sealed_columns::{IdentityColumn, SealedColumn, SealedRow, SealedUnder};
use chancery::tokens::SecretKind;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::support::{Database, MASTER_KEY, TestApp, on_both};

const NEW: &str = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// A column as a later feature declares it. The table has the former name.
static TEST_COLUMN: SealedColumn = SealedColumn {
    table: "test_secrets",
    names: &["encrypted_secret", "secret"],
    identity: &[IdentityColumn::Uuid("user_id"), IdentityColumn::Text("name")],
};
static TEST_KIND: SecretKind = SecretKind::new("test secret", Purpose::new("chancery/v2/test-secret"));
static BOTH_COLUMNS: [StoredSecrets; 2] = [
    StoredSecrets { column: STORED_SECRETS[0].column, kind: STORED_SECRETS[0].kind, are_signing_keys: true },
    StoredSecrets { column: &TEST_COLUMN, kind: &TEST_KIND, are_signing_keys: false },
];

/// Columns of bytes whose contents are digests and MACs.
const UNSEALED: [&str; 5] = ["digest", "request_digest", "subject", "token_digest", "user_code"];

fn keys(lines: &[&str]) -> MasterKeys {
    MasterKeys::parse(lines.iter().copied()).unwrap()
}

fn literal(database: &Database, bytes: &[u8]) -> String {
    let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    match database {
        Database::Sqlite(_) => format!("x'{hex}'"),
        Database::Postgres { .. } => format!("'\\x{hex}'"),
    }
}

fn uuid_literal(database: &Database, id: Uuid) -> String {
    match database {
        Database::Sqlite(_) => literal(database, id.as_bytes()),
        Database::Postgres { .. } => format!("'{id}'"),
    }
}

/// A table with `number` secrets, sealed under the tests' master key.
async fn make_table(database: &Database, number: u128) {
    let (id, bytes) = match database {
        Database::Sqlite(_) => ("BLOB", "BLOB"),
        Database::Postgres { .. } => ("UUID", "BYTEA"),
    };
    let create = format!(
        "CREATE TABLE test_secrets (user_id {id} NOT NULL, name TEXT NOT NULL, secret {bytes}, master_key_id TEXT,
                                    PRIMARY KEY (user_id, name))"
    );
    database.execute(&create).await;
    let master_keys = keys(&[MASTER_KEY]);
    let rows: Vec<String> = (0..number)
        .map(|at| {
            let (user, secret) = (Uuid::from_u128(at), format!("secret {at}"));
            let sealed = TEST_KIND.seal(&master_keys, &[&user.to_string(), "n"], secret.as_bytes()).unwrap();
            let (user, bytes) = (uuid_literal(database, user), literal(database, &sealed.ciphertext));
            format!("({user}, 'n', {bytes}, '{}')", sealed.master_key_id)
        })
        .collect();
    let insert = "INSERT INTO test_secrets (user_id, name, secret, master_key_id) VALUES";
    database.execute(&format!("{insert} {}", rows.join(", "))).await;
    // A secret that was erased is no secret.
    let erased = uuid_literal(database, Uuid::from_u128(number + 1));
    database.execute(&format!("{insert} ({erased}, 'n', NULL, NULL)")).await;
}

async fn under(database: &Database, id: &str) -> i64 {
    database.count(&format!("SELECT count(*) FROM test_secrets WHERE master_key_id = '{id}'")).await
}

async fn rows_of(app: &TestApp) -> Vec<SealedRow> {
    let conn = &mut app.app.db.read().await.unwrap();
    let column = sealed_columns::find(conn, &TEST_COLUMN).await.unwrap().unwrap();
    sealed_columns::rows(conn, column, SealedUnder::AnyBut(""), 0, 1000).await.unwrap()
}

on_both! {
    async fn every_sealed_column_is_in_the_list_and_names_its_master_key(app: TestApp) {
        let columns = match &*app.database {
            Database::Sqlite(_) => "(SELECT t.name AS tab, c.name AS col, c.type AS kind FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table')",
            Database::Postgres { .. } => "(SELECT table_name AS tab, column_name AS col, data_type AS kind FROM information_schema.columns WHERE table_schema = 'public')",
        };
        let count = async |condition: &str| {
            app.database.count(&format!("SELECT count(*) FROM {columns} AS known WHERE {condition}")).await
        };
        let mut listed = 0;
        for StoredSecrets { column, .. } in STORED_SECRETS {
            let SealedColumn { table, names, .. } = column;
            let name = names[0];
            assert!(name.starts_with("encrypted_"), "{table}.{name}");
            assert_eq!(count(&format!("tab = '{table}' AND col = '{name}'")).await, 1, "{table}.{name}");
            assert_eq!(count(&format!("tab = '{table}' AND col = 'master_key_id'")).await, 1, "{table}");
            assert!(!column.identity.is_empty(), "{table}");
            listed += 1;
        }
        assert_eq!(count("col LIKE 'encrypted~_%' ESCAPE '~'").await, listed);
        // Nor are sealed bytes kept under another name: each column of bytes is listed, or is a
        // digest. SQLite keeps ids as bytes.
        if !app.app.db.is_embedded() {
            let known = UNSEALED.map(|name| format!("'{name}'")).join(", ");
            assert_eq!(count(&format!("kind = 'bytea' AND tab <> '_sqlx_migrations' AND col NOT IN ({known})")).await, listed);
        }
    }

    async fn a_column_that_is_declared_is_checked_and_rewrapped(app: TestApp) {
        let (database, db) = (&app.database, &app.app.db);
        // Not migrated yet: there is no such table.
        assert_eq!(check_master_keys(db, &BOTH_COLUMNS, Some(&keys(&[MASTER_KEY]))).await.unwrap(), 2);
        make_table(database, 250).await;
        // A row that holds the secret of another one.
        let moved = uuid_literal(database, Uuid::from_u128(7));
        let from = uuid_literal(database, Uuid::from_u128(8));
        database.execute(&format!("UPDATE test_secrets SET secret = (SELECT secret FROM test_secrets WHERE user_id = {from}) WHERE user_id = {moved}")).await;

        // Damage is no reason not to start, and a missing master key is.
        assert_eq!(check_master_keys(db, &BOTH_COLUMNS, Some(&keys(&[MASTER_KEY]))).await.unwrap(), 252);
        let said = check_master_keys(db, &BOTH_COLUMNS, Some(&keys(&[NEW]))).await.unwrap_err().to_string();
        let missing = format!("test secret {} is sealed under master key `test`, which is not configured", Uuid::from_u128(1));
        assert!(said.contains(&missing) && said.ends_with("and 152 more"), "{said}");
        assert_eq!(said.matches("signing key ").count(), 2, "{said}");
        let said = check_master_keys(db, &BOTH_COLUMNS, None).await.unwrap_err().to_string();
        assert!(said.contains(&missing), "{said}");
        let wrong = format!("test:{}", NEW.split_once(':').unwrap().1);
        let said = check_master_keys(db, &BOTH_COLUMNS, Some(&keys(&[&wrong]))).await.unwrap_err().to_string();
        assert!(said.contains(&format!("test secret {} cannot be opened", Uuid::from_u128(1))), "{said}");

        let node = app.another_node(&[("CHANCERY_KEYS__MASTER_KEYS", &format!("{NEW},{MASTER_KEY}"))]).await;
        let context = AuditContext::operator();
        let view = rewrap_keys(&node.app, &BOTH_COLUMNS, &context, true, &|_, _| ()).await.unwrap();
        assert_eq!((view.moved.len(), view.moved_other_secrets, under(database, "test").await), (2, 250, 250));
        let needed: Vec<_> = view.master_keys.iter().map(|key| (key.signing_keys, key.other_secrets)).collect();
        assert_eq!(needed, [(0, 0), (2, 250)]);
        assert!(!view.master_keys[1].can_be_dropped());

        // Stopped on the way, and run again.
        let (stop, steps) = (Notify::new(), Mutex::new(Vec::new()));
        let progress = |done: usize, total: usize| {
            assert_eq!(total, 252);
            steps.lock().unwrap().push(done);
            if done > 50 {
                stop.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = stop.notified() => {}
            done = rewrap_keys(&node.app, &BOTH_COLUMNS, &context, false, &progress) => panic!("{done:?} before it was stopped"),
        }
        let done = under(database, "new").await;
        assert!((1..249).contains(&done), "{done} rows at once");
        let error = rewrap_keys(&node.app, &BOTH_COLUMNS, &context, false, &progress).await.unwrap_err();
        assert!(matches!(error, RewrapKeysError::CannotOpen(_)), "{error}");
        let only = format!("test secret {} cannot be opened with master key `test`: the key is wrong or the row damaged", Uuid::from_u128(7));
        assert_eq!(error.to_string(), only);
        assert_eq!((under(database, "new").await, under(database, "test").await), (249, 1));
        assert_eq!(steps.lock().unwrap().iter().max(), Some(&251));

        database.execute(&format!("DELETE FROM test_secrets WHERE user_id = {moved}")).await;
        let view = rewrap_keys(&node.app, &BOTH_COLUMNS, &context, false, &|_, _| ()).await.unwrap();
        assert_eq!((view.moved.len(), view.moved_other_secrets), (0, 0));
        assert!(view.master_keys[1].can_be_dropped());
        assert_eq!(check_master_keys(db, &BOTH_COLUMNS, Some(&keys(&[NEW]))).await.unwrap(), 251);
        let rows = rows_of(&app).await;
        assert_eq!(rows.len(), 249);
        for row in rows {
            let user = row.identity[0].clone().unwrap();
            let opened = TEST_KIND.open(&keys(&[NEW]), &[&user, "n"], &row.master_key_id, &row.ciphertext).unwrap();
            let at = Uuid::parse_str(&user).unwrap().as_u128();
            assert_eq!(opened.expose(), format!("secret {at}").as_bytes());
        }
        let audited = "SELECT count(*) FROM audit WHERE event = 'keys_rewrapped' AND subject";
        assert_eq!(database.count(&format!("{audited} = 'test_secrets'")).await, 3, "one event for each batch");
        assert_eq!(database.count(&format!("{audited} <> 'test_secrets'")).await, 2, "one event for each signing key");
        node.stop().await;
    }

    async fn a_sealed_value_that_has_changed_is_not_replaced(app: TestApp) {
        make_table(&app.database, 2).await;
        let db = &app.app.db;
        let row = rows_of(&app).await.remove(0);
        let mut tx = db.begin().await.unwrap();
        let column = sealed_columns::find(&mut tx, &TEST_COLUMN).await.unwrap().unwrap();
        let other = SealedRow { ciphertext: b"another".to_vec(), ..row.clone() };
        let renamed = SealedRow { master_key_id: "another".to_owned(), ..row.clone() };
        let elsewhere = SealedRow { identity: vec![row.identity[0].clone(), Some("m".to_owned())], ..row.clone() };
        let unreadable = SealedRow { identity: vec![None, row.identity[1].clone()], ..row.clone() };
        for before in [other, renamed, elsewhere, unreadable] {
            assert!(!sealed_columns::replace(&mut tx, column, &before, "new", b"x").await.unwrap());
        }
        assert!(sealed_columns::replace(&mut tx, column, &row, "new", b"x").await.unwrap());
        assert!(!sealed_columns::replace(&mut tx, column, &row, "new", b"x").await.unwrap(), "it was replaced");
        tx.commit().await.unwrap();
        let counted = sealed_columns::count(&mut db.read().await.unwrap(), column).await.unwrap();
        assert_eq!(counted, [("new".to_owned(), 1), ("test".to_owned(), 1)]);
    }
}
