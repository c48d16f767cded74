//! User accounts: register, create, change, delete, list, and set or change the password.
//!
//! URLs: `/auth/register`, `/auth/password`, `/admin/users` and below. States of an account: active, disabled. A change
//! is refused if the account has, or would get, scopes beyond the authority of the caller. Sessions are in `flows::sessions`.

mod change_password;
mod create_user;
mod delete_user;
mod find_user;
mod list_users;
mod set_password;
mod sign_up;
mod update_user;

pub use change_password::{ChangePassword, ChangePasswordError, change_password};
pub use create_user::{CreateUser, CreateUserError, create_user};
pub use delete_user::delete_user;
pub use find_user::{UserError, find_user, get_user};
pub use list_users::{UserPage, list_users};
pub use set_password::{SetPasswordError, set_password};
pub use sign_up::{SignUp, SignUpError, sign_up};
pub use update_user::{UserChange, update_user};
