//! The store's conformance suite: every function, with the same results on both databases.

use chancery::domain::accounts::{Roles, User, UserStatus};
use chancery::domain::clients::{
    Client, ClientAuthMethod, ClientChange, ClientKeys, GrantType, LoginUri, LogoutUri, RedirectUri,
};
use chancery::domain::keys::{Consumer, IssuedTokens, JwksFetch, Kid, SigningAlgorithm, SigningKey};
use chancery::domain::oauth::{
    AuthorizationCode, BackchannelLogout, CodeChallenge, DeviceGrant, DeviceStatus, UserClaim,
};
use chancery::domain::operations::{Actor, AuditContext, AuditEvent, AuditFilter};
use chancery::domain::passwords::{NetworkPolicy, PasswordHash, ThrottlePolicy};
use chancery::domain::sessions::{GrantedAccess, Session, SessionLimits};
use chancery::domain::{ClientId, DisplayName, Email, Parameters, Scopes, SessionId, Thumbprint, UserId};
use chancery::store;
use chancery::store::accounts::users;
use chancery::store::clients::client_registrations;
use chancery::store::keys::sealed_columns::SealedUnder;
use chancery::store::keys::signing_keys::SealedPrivateKey;
use chancery::store::keys::{idempotency_keys, issued_tokens, jwks_consumers, sealed_columns, signing_keys};
use chancery::store::oauth::{
    authorization_codes, backchannel_logouts, consents, device_codes, pushed_requests,
};
use chancery::store::operations::audit;
use chancery::store::passwords::login_attempts;
use chancery::store::passwords::login_attempts::Charge;
use chancery::store::passwords::network_attempts;
use chancery::store::passwords::network_attempts::NetworkCharge;
use chancery::store::sessions::Advance;
use chancery::store::sessions::replay_guard;
use chancery::store::{clients, sessions};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::support::{TestApp, on_both};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 123_456_000).unwrap()
}

fn user(email: &str, created_at: DateTime<Utc>) -> User {
    User {
        id: UserId::random(),
        email: Email::parse(email).unwrap(),
        email_verified: false,
        name: Some(DisplayName::parse("Ad\u{e4} \u{1f510}").unwrap()),
        password_hash: PasswordHash::from_phc("$argon2id$x".to_owned()),
        password_changed_at: created_at,
        roles: Roles::parse_stored("admin user").unwrap(),
        status: UserStatus::Active,
        created_at,
        last_login_at: None,
    }
}

fn session(user: UserId, now: DateTime<Utc>) -> Session {
    Session {
        id: SessionId::new(now),
        user_id: user,
        client_id: ClientId::first_party(),
        generation: 1,
        reuse_count: 0,
        auth_time: now,
        amr: "pwd".to_owned(),
        created_at: now,
        last_used_at: now,
        expires_at: now + TimeDelta::days(30),
        revoked_at: None,
        ip: Some("2001:db8::1".parse().unwrap()),
        parent: None,
        granted: None,
        user_agent: Some("agent".to_owned()),
        master_key_id: Some("m".to_owned()),
        dpop_jkt: None,
    }
}

fn client(id: &str) -> Client {
    let change = ClientChange {
        grant_types: Some(GrantType::ALL.iter().copied().collect()),
        redirect_uris: Some(vec![uri("https://g.test/cb?x=%20"), uri("com.example.g:/cb")]),
        post_logout_redirect_uris: Some(vec![uri("https://g.test/bye")]),
        keys: Some(ClientKeys::parse_stored(
            r#"{"keys":[{"alg":"EdDSA","kid":"k","kty":"OKP"},{"kty":"RSA"}]}"#,
        )),
        audiences: Some(vec!["https://api.test".to_owned(), "b".to_owned()]),
        access_token_ttl: Some(Some(TimeDelta::seconds(61))),
        refresh_grace: Some(Some(TimeDelta::zero())),
        require_consent: Some(false),
        backchannel_logout_uri: Some(Some(LogoutUri::parse("https://g.test/out?x=%20").unwrap())),
        backchannel_logout_session_required: Some(true),
        exchange_audiences: Some(vec!["https://stock.test".to_owned(), "c".to_owned()]),
        require_pushed: Some(true),
        dpop_bound_access_tokens: Some(true),
        ..ClientChange::default()
    };
    let (id, name) = (ClientId::parse(id).unwrap(), DisplayName::parse("Gr\u{e4}f \u{1f510}").unwrap());
    let client = Client::new(id, name, ClientAuthMethod::SecretPost, at(0)).with(change);
    Client { initiate_login_uri: Some(LoginUri::parse("https://g.test/in?x=%20").unwrap()), ..client }
}

fn uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).unwrap()
}

/// All that is kept of a client, to be compared.
fn told(client: &Client) -> String {
    format!("{client:?}")
}

/// A session that a client was given something in.
fn granted(user: UserId, client: &ClientId, scope: &str, now: DateTime<Utc>) -> Session {
    let grant =
        GrantedAccess { scopes: Scopes::from_claim(scope), audience: vec!["a".to_owned(), "b".to_owned()] };
    Session { client_id: client.clone(), granted: Some(grant), ..session(user, now) }
}

fn code(client: &ClientId, browser: &Session, number: u8, flow: Option<Uuid>) -> AuthorizationCode {
    AuthorizationCode {
        digest: vec![number; 32],
        flow_id: flow,
        client_id: client.clone(),
        browser: browser.id,
        granted: GrantedAccess { scopes: Scopes::from_claim("openid email"), audience: vec!["a".to_owned()] },
        redirect_uri: uri("https://g.test/cb"),
        redirect_uri_was_sent: true,
        nonce: Some("n \u{e4}".to_owned()),
        id_claims: [UserClaim::Email, UserClaim::Name].into(),
        challenge: Some(CodeChallenge::new_unchecked(
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        )),
        dpop_jkt: Some(Thumbprint::new_unchecked("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned())),
        session: SessionId::new(at(i64::from(number))),
        created_at: at(0),
        expires_at: at(60),
    }
}

fn advance(id: SessionId, generation: i64, client: &ClientId, now: DateTime<Utc>) -> Advance<'_> {
    Advance {
        id,
        generation,
        client,
        key: None,
        binds: false,
        master_key_id: "m",
        now,
        deadline: at(900_000_000),
    }
}

const LIMITS: SessionLimits = SessionLimits {
    idle_timeout: TimeDelta::days(7),
    max_lifetime: TimeDelta::days(30),
    grace: TimeDelta::seconds(10),
};

on_both! {
    async fn users_are_kept_as_they_were_written(app: TestApp) {
        let db = &app.app.db;
        let ada = user("ada@x.test", at(0));
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        tx.commit().await.unwrap();
        let conn = &mut db.read().await.unwrap();
        for read in [users::by_id(conn, ada.id).await.unwrap(), users::by_email(conn, &ada.email).await.unwrap()] {
            let read = read.unwrap();
            assert_eq!((read.id, &read.email, &read.name, &read.roles), (ada.id, &ada.email, &ada.name, &ada.roles));
            assert_eq!((read.created_at, read.password_changed_at, read.last_login_at), (at(0), at(0), None));
            assert_eq!((read.status, read.email_verified), (UserStatus::Active, false));
        }
        assert!(users::by_id(conn, UserId::random()).await.unwrap().is_none());
        assert!(users::by_email(conn, &Email::parse("b@x.test").unwrap()).await.unwrap().is_none());
    }

    async fn an_address_is_taken_once(app: TestApp) {
        let db = &app.app.db;
        assert!(users::insert(&mut db.write().await.unwrap(), &user("ada@x.test", at(0))).await.unwrap());
        assert!(!users::insert(&mut db.write().await.unwrap(), &user("ada@x.test", at(1))).await.unwrap());
    }

    async fn a_login_is_noted_only_for_the_password_that_was_checked(app: TestApp) {
        let db = &app.app.db;
        let ada = user("ada@x.test", at(0));
        users::insert(&mut db.write().await.unwrap(), &ada).await.unwrap();
        let stronger = PasswordHash::from_phc("$argon2id$stronger".to_owned());
        let mut tx = db.begin().await.unwrap();
        assert!(users::record_login(&mut tx, &ada, Some(&stronger), at(1)).await.unwrap());
        tx.commit().await.unwrap();
        let read = users::by_id(&mut db.read().await.unwrap(), ada.id).await.unwrap().unwrap();
        assert_eq!((read.last_login_at, read.password_hash == stronger), (Some(at(1)), true));
        assert_eq!(read.password_changed_at, at(0), "a rehash is no change of password");

        let mut tx = db.begin().await.unwrap();
        let new = PasswordHash::from_phc("$argon2id$new".to_owned());
        assert!(users::set_password(&mut tx, ada.id, &new, Some(at(0)), at(2)).await.unwrap());
        assert!(!users::set_password(&mut tx, ada.id, &new, Some(at(0)), at(3)).await.unwrap(), "no longer that one");
        assert!(users::set_password(&mut tx, ada.id, &new, None, at(4)).await.unwrap());
        assert!(!users::set_password(&mut tx, UserId::random(), &new, None, at(4)).await.unwrap());
        assert!(!users::record_login(&mut tx, &ada, None, at(5)).await.unwrap(), "checked against the old password");
        let current = User { password_changed_at: at(4), ..ada.clone() };
        assert!(users::record_login(&mut tx, &current, None, at(5)).await.unwrap());
        users::update(&mut tx, ada.id, None, None, Some(UserStatus::Disabled)).await.unwrap().unwrap();
        assert!(!users::record_login(&mut tx, &current, None, at(6)).await.unwrap(), "disabled meanwhile");
        tx.commit().await.unwrap();
    }

    async fn users_are_updated_paged_and_deleted(app: TestApp) {
        let db = &app.app.db;
        let people = [user("a@x.test", at(0)), user("b@x.test", at(1)), user("c@x.test", at(1))];
        for person in &people {
            users::insert(&mut db.write().await.unwrap(), person).await.unwrap();
        }
        let conn = &mut db.read().await.unwrap();
        let first = users::page(conn, None, 2).await.unwrap();
        let last = first.last().unwrap();
        let second = users::page(conn, Some((last.created_at, last.id)), 2).await.unwrap();
        let mut seen: Vec<UserId> = first.iter().chain(&second).map(|user| user.id).collect();
        assert_eq!(seen[0], people[0].id);
        seen.sort();
        let mut all: Vec<UserId> = people.iter().map(|user| user.id).collect();
        all.sort();
        assert_eq!(seen, all);

        let mut tx = db.begin().await.unwrap();
        let id = people[0].id;
        let named = DisplayName::parse("Another").unwrap();
        let change = users::update(&mut tx, id, Some(Some(&named)), None, None).await.unwrap().unwrap();
        assert_eq!((&change.name, &change.roles, change.status), (&Some(named), &people[0].roles, UserStatus::Active));
        let none = Roles::default();
        let change = users::update(&mut tx, id, None, Some(&none), Some(UserStatus::Disabled)).await.unwrap().unwrap();
        assert_eq!((change.name.is_some(), &change.roles, change.status), (true, &none, UserStatus::Disabled));
        let change = users::update(&mut tx, id, Some(None), None, None).await.unwrap().unwrap();
        assert_eq!((change.name, change.status), (None, UserStatus::Disabled));
        assert!(users::update(&mut tx, UserId::random(), None, None, None).await.unwrap().is_none());
        sessions::insert(&mut tx, &session(id, at(2))).await.unwrap();
        assert!(users::delete(&mut tx, people[0].id).await.unwrap());
        assert!(!users::delete(&mut tx, people[0].id).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 0, "sessions go with their user");
    }

    async fn a_transaction_that_is_not_committed_did_nothing(app: TestApp) {
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &user("ada@x.test", at(0))).await.unwrap();
        drop(tx);
        assert!(users::page(&mut db.read().await.unwrap(), None, 10).await.unwrap().is_empty());
        assert!(db.probe_writable().await.is_ok());
    }

    async fn a_session_advances_once_per_generation(app: TestApp) {
        let db = &app.app.db;
        let ada = user("ada@x.test", at(0));
        let first = session(ada.id, at(0));
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        sessions::insert(&mut tx, &first).await.unwrap();
        tx.commit().await.unwrap();
        let client = ClientId::first_party();
        let conn = &mut db.begin().await.unwrap();

        let read = sessions::by_id(conn, first.id).await.unwrap().unwrap();
        assert_eq!((read.user_id, read.ip, read.user_agent), (ada.id, first.ip, first.user_agent.clone()));
        assert_eq!((read.created_at, read.expires_at, read.amr.as_str()), (at(0), first.expires_at, "pwd"));

                if db.kind() == "postgres" {
            let late = Advance { deadline: DateTime::UNIX_EPOCH, ..advance(first.id, 1, &client, at(5)) };
            assert!(sessions::advance(conn, &late, &LIMITS).await.unwrap().is_none(), "nobody waits for it any more");
        }
        let moved = sessions::advance(conn, &advance(first.id, 1, &client, at(5)), &LIMITS).await.unwrap().unwrap();
        assert_eq!((moved.generation, moved.reuse_count, moved.last_used_at), (2, 0, at(5)));
        for (generation, client, now) in [
            (1, client.clone(), at(6)),
            (3, client.clone(), at(6)),
            (2, ClientId::new_unchecked("other".to_owned()), at(6)),
            (2, client.clone(), at(5) + LIMITS.idle_timeout),
            (2, client.clone(), first.expires_at),
        ] {
            assert!(sessions::advance(conn, &advance(first.id, generation, &client, now), &LIMITS).await.unwrap().is_none());
        }
        for count in 0..=SessionLimits::MAX_REUSES {
            let counted = sessions::count_reuse(conn, 2, &advance(first.id, 2, &client, at(1))).await.unwrap();
            assert_eq!(counted, count < SessionLimits::MAX_REUSES, "{count}");
        }
        assert!(!sessions::count_reuse(conn, 1, &advance(first.id, 1, &client, at(1))).await.unwrap());
        let moved = sessions::advance(conn, &advance(first.id, 2, &client, at(7)), &LIMITS).await.unwrap().unwrap();
        assert_eq!(moved.reuse_count, 0);
        assert!(sessions::revoke(conn, first.id, at(8)).await.unwrap());
        assert!(!sessions::revoke(conn, first.id, at(9)).await.unwrap());
        assert!(sessions::advance(conn, &advance(first.id, 3, &client, at(9)), &LIMITS).await.unwrap().is_none());
        assert!(!sessions::count_reuse(conn, 3, &advance(first.id, 3, &client, at(1))).await.unwrap());
    }

    async fn sessions_are_listed_revoked_and_removed_by_user_and_age(app: TestApp) {
        let db = &app.app.db;
        let (ada, bob) = (user("ada@x.test", at(0)), user("bob@x.test", at(0)));
        let mine = [session(ada.id, at(0)), session(ada.id, at(10)), session(ada.id, at(20))];
        let mut tx = db.begin().await.unwrap();
        for person in [&ada, &bob] {
            users::insert(&mut tx, person).await.unwrap();
        }
        for session in mine.iter().chain([&session(bob.id, at(0))]) {
            sessions::insert(&mut tx, session).await.unwrap();
        }
        let listed = sessions::live_of_user(&mut tx, ada.id, &LIMITS, at(30)).await.unwrap();
        assert_eq!(listed.iter().map(|session| session.id).collect::<Vec<_>>(), [mine[2].id, mine[1].id, mine[0].id]);
        let late = at(5) + LIMITS.idle_timeout;
        assert_eq!(sessions::live_of_user(&mut tx, ada.id, &LIMITS, late).await.unwrap().len(), 2);
        assert_eq!(sessions::revoke_of_user(&mut tx, ada.id, Some(mine[1].id), at(30)).await.unwrap(), 2);
        assert_eq!(sessions::revoke_of_user(&mut tx, ada.id, None, at(31)).await.unwrap(), 1);
        assert!(sessions::live_of_user(&mut tx, ada.id, &LIMITS, at(31)).await.unwrap().is_empty());
        tx.commit().await.unwrap();
        let conn = &mut db.write().await.unwrap();
        let end = mine[2].expires_at;
        assert_eq!(sessions::delete_expired(conn, end, 2).await.unwrap(), 2, "a batch at a time");
        assert_eq!(sessions::delete_expired(conn, end, 2).await.unwrap(), 1);
        assert_eq!(sessions::delete_expired(conn, end, 2).await.unwrap(), 0);
    }

    async fn keys_move_from_next_to_current_to_previous(app: TestApp) {
        let db = &app.app.db;
        let stored = signing_keys::all(&mut db.read().await.unwrap()).await.unwrap();
        let next = stored.iter().find(|stored| stored.key.activated_at.is_none()).unwrap().key.clone();
        let current = stored.iter().find(|stored| stored.key.activated_at.is_some()).unwrap().key.clone();
        assert!(stored.iter().all(|stored| stored.sealed.is_some()));

        let mut tx = db.begin().await.unwrap();
        store::lock_signing_keys(&mut tx).await.unwrap();
        assert!(!signing_keys::demote(&mut tx, &next.kid, at(1), at(2)).await.unwrap(), "next is not current");
        assert!(!signing_keys::promote(&mut tx, &current.kid, at(1), TimeDelta::minutes(1)).await.unwrap());
        assert!(signing_keys::raise_longest_life(&mut tx, &current.kid, TimeDelta::hours(1)).await.unwrap());
        assert!(signing_keys::raise_longest_life(&mut tx, &current.kid, TimeDelta::minutes(1)).await.unwrap());
        assert!(signing_keys::demote(&mut tx, &current.kid, at(1), at(2)).await.unwrap());
        assert!(!signing_keys::raise_longest_life(&mut tx, &current.kid, TimeDelta::hours(9)).await.unwrap());
        assert!(signing_keys::promote(&mut tx, &next.kid, at(1), TimeDelta::hours(7)).await.unwrap());
        let new = SigningKey {
            kid: Kid::new("new".to_owned()),
            alg: SigningAlgorithm::Rs256,
            public_jwk: json!({ "kid": "new", "n": "\u{e4}" }),
            longest_life: TimeDelta::minutes(3),
            damage: None,
            created_at: at(1),
            published_at: at(1),
            activated_at: None,
            demoted_at: None,
            retires_at: None,
            revoked_at: None,
            imported_at: None,
        };
        let sealed = SealedPrivateKey { master_key_id: "m".to_owned(), ciphertext: vec![0, 1, 255] };
        signing_keys::insert(&mut tx, &new, Some(&sealed)).await.unwrap();
        signing_keys::postpone_publication(&mut tx, &next.kid, at(-9)).await.unwrap();
        signing_keys::postpone_publication(&mut tx, &new.kid, at(4)).await.unwrap();
        signing_keys::postpone_publication(&mut tx, &new.kid, at(3)).await.unwrap();
        signing_keys::postpone_retirement(&mut tx, &current.kid, at(9)).await.unwrap();
        signing_keys::postpone_retirement(&mut tx, &current.kid, at(8)).await.unwrap();
        signing_keys::announce(&mut tx).await.unwrap();
        tx.commit().await.unwrap();

        let stored = signing_keys::all(&mut db.read().await.unwrap()).await.unwrap();
        let of = |kid: &Kid| stored.iter().find(|stored| stored.key.kid == *kid).unwrap();
        let (old, now, read) = (of(&current.kid), of(&next.kid), of(&new.kid));
        assert_eq!((old.key.demoted_at, old.key.retires_at, old.sealed.is_none()), (Some(at(1)), Some(at(9)), true));
        assert_eq!(old.key.longest_life, TimeDelta::hours(1));
        assert_eq!((now.key.activated_at, now.key.longest_life), (Some(at(1)), TimeDelta::hours(7)));
        assert!(read.sealed.as_ref().is_some_and(|read| *read == sealed));
        assert_eq!((&read.key.public_jwk, read.key.published_at), (&new.public_jwk, at(4)));
    }

    async fn an_idempotency_key_is_its_actors_own(app: TestApp) {
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        idempotency_keys::insert(&mut tx, &Actor::Operator, "k", b"digest", "answer", at(0)).await.unwrap();
        tx.commit().await.unwrap();
        let conn = &mut db.write().await.unwrap();
        let found = idempotency_keys::find(conn, &Actor::Operator, "k").await.unwrap().unwrap();
        assert_eq!((found.request_digest.as_slice(), found.response.as_str()), (&b"digest"[..], "answer"));
        assert!(idempotency_keys::find(conn, &Actor::Schedule, "k").await.unwrap().is_none());
        assert_eq!(idempotency_keys::delete_older(conn, at(0)).await.unwrap(), 0);
        assert_eq!(idempotency_keys::delete_older(conn, at(1)).await.unwrap(), 1);
    }

    async fn attempts_are_charged_settled_and_forgotten(app: TestApp) {
        let db = &app.app.db;
        let policy = ThrottlePolicy { attempts_before_backoff: 2, max_backoff: TimeDelta::minutes(15), lockout_threshold: 4 };
        let charge = async |now| {
            let conn = &mut db.write().await.unwrap();
            login_attempts::charge(conn, b"s", &policy, now + TimeDelta::seconds(4), now).await.unwrap()
        };
        let fail = async |now| {
            let mut tx = db.begin().await.unwrap();
            let failures = login_attempts::finish_failure(&mut tx, b"s", &policy, now).await.unwrap();
            tx.commit().await.unwrap();
            failures
        };
        assert_eq!(charge(at(0)).await, Charge::Charged);
        assert_eq!(charge(at(0)).await, Charge::Charged);
        assert_eq!(charge(at(0)).await, Charge::InFlight);
        login_attempts::refund(&mut db.write().await.unwrap(), b"s").await.unwrap();
        assert_eq!(charge(at(0)).await, Charge::Charged);
        assert_eq!(fail(at(0)).await, 1);
        assert_eq!(charge(at(0)).await, Charge::InFlight);
        assert_eq!(charge(at(4)).await, Charge::Charged, "a charge nobody settled has lapsed");
        assert_eq!(fail(at(4)).await, 2);
        assert_eq!(charge(at(4)).await, Charge::Refused);
        assert_eq!(charge(at(5)).await, Charge::Charged);
        assert_eq!(charge(at(5)).await, Charge::InFlight, "one at a time from here");
        assert_eq!(fail(at(5)).await, 3);
        assert_eq!(charge(at(6)).await, Charge::Refused);
        assert_eq!(charge(at(7)).await, Charge::Charged);
        assert_eq!(fail(at(7)).await, 4);
        assert_eq!(charge(at(1_000_000)).await, Charge::Refused, "stopped for good");
        let conn = &mut db.write().await.unwrap();
        assert_eq!(login_attempts::delete_older(conn, at(1_000_000), policy.lockout_threshold, 10).await.unwrap(), 0);
        assert_eq!(login_attempts::delete_older(conn, at(1_000_000), 5, 10).await.unwrap(), 1);
        login_attempts::charge(conn, b"s", &policy, at(9), at(8)).await.unwrap();
        login_attempts::clear(conn, b"s").await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM login_attempts").await, 0);
    }

    async fn audit_lines_come_back_newest_first(app: TestApp) {
        let mut tx = app.app.db.begin().await.unwrap();
        let later = app.clock.now() + TimeDelta::days(1);
        let context = AuditContext { actor: Actor::Anonymous, ip: Some("::1".parse().unwrap()), request_id: None };
        audit::append(&mut tx, AuditEvent::RefreshReuse, &context, "s1", Some("d"), later).await.unwrap();
        audit::append(&mut tx, AuditEvent::UserDisabled, &AuditContext::operator(), "u1", None, later + TimeDelta::seconds(1)).await.unwrap();
        tx.commit().await.unwrap();
        let conn = &mut app.app.db.write().await.unwrap();
        let latest = audit::page(conn, &AuditFilter::default(), None, 2).await.unwrap();
        let told: Vec<(&str, &str, &str)> =
            latest.iter().map(|line| (line.event.as_str(), line.actor.as_str(), line.subject.as_str())).collect();
        assert_eq!(told, [("user_disabled", "operator:cli", "u1"), ("refresh_reuse", "anonymous", "s1")]);
        let from = AuditFilter { source: Some("::1".to_owned()), ..AuditFilter::default() };
        assert_eq!(audit::page(conn, &from, None, 9).await.unwrap().len(), 1);
    }

    async fn what_anybody_can_cause_is_kept_to_a_number_and_pushes_out_nothing_else(app: TestApp) {
        let db = &app.app.db;
        let now = app.clock.now();
        let mut tx = db.begin().await.unwrap();
        for number in 0..7 {
            let at = now + TimeDelta::seconds(number);
            audit::append(&mut tx, AuditEvent::UserDisabled, &AuditContext::operator(), "u", None, at).await.unwrap();
            audit::append(&mut tx, AuditEvent::LoginFailed, &AuditContext::operator(), &number.to_string(), None, at).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut removed = Vec::new();
        for _ in 0..3 {
            let conn = &mut db.write().await.unwrap();
            removed.push(audit::delete_unauthenticated(conn, 3, 3).await.unwrap());
        }
        assert_eq!(removed, [3, 1, 0]);
        let failed = AuditFilter { event: Some("login_failed".to_owned()), ..AuditFilter::default() };
        let kept = audit::page(&mut db.read().await.unwrap(), &failed, None, 9).await.unwrap();
        assert_eq!(kept.iter().map(|line| line.subject.as_str()).collect::<Vec<_>>(), ["6", "5", "4"]);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'user_disabled'").await, 7);
    }

    async fn a_line_of_the_audit_table_stays_as_it_was_written(app: TestApp) {
        let mut tx = app.app.db.begin().await.unwrap();
        audit::append(&mut tx, AuditEvent::KeyRevoked, &AuditContext::operator(), "k", None, app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert!(app.database.try_execute("UPDATE audit SET actor = 'somebody else'").await.is_err());
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE actor = 'operator:cli'").await, 1);
    }

    async fn a_source_is_charged_settled_and_forgotten(app: TestApp) {
        let db = &app.app.db;
        let policy = NetworkPolicy { attempts: 3, window: TimeDelta::seconds(30) };
        let at = |second: i64| app.clock.now() + TimeDelta::seconds(second);
        let charge = async |now: i64| {
            let mut tx = db.begin().await.unwrap();
            let outcome = network_attempts::charge(&mut tx, b"s", &policy, at(now + 4), at(now)).await.unwrap();
            tx.commit().await.unwrap();
            outcome
        };
        let settle = async |spend: bool, now: i64| {
            network_attempts::finish(&mut db.write().await.unwrap(), b"s", &policy, spend, at(now)).await.unwrap();
        };
        for _ in 0..3 {
            assert_eq!(charge(0).await, NetworkCharge::Charged);
        }
        assert_eq!(charge(0).await, NetworkCharge::InFlight, "all three are under way");
        settle(false, 0).await;
        assert_eq!(charge(0).await, NetworkCharge::Charged, "one was right");
        for _ in 0..3 {
            settle(true, 0).await;
        }
        assert_eq!(charge(0).await, NetworkCharge::Refused { retry_after: TimeDelta::seconds(10) });
        assert_eq!(charge(9).await, NetworkCharge::Refused { retry_after: TimeDelta::seconds(1) });
        assert_eq!(charge(10).await, NetworkCharge::Charged);
        assert_eq!(charge(10).await, NetworkCharge::InFlight);
        assert_eq!(charge(14).await, NetworkCharge::Charged, "a charge that nobody settles lapses");
        settle(true, 14).await;
        let conn = &mut db.write().await.unwrap();
        assert_eq!(network_attempts::delete_finished(conn, at(39), 10).await.unwrap(), 0);
        assert_eq!(network_attempts::delete_finished(conn, at(41), 10).await.unwrap(), 1);
    }

    async fn the_schema_knows_itself(app: TestApp) {
        let db = &app.app.db;
        assert!(store::is_migrated(db).await.unwrap());
        assert_eq!(store::migrate(db).await.unwrap(), 0);
        let conn = &mut db.read().await.unwrap();
        let theirs = store::database_clock(conn).await.unwrap();
        assert_eq!(theirs.is_some(), db.kind() == "postgres");
        assert!(db.pool_usage().0 >= 1);
    }

    async fn a_row_that_cannot_be_read_is_named(app: TestApp) {
        let ada = user("ada@x.test", at(0));
        let db = &app.app.db;
        users::insert(&mut db.write().await.unwrap(), &ada).await.unwrap();
        app.database.execute("UPDATE users SET roles = 'NOT A ROLE'").await;
        let error = users::by_id(&mut db.read().await.unwrap(), ada.id).await.unwrap_err().to_string();
        assert!(error.contains("users") && error.contains("roles") && error.contains(&ada.id.to_string()), "{error}");
    }

    async fn keys_are_resealed_withdrawn_retired_and_revoked_once(app: TestApp) {
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        let version = signing_keys::version(&mut tx).await.unwrap();
        let stored = signing_keys::all(&mut tx).await.unwrap();
        let next = stored.iter().find(|stored| stored.key.activated_at.is_none()).unwrap();
        let current = &stored.iter().find(|stored| stored.key.activated_at.is_some()).unwrap().key;
        let (kid, before) = (&next.key.kid, next.sealed.as_ref().unwrap());
        let column = sealed_columns::find(&mut tx, &signing_keys::PRIVATE_KEYS).await.unwrap().unwrap();
        let rows = sealed_columns::rows(&mut tx, column, SealedUnder::AnyBut("other"), 0, 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        let row = rows.into_iter().find(|row| row.identity[0].as_deref() == Some(kid.as_str())).unwrap();
        assert!(row.ciphertext == before.ciphertext && row.identity[1].as_deref() == Some("RS256"));
        assert!(sealed_columns::replace(&mut tx, column, &row, "other", &[7; 40]).await.unwrap());
        assert!(!sealed_columns::replace(&mut tx, column, &row, "other", &[7; 40]).await.unwrap(), "it is another by now");
        assert!(!signing_keys::withdraw(&mut tx, &current.kid, at(1), at(1)).await.unwrap(), "it signs");
        assert!(signing_keys::withdraw(&mut tx, kid, at(1), at(1)).await.unwrap());
        assert!(!signing_keys::withdraw(&mut tx, kid, at(1), at(1)).await.unwrap());
        assert!(signing_keys::demote(&mut tx, &current.kid, at(1), at(100)).await.unwrap());
        assert_eq!(signing_keys::record_retirements(&mut tx, at(2)).await.unwrap(), std::slice::from_ref(kid));
        assert!(!signing_keys::retire(&mut tx, kid, at(2)).await.unwrap(), "it is retired");
        assert!(signing_keys::retire(&mut tx, &current.kid, at(3)).await.unwrap());
        assert_eq!(signing_keys::record_retirements(&mut tx, at(4)).await.unwrap(), std::slice::from_ref(&current.kid));
        assert!(signing_keys::record_retirements(&mut tx, at(5)).await.unwrap().is_empty());
        assert!(signing_keys::revoke(&mut tx, &current.kid, at(6)).await.unwrap());
        assert!(!signing_keys::revoke(&mut tx, &current.kid, at(7)).await.unwrap());
        signing_keys::announce(&mut tx).await.unwrap();
        assert_eq!(signing_keys::version(&mut tx).await.unwrap(), version + 1);
        let stored = signing_keys::all(&mut tx).await.unwrap();
        assert!(stored.iter().all(|stored| stored.sealed.is_none() && stored.key.damage.is_none()));
        let revoked = stored.iter().find(|stored| stored.key.kid == current.kid).unwrap();
        assert_eq!((revoked.key.retires_at, revoked.key.revoked_at), (Some(at(3)), Some(at(6))));
    }

    async fn consumers_are_kept_at_their_newest(app: TestApp) {
        let db = &app.app.db;
        let mut conn = db.write().await.unwrap();
        let conn = &mut conn;
        let consumer = Consumer::new(Some("203.0.113.9".parse().unwrap()), Some("ag\u{e9}nt/1"));
        let other = Consumer::new(None, None);
        let seen = |at_s, published| JwksFetch { at: at(at_s), published_until: at(published) };
        jwks_consumers::record(conn, &consumer, seen(10, 5)).await.unwrap();
        jwks_consumers::record(conn, &consumer, seen(20, 3)).await.unwrap();
        jwks_consumers::record(conn, &consumer, seen(15, 7)).await.unwrap();
        jwks_consumers::record(conn, &other, seen(1, 1)).await.unwrap();
        let all = jwks_consumers::all(conn).await.unwrap();
        assert_eq!(all.iter().map(|known| &known.consumer).collect::<Vec<_>>(), [&other, &consumer]);
        let known = &all[1];
        assert_eq!((known.first_seen_at, known.last_seen_at, known.published_until), (at(10), at(20), at(7)));
        assert_eq!(jwks_consumers::reach(conn, at(7), at(0)).await.unwrap(), (2, 1));
        assert_eq!(jwks_consumers::reach(conn, at(7), at(30)).await.unwrap(), (0, 0));
        assert_eq!(jwks_consumers::delete_unseen(conn, at(2)).await.unwrap(), 1);
        assert_eq!(jwks_consumers::all(conn).await.unwrap().len(), 1);
    }

    async fn issued_tokens_add_up_by_key_and_minute(app: TestApp) {
        let db = &app.app.db;
        let mut conn = db.write().await.unwrap();
        let conn = &mut conn;
        let (one, two) = (Kid::new("one".to_owned()), Kid::new("two".to_owned()));
        let issued = |tokens, last| IssuedTokens { tokens, last_expires_at: at(last) };
        issued_tokens::add(conn, &one, at(60), issued(3, 70)).await.unwrap();
        issued_tokens::add(conn, &one, at(60), issued(2, 65)).await.unwrap();
        issued_tokens::add(conn, &one, at(120), issued(1, 130)).await.unwrap();
        issued_tokens::add(conn, &two, at(60), issued(9, 100)).await.unwrap();
        let sum = issued_tokens::valid(conn, &one, at(69)).await.unwrap().into_iter().reduce(IssuedTokens::plus);
        assert_eq!(sum, Some(issued(6, 130)));
        let sum = issued_tokens::valid(conn, &one, at(70)).await.unwrap().into_iter().reduce(IssuedTokens::plus);
        assert_eq!(sum, Some(issued(1, 130)));
        assert_eq!(issued_tokens::delete_expired(conn, at(61)).await.unwrap(), 2);
        assert!(issued_tokens::valid(conn, &two, at(0)).await.unwrap().is_empty());
    }

    async fn live_sessions_are_counted_by_master_key(app: TestApp) {
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        let ada = user("ada@x.test", at(0));
        users::insert(&mut tx, &ada).await.unwrap();
        let under = |master: Option<&str>, now: i64| Session {
            master_key_id: master.map(str::to_owned),
            ..session(ada.id, at(now))
        };
        for session in [under(Some("a"), 0), under(Some("a"), 9), under(Some("b"), 3), under(None, 5)] {
            sessions::insert(&mut tx, &session).await.unwrap();
        }
        let over = under(Some("a"), 7);
        sessions::insert(&mut tx, &over).await.unwrap();
        sessions::revoke(&mut tx, over.id, at(8)).await.unwrap();
        assert_eq!(sessions::count_live(&mut tx, &LIMITS, at(10)).await.unwrap(), 4);
        let mut used = sessions::live_by_master_key(&mut tx, &LIMITS, at(10)).await.unwrap();
        used.sort_by_key(|used| used.master_key_id.clone());
        let told: Vec<_> = used.iter().map(|used| (used.master_key_id.as_deref(), used.sessions)).collect();
        assert_eq!(told, [(None, 1), (Some("a"), 2), (Some("b"), 1)]);
        assert_eq!(used[1].last_expires_at, at(9) + TimeDelta::days(30));
    }

    async fn clients_are_kept_as_they_were_written(app: TestApp) {
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        let all = client("b");
        let least = Client::new(ClientId::parse("a").unwrap(), all.name.clone(), ClientAuthMethod::None, at(1));
        assert!(clients::insert(&mut tx, &all).await.unwrap());
        assert!(clients::insert(&mut tx, &least).await.unwrap());
        assert!(!clients::insert(&mut tx, &Client { created_at: at(9), ..all.clone() }).await.unwrap(), "the id is taken");
        for written in [&all, &least] {
            let read = clients::by_id(&mut tx, &written.id).await.unwrap().unwrap();
            assert_eq!(told(&read), told(written));
            assert_eq!(told(&clients::lock_for_update(&mut tx, &written.id).await.unwrap().unwrap()), told(written));
        }
        let changed = Client { created_at: at(0), ..Client::new(all.id.clone(), least.name.clone(), ClientAuthMethod::None, at(0)) };
        let changed = Client { require_pkce: false, scopes: Scopes::default(), ..changed };
        assert!(clients::update(&mut tx, &Client { created_at: at(7), ..changed.clone() }).await.unwrap());
        assert_eq!(told(&clients::by_id(&mut tx, &all.id).await.unwrap().unwrap()), told(&changed), "its age stays");
        let nobody = ClientId::parse("nobody").unwrap();
        assert!(!clients::update(&mut tx, &Client { id: nobody.clone(), ..changed }).await.unwrap());
        assert!(clients::by_id(&mut tx, &nobody).await.unwrap().is_none());
        assert!(clients::lock_for_update(&mut tx, &nobody).await.unwrap().is_none());
        assert!(clients::delete(&mut tx, &all.id).await.unwrap());
        assert!(!clients::delete(&mut tx, &all.id).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn clients_are_paged_by_id(app: TestApp) {
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        for id in ["c", "a", "b", "a-1"] {
            clients::insert(&mut tx, &client(id)).await.unwrap();
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = clients::page(&mut tx, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            seen.extend(page.iter().map(|client| client.id.to_string()));
        }
        seen.sort();
        assert_eq!(seen, ["a", "a-1", "b", "c"]);
    }

    async fn a_client_that_cannot_be_read_is_named(app: TestApp) {
        let db = &app.app.db;
        let grafana = client("grafana");
        let mut tx = db.begin().await.unwrap();
        clients::insert(&mut tx, &grafana).await.unwrap();
        tx.commit().await.unwrap();
        for column in ["grant_types", "auth_method", "jwks"] {
            app.database.execute(&format!("UPDATE clients SET {column} = 'nonsense'")).await;
            let error = clients::by_id(&mut db.read().await.unwrap(), &grafana.id).await.unwrap_err().to_string();
            assert!(error.contains("clients") && error.contains(column) && error.contains("grafana"), "{error}");
            let right = match column { "grant_types" => "refresh_token", "auth_method" => "none", _ => r#"{"keys":[]}"# };
            app.database.execute(&format!("UPDATE clients SET {column} = '{right}'")).await;
        }
    }

    async fn secrets_are_good_until_they_end(app: TestApp) {
        let db = &app.app.db;
        let (one, other) = (client("one"), client("other"));
        let mut tx = db.begin().await.unwrap();
        for client in [&one, &other] {
            clients::insert(&mut tx, client).await.unwrap();
        }
        clients::add_secret(&mut tx, &one.id, &[1; 32], at(0)).await.unwrap();
        clients::add_secret(&mut tx, &other.id, &[9; 32], at(0)).await.unwrap();
        assert_eq!(clients::expire_secrets(&mut tx, &one.id, at(10)).await.unwrap(), 1);
        clients::add_secret(&mut tx, &one.id, &[2; 32], at(1)).await.unwrap();
        assert_eq!(clients::expire_secrets(&mut tx, &one.id, at(20)).await.unwrap(), 1, "none ends later than it would");
        tx.commit().await.unwrap();
        let conn = &mut db.write().await.unwrap();
        for (now, live) in [(9, vec![vec![1; 32], vec![2; 32]]), (10, vec![vec![2; 32]]), (19, vec![vec![2; 32]]), (20, vec![])] {
            let mut found = clients::live_secrets(conn, &one.id, at(now)).await.unwrap();
            found.sort();
            assert_eq!(found, live, "{now}");
        }
        assert_eq!(clients::live_secrets(conn, &other.id, at(900)).await.unwrap(), [vec![9; 32]]);
        assert_eq!(clients::delete_expired_secrets(conn, at(10), 10).await.unwrap(), 0);
        assert_eq!(clients::delete_expired_secrets(conn, at(21), 1).await.unwrap(), 1, "a batch at a time");
        assert_eq!(clients::delete_expired_secrets(conn, at(21), 1).await.unwrap(), 1);
        assert_eq!(clients::delete_expired_secrets(conn, at(21), 1).await.unwrap(), 0);
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 1);
    }

    async fn a_token_made_elsewhere_is_good_once(app: TestApp) {
        let db = &app.app.db;
        let use_up = async |number: u8, expires_at| {
            replay_guard::consume(&mut db.write().await.unwrap(), &[number; 32], expires_at).await.unwrap()
        };
        let (a, b, c, d) = tokio::join!(use_up(1, at(9)), use_up(1, at(9)), use_up(1, at(9)), use_up(1, at(9)));
        assert_eq!(u8::from(a) + u8::from(b) + u8::from(c) + u8::from(d), 1);
        assert!(use_up(2, at(10)).await && use_up(3, at(11)).await && !use_up(2, at(99)).await);
        let conn = &mut db.write().await.unwrap();
        assert_eq!(replay_guard::delete_expired(conn, at(9), 10).await.unwrap(), 0);
        assert_eq!(replay_guard::delete_expired(conn, at(11), 1).await.unwrap(), 1, "a batch at a time");
        assert_eq!(replay_guard::delete_expired(conn, at(11), 10).await.unwrap(), 1);
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, 1);
    }

    async fn a_pushed_request_is_used_once_by_its_client_in_time(app: TestApp) {
        let db = &app.app.db;
        let (grafana, other) = (client("grafana"), client("other"));
        let mut tx = db.begin().await.unwrap();
        for client in [&grafana, &other] {
            clients::insert(&mut tx, client).await.unwrap();
        }
        let said: Parameters = [("state", "\u{e4} \"&="), ("scope", "openid")].map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        for number in 1..4 {
            pushed_requests::insert(&mut tx, &[number; 32], &grafana.id, &said, at(60)).await.unwrap();
        }
        tx.commit().await.unwrap();
        let take = async |number: u8, client: &ClientId, now| {
            pushed_requests::consume(&mut db.write().await.unwrap(), &[number; 32], client, now).await.unwrap()
        };
        assert_eq!(take(1, &other.id, at(1)).await, None);
        assert_eq!(take(1, &grafana.id, at(60)).await, None);
        assert_eq!(take(9, &grafana.id, at(1)).await, None);
        let (a, b, c, d) = tokio::join!(take(1, &grafana.id, at(59)), take(1, &grafana.id, at(59)), take(1, &grafana.id, at(59)), take(1, &grafana.id, at(59)));
        let taken: Vec<Parameters> = [a, b, c, d].into_iter().flatten().collect();
        assert_eq!(taken, [said]);
        app.database.execute("UPDATE pushed_requests SET parameters = '{}' WHERE used_at IS NULL").await;
        let error = pushed_requests::consume(&mut db.write().await.unwrap(), &[2; 32], &grafana.id, at(1)).await.unwrap_err().to_string();
        assert!(error.contains("pushed_requests") && error.contains("parameters"), "{error}");
        let conn = &mut db.write().await.unwrap();
        assert_eq!(pushed_requests::delete_expired(conn, at(60), 10).await.unwrap(), 0);
        assert_eq!(pushed_requests::delete_expired(conn, at(61), 2).await.unwrap(), 2, "a batch at a time");
        assert_eq!(pushed_requests::delete_expired(conn, at(61), 2).await.unwrap(), 1);
    }

    async fn a_device_is_let_in_once_by_somebody_in_time(app: TestApp) {
        let db = &app.app.db;
        let (ada, grafana, other) = (user("ada@x.test", at(0)), client("grafana"), client("other"));
        let browser = session(ada.id, at(0));
        let device = |number: u8| DeviceGrant {
            digest: vec![number; 32],
            user_code: vec![number + 100; 32],
            client_id: grafana.id.clone(),
            granted: GrantedAccess { scopes: Scopes::from_claim("openid email"), audience: vec!["a".to_owned()] },
            session: SessionId::new(at(i64::from(number))),
            browser: None,
            created_at: at(0),
            expires_at: at(60),
            denied_at: None,
            consumed_at: None,
        };
        let (one, two, three) = (device(1), device(2), device(3));
        let five = TimeDelta::seconds(5);
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        sessions::insert(&mut tx, &browser).await.unwrap();
        clients::insert(&mut tx, &grafana).await.unwrap();
        for device in [&one, &two, &three] {
            assert!(device_codes::insert(&mut tx, device, five).await.unwrap());
        }
        let twin = DeviceGrant { user_code: one.user_code.clone(), ..device(9) };
        assert!(!device_codes::insert(&mut tx, &twin, five).await.unwrap(), "a user code is one device's");
        tx.commit().await.unwrap();

        let mut tx = db.begin().await.unwrap();
        let found = device_codes::of_user_code(&mut tx, &one.user_code).await.unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{one:?}"));
        let found = device_codes::of_client(&mut tx, &one.digest, &grafana.id).await.unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{one:?}"));
        assert!(device_codes::of_client(&mut tx, &one.digest, &other.id).await.unwrap().is_none());
        assert!(device_codes::of_user_code(&mut tx, &one.digest).await.unwrap().is_none());
        assert!(device_codes::consume(&mut tx, &one.digest, &grafana.id, at(1)).await.unwrap().is_none(), "nobody has let it in");
        assert!(!device_codes::allow(&mut tx, &one.digest, browser.id, at(60)).await.unwrap());
        assert!(!device_codes::deny(&mut tx, &one.digest, at(60)).await.unwrap());
        assert!(device_codes::allow(&mut tx, &one.digest, browser.id, at(1)).await.unwrap());
        assert!(device_codes::deny(&mut tx, &two.digest, at(1)).await.unwrap());
        for decided in [&one, &two] {
            let found = device_codes::of_user_code(&mut tx, &decided.user_code).await.unwrap().unwrap();
            assert_ne!(found.status(at(2)), DeviceStatus::Waiting);
            assert!(!device_codes::allow(&mut tx, &decided.digest, browser.id, at(2)).await.unwrap());
            assert!(!device_codes::deny(&mut tx, &decided.digest, at(2)).await.unwrap());
        }
        assert!(device_codes::consume(&mut tx, &two.digest, &grafana.id, at(2)).await.unwrap().is_none());
        assert!(device_codes::consume(&mut tx, &one.digest, &other.id, at(2)).await.unwrap().is_none());
        assert!(device_codes::consume(&mut tx, &one.digest, &grafana.id, at(60)).await.unwrap().is_none());
        let used = device_codes::consume(&mut tx, &one.digest, &grafana.id, at(59)).await.unwrap().unwrap();
        assert_eq!((used.browser, used.consumed_at, used.session), (Some(browser.id), Some(at(59)), one.session));
        assert!(device_codes::consume(&mut tx, &one.digest, &grafana.id, at(59)).await.unwrap().is_none());
        let denied = device_codes::of_client(&mut tx, &two.digest, &grafana.id).await.unwrap().unwrap();
        assert_eq!((denied.denied_at, denied.browser), (Some(at(1)), None));

        // The interval grows by five each time a device comes over a second too soon.
        let second = TimeDelta::seconds(1);
        for (now, in_time) in [(0, true), (4, true), (7, false), (15, false), (29, true), (42, false), (61, true)] {
            let asked = device_codes::record_poll(&mut tx, &three.digest, second, five, at(now)).await.unwrap();
            assert_eq!(asked, in_time, "{now}");
        }
        tx.commit().await.unwrap();
        let conn = &mut db.write().await.unwrap();
        assert_eq!(device_codes::delete_expired(conn, at(60), at(60), 10).await.unwrap(), 0);
        assert_eq!(device_codes::delete_expired(conn, at(61), at(60), 1).await.unwrap(), 1, "a batch at a time");
        assert_eq!(device_codes::delete_expired(conn, at(61), at(60), 10).await.unwrap(), 1, "but for what was used");
        assert_eq!(device_codes::delete_expired(conn, at(61), at(61), 10).await.unwrap(), 1);
    }

    async fn of_many_who_ask_for_a_device_one_gets_in(app: TestApp) {
        let db = &app.app.db;
        let (ada, grafana) = (user("ada@x.test", at(0)), client("grafana"));
        let browser = session(ada.id, at(0));
        let device = DeviceGrant {
            digest: vec![1; 32], user_code: vec![2; 32], client_id: grafana.id.clone(), granted: GrantedAccess::default(), session: SessionId::new(at(0)),
            browser: None, created_at: at(0), expires_at: at(60), denied_at: None, consumed_at: None,
        };
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        sessions::insert(&mut tx, &browser).await.unwrap();
        clients::insert(&mut tx, &grafana).await.unwrap();
        device_codes::insert(&mut tx, &device, TimeDelta::seconds(5)).await.unwrap();
        device_codes::allow(&mut tx, &device.digest, browser.id, at(1)).await.unwrap();
        tx.commit().await.unwrap();
        let ask = async || {
            let mut tx = db.begin().await.unwrap();
            let used = device_codes::consume(&mut tx, &device.digest, &grafana.id, at(2)).await.unwrap();
            tx.commit().await.unwrap();
            u8::from(used.is_some())
        };
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        assert_eq!(a + b + c + d, 1);
    }

    async fn a_session_is_bound_to_the_first_key_that_binds_it(app: TestApp) {
        let (ada, client) = (user("ada@x.test", at(0)), ClientId::first_party());
        let key = |letter: &str| Thumbprint::new_unchecked(letter.repeat(43));
        let (one, other) = (key("a"), key("b"));
        let (begun, other_session) = (session(ada.id, at(0)), session(ada.id, at(1)));
        let mut tx = app.app.db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        for begun in [&begun, &other_session] {
            sessions::insert(&mut tx, begun).await.unwrap();
        }
        tx.commit().await.unwrap();
        let conn = &mut app.app.db.write().await.unwrap();
        for (generation, key, binds, bound_to) in [
            (1, None, true, Some(None)),
            (2, Some(&one), false, Some(None)),
            (3, Some(&one), true, Some(Some(&one))),
            (4, None, true, None),
            (4, Some(&other), true, None),
            (4, Some(&other), false, None),
            (4, Some(&one), false, Some(Some(&one))),
        ] {
            let advance = Advance { key, binds, ..advance(begun.id, generation, &client, at(1)) };
            let moved = sessions::advance(conn, &advance, &LIMITS).await.unwrap();
            let found = moved.as_ref().map(|session| session.dpop_jkt.as_ref());
            assert_eq!(found, bound_to, "{generation} {key:?} {binds}");
        }
        // An answer given again binds as well, and to no second key.
        for (key, binds, counted, bound_to) in
            [(None, true, true, None), (Some(&one), false, true, None), (Some(&one), true, true, Some(&one)), (Some(&other), true, false, Some(&one)), (None, true, false, Some(&one))]
        {
            let advance = Advance { key, binds, ..advance(other_session.id, 1, &client, at(1)) };
            assert_eq!(sessions::count_reuse(conn, 1, &advance).await.unwrap(), counted, "{key:?} {binds}");
            let found = sessions::by_id(conn, other_session.id).await.unwrap().unwrap().dpop_jkt;
            assert_eq!(found.as_ref(), bound_to);
        }
        let kept = sessions::by_id(conn, begun.id).await.unwrap().unwrap();
        assert!(kept.is_open_to(Some(&one)) && !kept.is_open_to(Some(&other)) && !kept.is_open_to(None));
    }

    async fn consents_are_remembered_and_withdrawn(app: TestApp) {
        let db = &app.app.db;
        let (ada, bob, grafana) = (user("ada@x.test", at(0)), user("bob@x.test", at(0)), client("grafana"));
        let mut tx = db.begin().await.unwrap();
        for person in [&ada, &bob] {
            users::insert(&mut tx, person).await.unwrap();
        }
        clients::insert(&mut tx, &grafana).await.unwrap();
        assert!(consents::of(&mut tx, ada.id, &grafana.id).await.unwrap().is_none());
        for scope in ["openid", "email openid orders:read"] {
            consents::remember(&mut tx, ada.id, &grafana.id, &Scopes::from_claim(scope), at(1)).await.unwrap();
            assert_eq!(consents::of(&mut tx, ada.id, &grafana.id).await.unwrap().unwrap().to_string(), scope);
        }
        let listed = consents::of_user(&mut tx, ada.id).await.unwrap();
        assert_eq!((listed.len(), &listed[0].client_id, listed[0].granted_at), (1, &grafana.id, at(1)));
        assert!(consents::of_user(&mut tx, bob.id).await.unwrap().is_empty());
        assert!(consents::of(&mut tx, bob.id, &grafana.id).await.unwrap().is_none());
        assert!(!consents::withdraw(&mut tx, bob.id, &grafana.id).await.unwrap());
        assert!(consents::withdraw(&mut tx, ada.id, &grafana.id).await.unwrap());
        assert!(!consents::withdraw(&mut tx, ada.id, &grafana.id).await.unwrap());
        assert!(consents::of(&mut tx, ada.id, &grafana.id).await.unwrap().is_none());
        consents::remember(&mut tx, ada.id, &grafana.id, &Scopes::of_users(), at(2)).await.unwrap();
        consents::remember(&mut tx, bob.id, &grafana.id, &Scopes::of_users(), at(2)).await.unwrap();
        users::delete(&mut tx, bob.id).await.unwrap();
        assert!(consents::of(&mut tx, bob.id, &grafana.id).await.unwrap().is_none(), "it goes with the user");
        clients::delete(&mut tx, &grafana.id).await.unwrap();
        assert!(consents::of(&mut tx, ada.id, &grafana.id).await.unwrap().is_none(), "and with the client");
        tx.commit().await.unwrap();
    }

    async fn a_code_is_used_once_by_its_client_in_time(app: TestApp) {
        let db = &app.app.db;
        let (ada, grafana, other) = (user("ada@x.test", at(0)), client("grafana"), client("other"));
        let browser = Session { client_id: ClientId::browser(), ..session(ada.id, at(0)) };
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        sessions::insert(&mut tx, &browser).await.unwrap();
        clients::insert(&mut tx, &grafana).await.unwrap();
        clients::insert(&mut tx, &other).await.unwrap();
        let flow = Uuid::new_v4();
        let full = code(&grafana.id, &browser, 1, Some(flow));
        let least = AuthorizationCode { nonce: None, challenge: None, redirect_uri_was_sent: false, ..code(&grafana.id, &browser, 2, None) };
        let late = code(&grafana.id, &browser, 3, None);
        for good in [&full, &least, &late] {
            assert!(authorization_codes::insert(&mut tx, good).await.unwrap());
        }
        assert!(!authorization_codes::insert(&mut tx, &code(&grafana.id, &browser, 4, Some(flow))).await.unwrap(), "one per sign-in");
        tx.commit().await.unwrap();

        let mut tx = db.begin().await.unwrap();
        assert!(authorization_codes::consume(&mut tx, &full.digest, &other.id, at(59)).await.unwrap().is_none());
        assert!(authorization_codes::consume(&mut tx, &late.digest, &grafana.id, at(60)).await.unwrap().is_none());
        assert!(authorization_codes::consume(&mut tx, &[4; 32], &grafana.id, at(1)).await.unwrap().is_none());
        assert!(authorization_codes::session_of_used(&mut tx, &full.digest, &grafana.id).await.unwrap().is_none(), "not used yet");
        for written in [&full, &least] {
            let used = authorization_codes::consume(&mut tx, &written.digest, &grafana.id, at(59)).await.unwrap().unwrap();
            assert_eq!(format!("{used:?}"), format!("{written:?}"));
            assert!(authorization_codes::consume(&mut tx, &written.digest, &grafana.id, at(59)).await.unwrap().is_none());
            let became = authorization_codes::session_of_used(&mut tx, &written.digest, &grafana.id).await.unwrap();
            assert_eq!(became, Some(written.session));
            assert!(authorization_codes::session_of_used(&mut tx, &written.digest, &other.id).await.unwrap().is_none());
        }
        tx.commit().await.unwrap();
        let conn = &mut db.write().await.unwrap();
        assert_eq!(authorization_codes::delete_expired(conn, at(60), at(60), 10).await.unwrap(), 0);
        assert_eq!(authorization_codes::delete_expired(conn, at(61), at(61), 2).await.unwrap(), 2, "a batch at a time");
        assert_eq!(authorization_codes::delete_expired(conn, at(61), at(61), 2).await.unwrap(), 1);
    }

    async fn of_many_who_show_a_code_one_gets_it(app: TestApp) {
        let db = &app.app.db;
        let (ada, grafana) = (user("ada@x.test", at(0)), client("grafana"));
        let browser = session(ada.id, at(0));
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        sessions::insert(&mut tx, &browser).await.unwrap();
        clients::insert(&mut tx, &grafana).await.unwrap();
        let code = code(&grafana.id, &browser, 1, None);
        authorization_codes::insert(&mut tx, &code).await.unwrap();
        tx.commit().await.unwrap();
        let show = async || {
            let mut tx = db.begin().await.unwrap();
            let used = authorization_codes::consume(&mut tx, &code.digest, &grafana.id, at(1)).await.unwrap();
            tx.commit().await.unwrap();
            u8::from(used.is_some())
        };
        let (a, b, c, d) = tokio::join!(show(), show(), show(), show());
        assert_eq!(a + b + c + d, 1);
    }

    async fn a_sign_in_makes_one_session(app: TestApp) {
        let db = &app.app.db;
        let (ada, grafana) = (user("ada@x.test", at(0)), ClientId::parse("grafana").unwrap());
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        let flow = Uuid::new_v4();
        let first = granted(ada.id, &grafana, "openid orders:read", at(0));
        let first = Session { parent: Some(SessionId::new(at(0))), ..first };
        assert!(sessions::insert_of_flow(&mut tx, &first, Some(flow)).await.unwrap());
        let second = session(ada.id, at(1));
        assert!(!sessions::insert_of_flow(&mut tx, &second, Some(flow)).await.unwrap());
        assert!(sessions::by_id(&mut tx, second.id).await.unwrap().is_none());
        assert!(sessions::insert_of_flow(&mut tx, &second, Some(Uuid::new_v4())).await.unwrap());
        for number in 2..4 {
            assert!(sessions::insert_of_flow(&mut tx, &session(ada.id, at(number)), None).await.unwrap());
        }
        let read = sessions::by_id(&mut tx, first.id).await.unwrap().unwrap();
        assert_eq!((&read.parent, &read.granted, &read.client_id), (&first.parent, &first.granted, &grafana));
        let read = sessions::by_id(&mut tx, second.id).await.unwrap().unwrap();
        assert_eq!((read.parent, read.granted), (None, None));
        tx.commit().await.unwrap();
    }

    async fn a_browser_session_in_use_is_noted_and_never_set_back(app: TestApp) {
        let ada = user("ada@x.test", at(0));
        let mut tx = app.app.db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        let (one, other) = (session(ada.id, at(0)), session(ada.id, at(0)));
        sessions::insert(&mut tx, &one).await.unwrap();
        sessions::insert(&mut tx, &other).await.unwrap();
        for (now, noted) in [(9, 9), (5, 9), (10, 10)] {
            sessions::mark_used(&mut tx, one.id, at(now)).await.unwrap();
            assert_eq!(sessions::by_id(&mut tx, one.id).await.unwrap().unwrap().last_used_at, at(noted));
        }
        assert_eq!(sessions::by_id(&mut tx, other.id).await.unwrap().unwrap().last_used_at, at(0));
        tx.commit().await.unwrap();
    }

    async fn signing_out_of_the_browser_ends_what_came_from_it_but_offline_access(app: TestApp) {
        let ada = user("ada@x.test", at(0));
        let grafana = ClientId::parse("grafana").unwrap();
        let mut tx = app.app.db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        let (browser, next) = (SessionId::new(at(0)), SessionId::new(at(1)));
        let child = |scope: &str, parent| Session { parent: Some(parent), ..granted(ada.id, &grafana, scope, at(2)) };
        let ended = [
            child("openid", browser), child("", browser), child("openid x_offline_access offline_access2", browser), child("offline-access", browser),
            child("OFFLINE_ACCESS openid", browser),
        ];
        let spared = [
            child("offline_access", browser), child("email offline_access openid", browser), child("email offline_access", browser),
            child("openid", next), session(ada.id, at(2)),
        ];
        for session in ended.iter().chain(&spared) {
            sessions::insert(&mut tx, session).await.unwrap();
        }
        assert_eq!(sessions::revoke_children(&mut tx, browser, at(3)).await.unwrap(), 5);
        assert_eq!(sessions::revoke_children(&mut tx, browser, at(4)).await.unwrap(), 0);
        for (session, revoked_at) in ended.iter().map(|one| (one, Some(at(3)))).chain(spared.iter().map(|one| (one, None))) {
            assert_eq!(sessions::by_id(&mut tx, session.id).await.unwrap().unwrap().revoked_at, revoked_at, "{:?}", session.granted);
        }

        sessions::transfer_children(&mut tx, browser, next).await.unwrap();
        let parents = async |tx: &mut store::Tx, session: &Session| sessions::by_id(tx, session.id).await.unwrap().unwrap().parent;
        assert_eq!(parents(&mut tx, &spared[0]).await, Some(next));
        assert_eq!(parents(&mut tx, &spared[3]).await, Some(next));
        assert_eq!(parents(&mut tx, &spared[4]).await, None);
        assert_eq!(sessions::revoke_children(&mut tx, browser, at(5)).await.unwrap(), 0);
        assert_eq!(sessions::revoke_children(&mut tx, next, at(5)).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }

    async fn whose_sessions_end_is_written_down_where_they_want_to_know(app: TestApp) {
        let (told, silent) = (client("told"), Client { backchannel_logout_uri: None, ..client("silent") });
        let (ada, bob) = (user("ada@x.test", at(0)), user("bob@x.test", at(0)));
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        for one in [&told, &silent] {
            assert!(clients::insert(&mut tx, one).await.unwrap());
        }
        for one in [&ada, &bob] {
            users::insert(&mut tx, one).await.unwrap();
        }
        let browser = session(ada.id, at(0));
        let child = |client: &Client, scope: &str| Session { parent: Some(browser.id), ..granted(ada.id, &client.id, scope, at(0)) };
        let all = [browser.clone(), child(&told, "openid"), child(&told, "openid offline_access"), child(&silent, "openid"),
            granted(ada.id, &told.id, "a", at(0)), granted(ada.id, &told.id, "a", at(0)), granted(bob.id, &told.id, "a", at(0)), granted(bob.id, &told.id, "a", at(9))];
        for one in &all {
            sessions::insert(&mut tx, one).await.unwrap();
        }
        tx.commit().await.unwrap();
        let written = async || app.database.count("SELECT count(*) FROM backchannel_logouts").await;
        let mut tx = db.begin().await.unwrap();
        assert!(sessions::revoke(&mut tx, browser.id, at(1)).await.unwrap());
        assert_eq!(sessions::revoke_children(&mut tx, browser.id, at(1)).await.unwrap(), 2);
        tx.commit().await.unwrap();
        assert_eq!(written().await, 2, "what goes on counts, and a client without an address does not");
        let mut tx = db.begin().await.unwrap();
        assert!(sessions::revoke(&mut tx, all[4].id, at(2)).await.unwrap());
        assert!(!sessions::revoke(&mut tx, all[4].id, at(2)).await.unwrap());
        assert!(sessions::revoke_one(&mut tx, all[5].id, at(2)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(written().await, 3);
        let mut tx = db.begin().await.unwrap();
        assert_eq!(sessions::revoke_begun_by(&mut tx, at(3), 1).await.unwrap(), 1);
        assert_eq!(sessions::revoke_begun_by(&mut tx, at(3), 9).await.unwrap(), 1);
        drop(tx);
        assert_eq!(written().await, 3, "not committed");
        let mut tx = db.begin().await.unwrap();
        assert_eq!(sessions::revoke_of_user(&mut tx, bob.id, None, at(4)).await.unwrap(), 2);
        assert_eq!(sessions::revoke_of_user(&mut tx, ada.id, None, at(4)).await.unwrap(), 1, "one that has been told of");
        tx.commit().await.unwrap();
        assert_eq!(written().await, 5);
        let mut tx = db.begin().await.unwrap();
        assert_eq!(backchannel_logouts::forget_client(&mut tx, &silent.id).await.unwrap(), 0);
        assert_eq!(backchannel_logouts::forget_client(&mut tx, &told.id).await.unwrap(), 5);
        tx.commit().await.unwrap();
    }

    async fn a_notice_is_claimed_by_one_until_its_lease_is_over(app: TestApp) {
        let told = client("told");
        let ada = user("ada@x.test", at(0));
        let db = &app.app.db;
        let mut tx = db.begin().await.unwrap();
        clients::insert(&mut tx, &told).await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        let ended: Vec<Session> = (0..3).map(|second| granted(ada.id, &told.id, "a", at(second))).collect();
        for (second, one) in (0..).zip(&ended) {
            sessions::insert(&mut tx, one).await.unwrap();
            sessions::revoke(&mut tx, one.id, at(second)).await.unwrap();
        }
        tx.commit().await.unwrap();
        let conn = &mut db.write().await.unwrap();
        assert!(!backchannel_logouts::any_due(conn, at(-1)).await.unwrap());
        assert!(backchannel_logouts::any_due(conn, at(0)).await.unwrap());
        let mut first = backchannel_logouts::claim(conn, at(2), at(30), 2).await.unwrap();
        first.sort_by_key(|notice| notice.created_at);
        let expected = BackchannelLogout { session: ended[0].id, user: ada.id, client: told.id.clone(), attempts: 1, created_at: at(0) };
        assert_eq!((first.len(), &first[0], first[1].session), (2, &expected, ended[1].id));
        let rest = backchannel_logouts::claim(conn, at(2), at(30), 9).await.unwrap();
        assert_eq!((rest.len(), rest[0].session), (1, ended[2].id));
        assert!(backchannel_logouts::claim(conn, at(29), at(60), 9).await.unwrap().is_empty());
        assert!(backchannel_logouts::finish(conn, &first[0]).await.unwrap());
        assert!(!backchannel_logouts::finish(conn, &first[0]).await.unwrap());
        assert!(backchannel_logouts::put_off(conn, &first[1], at(40)).await.unwrap());
        let again = backchannel_logouts::claim(conn, at(30), at(60), 9).await.unwrap();
        assert_eq!((again.len(), again[0].session, again[0].attempts), (1, ended[2].id, 2));
        // Who was slow has nothing to say any more.
        assert!(!backchannel_logouts::finish(conn, &rest[0]).await.unwrap());
        assert!(!backchannel_logouts::put_off(conn, &rest[0], at(90)).await.unwrap());
        assert_eq!(backchannel_logouts::claim(conn, at(40), at(60), 9).await.unwrap()[0].session, ended[1].id);
        assert_eq!(backchannel_logouts::delete_older(conn, at(1), 9).await.unwrap(), 0);
        assert_eq!(backchannel_logouts::delete_older(conn, at(9), 1).await.unwrap(), 1);
        assert_eq!(backchannel_logouts::delete_older(conn, at(9), 9).await.unwrap(), 1);
    }

    async fn who_registered_itself_and_is_not_used_is_removed(app: TestApp) {
        let db = &app.app.db;
        let ada = user("ada@x.test", at(0));
        let names = ["unused", "agreed", "signed-in", "over", "young", "operators"];
        let [unused, agreed, signed_in, over, young, operators] = names.map(client);
        let mut tx = db.begin().await.unwrap();
        users::insert(&mut tx, &ada).await.unwrap();
        for (number, one) in (0..).zip([&unused, &agreed, &signed_in, &over, &young, &operators]) {
            clients::insert(&mut tx, one).await.unwrap();
            if one.id != operators.id {
                client_registrations::insert(&mut tx, &one.id, &[number; 32], at(i64::from(number))).await.unwrap();
            }
        }
        consents::remember(&mut tx, ada.id, &agreed.id, &Scopes::from_claim("openid"), at(0)).await.unwrap();
        sessions::insert(&mut tx, &granted(ada.id, &signed_in.id, "openid", at(0))).await.unwrap();
        let ended = granted(ada.id, &over.id, "openid", at(0));
        sessions::insert(&mut tx, &ended).await.unwrap();
        sessions::revoke(&mut tx, ended.id, at(1)).await.unwrap();
        client_registrations::mark_used(&mut tx, &young.id, at(20)).await.unwrap();
        assert_eq!(client_registrations::token_digest(&mut tx, &agreed.id).await.unwrap(), Some(vec![1; 32]));
        assert_eq!(client_registrations::token_digest(&mut tx, &operators.id).await.unwrap(), None);
        assert_eq!(client_registrations::delete_unused(&mut tx, at(10), at(30), 1).await.unwrap(), std::slice::from_ref(&unused.id));
        assert_eq!(client_registrations::delete_unused(&mut tx, at(10), at(30), 9).await.unwrap(), std::slice::from_ref(&over.id));
        assert!(client_registrations::delete_unused(&mut tx, at(20), at(30), 9).await.unwrap().is_empty());
        assert_eq!(client_registrations::delete_unused(&mut tx, at(21), at(30), 9).await.unwrap(), std::slice::from_ref(&young.id));
        let long_after = at(0) + TimeDelta::days(31);
        assert_eq!(client_registrations::delete_unused(&mut tx, at(21), long_after, 9).await.unwrap(), std::slice::from_ref(&signed_in.id));
        assert_eq!(client_registrations::token_digest(&mut tx, &unused.id).await.unwrap(), None);
        assert!(clients::by_id(&mut tx, &agreed.id).await.unwrap().is_some() && clients::by_id(&mut tx, &operators.id).await.unwrap().is_some());
        tx.commit().await.unwrap();
    }

    async fn a_clients_sessions_end_for_one_user_or_for_all(app: TestApp) {
        let (ada, bob) = (user("ada@x.test", at(0)), user("bob@x.test", at(0)));
        let (grafana, other) = (ClientId::parse("grafana").unwrap(), ClientId::parse("other").unwrap());
        let mut tx = app.app.db.begin().await.unwrap();
        for person in [&ada, &bob] {
            users::insert(&mut tx, person).await.unwrap();
        }
        let all = [
            granted(ada.id, &grafana, "openid offline_access", at(1)), granted(ada.id, &grafana, "", at(1)), granted(bob.id, &grafana, "openid", at(1)),
            granted(ada.id, &other, "openid", at(1)), session(ada.id, at(1)),
        ];
        for session in &all {
            sessions::insert(&mut tx, session).await.unwrap();
        }
        assert_eq!(sessions::revoke_of_client(&mut tx, &grafana, Some(ada.id), at(2)).await.unwrap(), 2);
        assert_eq!(sessions::revoke_of_client(&mut tx, &grafana, None, at(3)).await.unwrap(), 1);
        assert_eq!(sessions::revoke_of_client(&mut tx, &grafana, None, at(4)).await.unwrap(), 0);
        assert_eq!(sessions::revoke_of_client(&mut tx, &ClientId::first_party(), None, at(4)).await.unwrap(), 0, "those of /auth are no client's");
        let mut ends = Vec::new();
        for session in &all {
            ends.push(sessions::by_id(&mut tx, session.id).await.unwrap().unwrap().revoked_at);
        }
        assert_eq!(ends, [Some(at(2)), Some(at(2)), Some(at(3)), None, None]);
        tx.commit().await.unwrap();
    }
}
