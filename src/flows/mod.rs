//! What Chancery does: one file, one verb, one small error enum, at most one write transaction.
//!
//! A flow takes the [`App`](crate::app::App) and domain values, decides by the domain's rules, opens the transaction and
//! commits it last. It knows no HTTP and no SQL text. Called by http, cli and background.

mod authenticate;
mod change_password;
mod check_master_keys;
mod check_password;
mod clean_up;
mod create_first_keys;
mod create_user;
mod delete_user;
mod end_session;
mod find_user;
mod hash_new_password;
mod issue_tokens;
mod list_sessions;
mod list_users;
mod load_keyring;
mod log_in;
mod log_out;
mod new_key;
mod refresh;
mod rotate_keys;
mod set_password;
mod sign_up;
mod sync_clock;
mod update_user;

pub use authenticate::{AuthenticateError, Caller, authenticate};
pub use change_password::{ChangePassword, ChangePasswordError, change_password};
pub use check_master_keys::{CheckMasterKeysError, check_master_keys};
pub use clean_up::clean_up;
pub use create_first_keys::create_first_keys;
pub use create_user::{CreateUser, CreateUserError, create_user};
pub use delete_user::delete_user;
pub use end_session::end_session;
pub use find_user::{UserError, find_user, get_user};
pub use hash_new_password::NewPasswordError;
pub use issue_tokens::IssuedTokens;
pub use list_sessions::list_sessions;
pub use list_users::{UserPage, list_users};
pub use load_keyring::{LoadKeyringError, fresh_keyring, load_keyring};
pub use log_in::{Device, LogIn, LogInError, LoggedIn, log_in};
pub use log_out::log_out;
pub use new_key::NewKeyError;
pub use refresh::{RefreshError, refresh};
pub use rotate_keys::{RotateKeys, RotateKeysError, rotate_keys};
pub use set_password::{SetPasswordError, set_password};
pub use sign_up::{SignUp, SignUpError, sign_up};
pub use sync_clock::sync_clock;
pub use update_user::{UserChange, update_user};
