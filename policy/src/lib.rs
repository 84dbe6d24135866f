//! The rules on shared sequencing data: what is stated, how it is graded, and whether a key may be sealed to somebody.
//!
//! Nothing here reads a clock, a file, a socket or a random number: time, salt and totals are arguments. So the client before
//! it asks for a passphrase, the server at the append and a verifier years later all get the same decision from the same values.
//! `docs/rules.md` maps each row of the rules to its rule and its tests.
//!
//! | to | look in |
//! |---|---|
//! | read, write, compare and commit to what is known | [`facts`] |
//! | propose levels with reasons | [`grading`] |
//! | load rules, decide, explain, evaluate again | [`gate`] |
//! | ask all that of folded ledgers | [`ledger`] |
//! | speak English or Chinese | [`lang`] |
//! | show what is wrong with a file, and where | [`problem`] |

pub mod day;
pub mod facts;
pub mod gate;
pub mod grading;
pub mod lang;
pub mod ledger;
pub mod problem;
mod source;
pub mod ternary;

pub use facts::{Dataset, Grant, Member};
pub use gate::{Case, Decision, Exposure, Outcome, Pack, decide};
pub use lang::Lang;
pub use ternary::Ternary;
