//! Behaviours of the adapter over real sockets on loopback. Every wait is for a condition, with a bound that only a
//! failure reaches.

mod net;

mod cancelling;
mod errors;
mod flooding;
mod joining;
mod leaving;
mod mixing;
mod sharing;
