//! From the previous release to this one: stop, migrate, start. The previous release runs as a program of its own.

mod goes_on;
mod names;
mod stops;
mod support;
