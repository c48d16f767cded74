//! The rules of OAuth clients: settings, redirect URIs, keys, and dynamic registration (RFC 7591).
//!
//! `settings.rs` describes every setting once. A new setting is one entry there, one line of `client_columns!` in the store, and a
//! migration. `setting.rs` says what an entry consists of, `setting_types.rs` has the types of values. `check.rs` says which settings go together. The other files are the types of single
//! settings. A client has no states. Client secrets are digests in the store and are not part of `Client`.

mod check;
mod client;
mod client_keys;
mod login_uri;
mod logout_uri;
mod methods;
mod redirect_uri;
mod registration;
mod setting;
mod setting_types;
mod settings;

pub use check::InvalidClient;
pub use client_keys::{ClientKey, ClientKeys};
pub use login_uri::LoginUri;
pub use logout_uri::LogoutUri;
pub use methods::{ClientAuthMethod, GrantType};
pub use redirect_uri::{InvalidRedirectUri, RedirectUri};
pub use registration::{ClientMetadata, RegistrationLimits};
pub use setting::{
    ClientSetting, InvalidSetting, InvalidValue, PlainValue, SetBy, SettingOptions, SettingType,
    SettingValues, Shape, TextShape, Unset,
};
pub use settings::{Client, ClientChange};
