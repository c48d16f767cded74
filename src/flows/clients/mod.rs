//! OAuth clients: create, change, delete, rotate secrets, register dynamically (RFC 7591, RFC 7592), and authenticate
//! (RFC 6749 section 2.3, RFC 7523).
//!
//! URLs: `/admin/clients` and below, `/oauth2/register` and below. A client has no states: the row exists or not; a secret
//! is live until its `expires_at`. This module issues no tokens.

mod authenticate_client;
mod change_registration;
mod clean_ups;
mod client_authority;
mod create_client;
mod delete_client;
mod find_client;
mod find_registration;
mod list_clients;
mod read_client_keys;
mod register_client;
mod rotate_client_secret;
mod update_client;
mod withdraw_registration;

pub use authenticate_client::{AuthenticateClientError, ClientCredentials, Proof, authenticate_client};
pub use change_registration::{ChangeRegistration, change_registration};
pub(in crate::flows) use clean_ups::CLEAN_UPS;
pub use create_client::{CreateClient, CreateClientError, create_client};
pub use delete_client::delete_client;
pub use find_client::{ClientError, get_client};
pub use find_registration::{FindRegistrationError, find_registration};
pub use list_clients::{ClientPage, list_clients};
pub use read_client_keys::read_client_keys;
pub use register_client::{RegisterClientError, Registered, may_register, register_client};
pub use rotate_client_secret::{RotateClientSecretError, RotatedSecret, rotate_client_secret};
pub use update_client::{UpdateClientError, update_client};
pub use withdraw_registration::withdraw_registration;
