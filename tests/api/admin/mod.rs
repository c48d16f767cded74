mod access;
mod audit;
mod keys;
mod users;
