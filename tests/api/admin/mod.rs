mod access;
mod audit;
mod clients;
mod keys;
mod users;
