use clap::{Args, Subcommand};

use super::password::{PasswordArgs, read_password};
use super::{Failure, Output, failed, open, print_json};
use crate::app::App;
use crate::domain::accounts::{Authority, Role, User, UserStatus};
use crate::domain::operations::AuditContext;
use crate::domain::{DisplayName, Email, InvalidEmail, UserId};
use crate::flows::accounts::{
    CreateUser, UserChange, create_user, find_user, get_user, set_password, update_user,
};
use crate::settings::Settings;
use crate::views::UserView;

#[derive(Subcommand)]
pub enum UsersCommand {
    /// Create an account; with --admin, the first administrator
    Create(CreateArgs),
    /// Disable an account and revoke its sessions
    Disable(WhichArgs),
    /// Enable a disabled account
    Enable(WhichArgs),
    /// Set the password of an account and revoke its sessions
    SetPassword(SetPasswordArgs),
}

#[derive(Args)]
pub struct CreateArgs {
    /// E-mail address of the account
    #[arg(value_name = "EMAIL", value_parser = Email::parse)]
    email: Email,
    /// Display name
    #[arg(long)]
    name: Option<String>,
    /// Grant role `admin`
    #[arg(long)]
    admin: bool,
    /// Grant a role of `[roles]`; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Args)]
pub struct WhichArgs {
    /// E-mail address or id of the account
    #[arg(value_name = "EMAIL|ID", value_parser = Account::parse)]
    account: Account,
}

/// How a command names an account.
#[derive(Clone)]
enum Account {
    Email(Email),
    Id(UserId),
}

impl Account {
    fn parse(typed: &str) -> Result<Self, InvalidEmail> {
        // An address has an `@`, which no UUID has.
        typed.parse().map(|id| Self::Id(UserId(id))).or_else(|_| Email::parse(typed).map(Self::Email))
    }
}

#[derive(Args)]
pub struct SetPasswordArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

pub async fn run(command: UsersCommand, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let context = AuditContext::operator();
    let user = match command {
        UsersCommand::Create(args) => create(&app, args, context).await?,
        UsersCommand::Disable(args) => {
            set_status(&app, &args.account, UserStatus::Disabled, &context).await?
        }
        UsersCommand::Enable(args) => set_status(&app, &args.account, UserStatus::Active, &context).await?,
        UsersCommand::SetPassword(args) => {
            let user = find(&app, &args.which.account).await?;
            let password = read_password(&args.password)?;
            set_password(&app, &user, &password, &Authority::Unlimited, &context).await.map_err(failed)?;
            user
        }
    };
    let view = UserView::from(&user);
    if output == Output::Json {
        return print_json(&view);
    }
    let roles = if view.roles.is_empty() { "none".to_owned() } else { view.roles.join(", ") };
    println!("{}  {}  {}  roles: {roles}", view.id, view.email, view.status);
    Ok(())
}

async fn create(app: &App, args: CreateArgs, context: AuditContext) -> Result<User, Failure> {
    let name = args.name.as_deref().map(DisplayName::parse).transpose();
    let admin = args.admin.then_some(Role::ADMIN);
    let roles = app.settings.roles.parse_roles(args.roles.iter().map(String::as_str).chain(admin));
    let wanted = CreateUser {
        email: args.email,
        name: name.map_err(|error| Failure::Usage(format!("--name: {error}")))?,
        roles: roles.map_err(|error| Failure::Usage(format!("--role: {error}")))?,
        password: &read_password(&args.password)?,
        authority: Authority::Unlimited,
        context,
    };
    create_user(app, wanted).await.map_err(failed)
}

async fn set_status(
    app: &App,
    account: &Account,
    status: UserStatus,
    context: &AuditContext,
) -> Result<User, Failure> {
    let user = find(app, account).await?;
    let change = UserChange { status: Some(status), ..UserChange::default() };
    update_user(app, user.id, change, &Authority::Unlimited, context).await.map_err(failed)
}

async fn find(app: &App, account: &Account) -> Result<User, Failure> {
    match account {
        Account::Email(email) => find_user(app, email).await,
        Account::Id(id) => get_user(app, *id).await,
    }
    .map_err(failed)
}
