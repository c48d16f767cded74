use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use super::{Failure, failed};

/// Where a password comes from: the terminal unless told otherwise, and never an argument, which others can see.
#[derive(Args)]
pub struct PasswordArgs {
    /// Read the password from standard input.
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from a file.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub fn read_password(args: &PasswordArgs) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = &args.password_file {
        let text = std::fs::read_to_string(path);
        return text.map(without_line_end).map_err(|error| failed(format!("{}: {error}", path.display())));
    }
    if args.password_stdin {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(without_line_end(text));
    }
    if !stdin().is_terminal() {
        let message = "there is no terminal to ask for a password; use --password-stdin or --password-file";
        return Err(Failure::Usage(message.to_owned()));
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(failed);
    let (first, second) = (ask("Password: ")?, ask("The same again: ")?);
    if first == second { Ok(first) } else { Err(Failure::Failed("the two passwords differ".to_owned())) }
}

/// Editors and `echo` end a line; that is no part of a password.
fn without_line_end(mut text: String) -> Zeroizing<String> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Zeroizing::new(text)
}
