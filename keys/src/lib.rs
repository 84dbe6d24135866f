//! Custody of seqvault identities: the file, the passphrase, and who holds the keys while they are in use.
//!
//! The rest of the program sees a [`custodian::Custodian`]: a card, a signature, an opened seal. No secret of an
//! identity leaves this crate. A server does not depend on it, so it can't even name an identity.
//!
//! | file | what |
//! |---|---|
//! | [`identity`] | the identity file as bytes: head, Argon2id, FLOE. Pure. Spec section 2.2 |
//! | [`passphrase`] | where a passphrase comes from |
//! | [`custodian`] | the trait |
//! | [`file`], [`memory`] | its providers |
//! | [`conformance`] | what every provider must do, as one function |
//! | [`locked`] | secrets at rest in memory that the system does not swap out |
//! | [`process`] | no core dumps |

pub mod conformance;
pub mod custodian;
pub mod file;
pub mod identity;
pub mod locked;
pub mod memory;
pub mod passphrase;
pub mod process;
