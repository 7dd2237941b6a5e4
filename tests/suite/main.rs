//! All integration tests, in one binary: it links once.

mod fakes;
mod recordings;
mod sandbox;
