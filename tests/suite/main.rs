//! All integration tests, in one binary: it links once.

mod audit;
mod ci;
mod crash;
mod disable;
mod doctor;
mod documents;
mod enable;
mod examples;
mod export;
mod fakes;
mod faults;
mod full;
mod json;
mod junit;
mod plan;
mod policy;
mod record;
mod recordings;
mod revoke;
mod sandbox;
mod segments;
mod status;
mod tidy;
mod tools;
mod verify;
