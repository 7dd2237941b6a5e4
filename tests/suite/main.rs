//! All integration tests, in one binary: it links once.

mod crash;
mod fakes;
mod full;
mod record;
mod recordings;
mod sandbox;
mod tidy;
mod verify;
