mod keys;
mod users;
