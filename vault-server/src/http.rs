//! The server's HTTP. Spec page 7.
//!
//! | to | look in |
//! |---|---|
//! | accept connections, bound their number and time, end them | [`serve`] |
//! | read certificates, and again when they change | [`tls`] |
//! | know what a request did: its id, its log line, its numbers | [`trace`], [`metrics`] |
//! | tell whether the server lives and can answer | [`health`] |

pub mod health;
pub mod metrics;
pub mod serve;
pub mod tls;
pub mod trace;
