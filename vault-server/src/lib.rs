//! The vault's service over an object store. It holds no key: what it keeps it can't read, and what it is told it judges as
//! every reader does.
//!
//! | to | look in |
//! |---|---|
//! | keep objects so that an acknowledged one is whole and lasts | [`store`] |
//! | read and append ledgers, put and delete what they name | [`vault`] |
//! | answer requests over HTTP | [`http`] |
//! | know what both sides of a request mean by it | [`wire`] |
//! | decide by rules of one's own | [`packs`] |
//! | be told what to do; start, run, stop | [`config`], [`process`] |
//!
//! [`vault`] knows no protocol. A client in the same process calls [`vault::Vault`]; the server is one more caller of it, and S3 is
//! one more [`object_store::ObjectStore`] below [`store::Store`].

pub mod config;
pub mod http;
pub mod packs;
pub mod process;
pub mod store;
pub mod text;
pub mod vault;
pub mod wire;
