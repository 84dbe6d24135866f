//! The vault's service over an object store. It holds no key: what it keeps it can't read, and what it is told it judges as
//! every reader does.
//!
//! | to | look in |
//! |---|---|
//! | keep objects so that an acknowledged one is whole and lasts | [`store`] |
//! | read and append ledgers, put and delete what they name | [`vault`] |
//!
//! No protocol is spoken here. A client in the same process calls [`vault::Vault`]; a server is one more caller of it, and S3 is
//! one more [`object_store::ObjectStore`] below [`store::Store`].

pub mod store;
pub mod vault;
pub mod wire;
