//! The vault's service over an object store. It holds no key: what it stores it can't read.
//!
//! | to | look in |
//! |---|---|
//! | keep objects so that an acknowledged one lasts | [`store`] |

pub mod store;
