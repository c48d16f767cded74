mod audit;
mod keys;
mod users;
