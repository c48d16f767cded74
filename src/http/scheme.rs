use crate::domain::keys::SigningAlgorithm;

/// How an access token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750 section 2.1.
    Bearer,
    /// With a proof that one has the key it is bound to (RFC 9449 section 7.1).
    Dpop,
}

impl Scheme {
    /// What `WWW-Authenticate` says: `said`, and under which algorithms a proof may be.
    pub fn challenge(self, said: &str) -> String {
        match self {
            Self::Bearer => format!("Bearer {said}").trim_end().to_owned(),
            Self::Dpop => {
                let algorithms = SigningAlgorithm::OF_CLIENTS.join(" ");
                let comma = if said.is_empty() { "" } else { ", " };
                format!(r#"DPoP {said}{comma}algs="{algorithms}""#)
            }
        }
    }
}
