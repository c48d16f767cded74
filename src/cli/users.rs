use clap::{Args, Subcommand};

use super::password::{PasswordArgs, read_password};
use super::{Failure, Output, failed, open, print_json};
use crate::app::App;
use crate::domain::accounts::{Authority, Role, User, UserStatus};
use crate::domain::operations::AuditContext;
use crate::domain::{DisplayName, Email};
use crate::flows::accounts::{CreateUser, UserChange, create_user, find_user, set_password, update_user};
use crate::settings::Settings;
use crate::views::UserView;

#[derive(Subcommand)]
pub enum UsersCommand {
    /// Make an account. With --admin: the way to the first administrator.
    Create(CreateArgs),
    /// Disable an account and end all its sessions.
    Disable(WhoArgs),
    /// Let a disabled account log in again.
    Enable(WhoArgs),
    /// Set an account's password and end all its sessions.
    SetPassword(SetPasswordArgs),
}

#[derive(Args)]
pub struct CreateArgs {
    #[arg(long)]
    email: String,
    #[arg(long)]
    name: Option<String>,
    /// Give role `admin`.
    #[arg(long)]
    admin: bool,
    /// Give a role of [roles]; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Args)]
pub struct WhoArgs {
    #[arg(long)]
    email: String,
}

#[derive(Args)]
pub struct SetPasswordArgs {
    #[arg(long)]
    email: String,
    #[command(flatten)]
    password: PasswordArgs,
}

pub async fn run(command: UsersCommand, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let context = AuditContext::operator();
    let user = match command {
        UsersCommand::Create(args) => create(&app, args, context).await?,
        UsersCommand::Disable(args) => set_status(&app, &args.email, UserStatus::Disabled, &context).await?,
        UsersCommand::Enable(args) => set_status(&app, &args.email, UserStatus::Active, &context).await?,
        UsersCommand::SetPassword(args) => {
            let user = find(&app, &args.email).await?;
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
    let email = parse_email(&args.email)?;
    let name = args.name.as_deref().map(DisplayName::parse).transpose();
    let admin = args.admin.then_some(Role::ADMIN);
    let roles = app.settings.roles.parse_roles(args.roles.iter().map(String::as_str).chain(admin));
    let wanted = CreateUser {
        email,
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
    email: &str,
    status: UserStatus,
    context: &AuditContext,
) -> Result<User, Failure> {
    let user = find(app, email).await?;
    let change = UserChange { status: Some(status), ..UserChange::default() };
    update_user(app, user.id, change, &Authority::Unlimited, context).await.map_err(failed)
}

async fn find(app: &App, email: &str) -> Result<User, Failure> {
    find_user(app, &parse_email(email)?).await.map_err(failed)
}

fn parse_email(typed: &str) -> Result<Email, Failure> {
    Email::parse(typed).map_err(|error| Failure::Usage(format!("--email: {error}")))
}
