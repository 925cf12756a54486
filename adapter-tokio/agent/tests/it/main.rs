//! Real agents as processes on loopback, and the commands that talk to them.

mod agents;
mod data;
mod demo;
mod errors;
mod hooks;
mod large;
mod leaving;
mod parts;
mod schema;
mod security;
mod sharing;
mod sim;
mod streams;
mod topics;
mod transfer;
mod values;
mod who;
