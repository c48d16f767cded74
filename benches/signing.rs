//! What issuing one token costs beside a bare RSA signature, both measured in turns in one run: machines are noisy, so the
//! ratio is the figure. `cargo bench --bench signing`
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use chancery::domain::keys::SigningAlgorithm;
use chancery::keys::{KeyFactory, KeyPlan, Signer};
use chancery::tokens::{AccessClaims, Audience, issue};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use uuid::Uuid;

const ROUNDS: usize = 60;
const PER_ROUND: u32 = 40;

fn main() {
    for bits in [2048, 3072, 4096] {
        measure(bits);
    }
}

fn measure(bits: usize) {
    let plan = KeyPlan { alg: SigningAlgorithm::Rs256, rsa_bits: bits };
    let key = KeyFactory::new(plan).take_key().unwrap();
    let pair = RsaKeyPair::from_pkcs8(&key.pkcs8).unwrap();
    let random = SystemRandom::new();
    let signer = Signer::from_pkcs8(key.kid.clone(), key.alg, &key.pkcs8).unwrap();
    let claims = claims();
    let message = vec![b'x'; issue(&signer, &claims).unwrap().expose().rfind('.').unwrap()];
    let mut signature = vec![0; pair.public_modulus_len()];
    let library_key = EncodingKey::from_rsa_der(pkcs1_of(&key.pkcs8));
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.kid.to_string());

    let mut bare = Vec::new();
    let mut ours = Vec::new();
    let mut library = Vec::new();
    for _ in 0..ROUNDS {
        bare.push(time(|| {
            pair.sign(&RSA_PKCS1_SHA256, &random, black_box(&message), &mut signature).unwrap();
        }));
        ours.push(time(|| {
            black_box(issue(&signer, black_box(&claims)).unwrap());
        }));
        library.push(time(|| {
            black_box(encode(&header, black_box(&claims), &library_key).unwrap());
        }));
    }
    let (bare, ours, library) = (median(bare), median(ours), median(library));
    println!("RSA-{bits}, median of {ROUNDS} rounds of {PER_ROUND}:");
    println!("  bare signature of as many bytes  {bare:>8.1} µs   1.000");
    println!("  a token by chancery              {ours:>8.1} µs   {:.3}", ours / bare);
    println!("  a token by jsonwebtoken::encode  {library:>8.1} µs   {:.3}", library / bare);
}

fn time(mut work: impl FnMut()) -> Duration {
    let started = Instant::now();
    for _ in 0..PER_ROUND {
        work();
    }
    started.elapsed() / PER_ROUND
}

/// In microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: "https://auth.example.com".to_owned(),
        sub: Uuid::new_v4().to_string(),
        aud: Audience::of(&["chancery".to_owned()]),
        exp: 1_800_000_600,
        iat: 1_800_000_000,
        nbf: Some(1_800_000_000),
        jti: Uuid::new_v4(),
        client_id: "chancery".to_owned(),
        scope: "keys:read keys:rotate users:read users:write".to_owned(),
        sid: Some(Uuid::new_v4()),
        auth_time: Some(1_800_000_000),
        roles: Some(vec!["admin".to_owned()]),
        amr: Some(vec!["pwd".to_owned()]),
        act: None,
        cnf: None,
    }
}

/// jsonwebtoken wants PKCS#1.
fn pkcs1_of(pkcs8: &[u8]) -> &[u8] {
    use rsa::pkcs8::PrivateKeyInfoRef;
    PrivateKeyInfoRef::try_from(pkcs8).unwrap().private_key.as_bytes()
}
