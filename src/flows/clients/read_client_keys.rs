use crate::domain::clients::ClientKeys;
use crate::keys;
use crate::keys::ClientKeysError;

/// Reads the public keys that a client is to be registered with.
pub fn read_client_keys(jwks: &serde_json::Value) -> Result<ClientKeys, ClientKeysError> {
    keys::read_client_keys(jwks)
}
