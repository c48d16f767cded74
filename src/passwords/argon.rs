use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};

use crate::domain::passwords::PasswordHash;

/// The hash's length in bytes.
const OUTPUT: usize = 32;
/// A stored hash that asks for more than this is not ours, and would be a way to stop the server.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 64;
const MAX_PARALLELISM: u32 = 16;

/// What one Argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

/// The cost is outside what Argon2 or this server allows.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "an Argon2id cost needs 8 KiB or more memory per lane, at most {MAX_MEMORY_KIB} KiB, 1 to {MAX_ITERATIONS} \
     iterations and 1 to {MAX_PARALLELISM} lanes"
)]
pub struct HashCostError;

impl HashCost {
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, HashCostError> {
        let cost = Self { memory_kib, iterations, parallelism };
        if memory_kib <= MAX_MEMORY_KIB
            && iterations <= MAX_ITERATIONS
            && (1..=MAX_PARALLELISM).contains(&parallelism)
            && cost.params().is_some()
        {
            Ok(cost)
        } else {
            Err(HashCostError)
        }
    }

    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(OUTPUT)).ok()
    }

    /// Hashes under a fresh salt, in PHC form. Argon2 refuses only costs that [`HashCost::new`] has refused and
    /// passwords of 4 GiB; should it refuse all the same, the hash matches no password.
    pub(super) fn hash(self, password: &str, memory: &mut Vec<Block>) -> PasswordHash {
        self.hash_with(password, Salt::generate(), memory).unwrap_or_else(|| self.decoy())
    }

    /// A hash no password matches: its output is all zero bytes.
    pub(super) fn decoy(self) -> PasswordHash {
        let salt = Salt::new(&[0; 16]).ok();
        let phc = self.params().zip(salt).and_then(|(params, salt)| phc(&params, salt, &[0; OUTPUT]));
        PasswordHash::from_phc(phc.unwrap_or_default())
    }

    fn hash_with(self, password: &str, salt: Salt, memory: &mut Vec<Block>) -> Option<PasswordHash> {
        let params = self.params()?;
        let output = compute(&params, password, &salt, memory)?;
        phc(&params, salt, &output).map(PasswordHash::from_phc)
    }

    /// Whether the password is the one behind the hash. A hash that cannot be read or costs too much matches nothing.
    pub(super) fn verify(password: &str, stored: &PasswordHash, memory: &mut Vec<Block>) -> bool {
        let Some((params, salt, expected)) = read(stored) else { return false };
        compute(&params, password, &salt, memory).is_some_and(|output| {
            aws_lc_rs::constant_time::verify_slices_are_equal(&output, expected.as_bytes()).is_ok()
        })
    }

    /// Whether today's cost asks for more than a stored hash had.
    pub(super) fn is_stronger_than(self, stored: &PasswordHash) -> bool {
        read(stored).is_none_or(|(params, ..)| {
            self.memory_kib > params.m_cost()
                || self.iterations > params.t_cost()
                || self.parallelism > params.p_cost()
        })
    }
}

fn read(stored: &PasswordHash) -> Option<(Params, Salt, Output)> {
    let hash = argon2::PasswordHash::new(stored.as_phc()).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let acceptable = hash.algorithm == ARGON2ID_IDENT
        && hash.version == Some(Version::V0x13.into())
        && params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_ITERATIONS
        && params.p_cost() <= MAX_PARALLELISM;
    if acceptable { Some((params, hash.salt?, hash.hash?)) } else { None }
}

fn compute(params: &Params, password: &str, salt: &Salt, memory: &mut Vec<Block>) -> Option<[u8; OUTPUT]> {
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut output = [0; OUTPUT];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, &mut memory[..])
        .ok()?;
    Some(output)
}

fn phc(params: &Params, salt: Salt, output: &[u8]) -> Option<String> {
    let hash = argon2::PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).ok()?,
        salt: Some(salt),
        hash: Some(Output::new(output).ok()?),
    };
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordVerifier;

    #[test]
    fn the_stored_form_names_its_cost_and_other_software_reads_it() {
        let cost = HashCost::new(19_456, 2, 1).unwrap();
        let memory = &mut Vec::new();
        let hash = cost.hash("correct horse", memory);
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_phc());
        assert_ne!(hash.as_phc(), cost.hash("correct horse", memory).as_phc(), "salts differ");
        let read = argon2::PasswordHash::new(hash.as_phc()).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &read).is_ok());
    }

    #[test]
    fn a_higher_cost_is_noticed_and_a_lower_one_is_not() {
        let (low, high) = (HashCost::new(64, 1, 1).unwrap(), HashCost::new(128, 2, 1).unwrap());
        let memory = &mut Vec::new();
        let hash = low.hash("correct horse", memory);
        assert!(high.is_stronger_than(&hash) && !low.is_stronger_than(&hash));
        assert!(HashCost::verify("correct horse", &hash, memory), "any readable cost verifies");
        assert!(!low.is_stronger_than(&high.hash("x", memory)));
    }

    #[test]
    fn memory_reused_from_a_larger_hash_changes_nothing() {
        let (low, high) = (HashCost::new(64, 1, 1).unwrap(), HashCost::new(256, 1, 1).unwrap());
        let memory = &mut Vec::new();
        let hash = low.hash("one", memory);
        high.hash("two", memory);
        assert!(HashCost::verify("one", &hash, memory));
    }

    #[test]
    fn hostile_hashes_are_refused_without_being_computed() {
        for hostile in [
            "",
            "plain",
            "$argon2id$v=19$m=4194304,t=1000,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(
                !HashCost::verify("x", &PasswordHash::from_phc(hostile.to_owned()), &mut Vec::new()),
                "{hostile}"
            );
        }
        assert!(HashCost::new(7, 1, 1).is_err());
        assert!(HashCost::new(u32::MAX, 1, 1).is_err());
        assert!(HashCost::new(64, 0, 1).is_err());
    }
}
