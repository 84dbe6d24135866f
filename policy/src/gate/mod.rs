//! The gate: rule packs as data, a typed three-valued evaluator, the decision that explains itself, and its trace.
//!
//! [`decide`] takes what is known of a dataset, a member and a grant, what the recipient was given before, the packs in force and the
//! time, and says *allow*, *blocked* until named evidence is given, or *deny*. An unknown fact can never make a grant possible
//! that some answer to it would forbid: an allowing rule counts only if it certainly holds, any other rule unless it certainly
//! does not. `docs/rules.md` lists the rules.
//!
//! Three callers, one function. Before it asks for a passphrase, a client decides on what it knows and shows [`Decision::explain`]. It reserves
//! the exposure if [`Decision::counted`] or [`Decision::exported`], signs a grant that ends by [`Decision::expires`] with [`Decision::trace`], and gathers
//! [`Decision::approvals`]. A server, and a verifier years later, reads the same facts from the ledger at the entry's `time`, takes the packs
//! that were in force there, and lets [`Trace::check`] decide again. For a grant that stands, [`Decision::standing`] says what it needs now.
//!
//! ```
//! use vault_core::json;
//! use vault_policy::gate::{Place, Stated, shipped};
//! use vault_policy::{Case, Dataset, Exposure, Grant, Lang, Outcome, decide};
//!
//! let facts = Dataset::parse_toml("[content]\nkinds = [\"sequence\"]\n").unwrap();
//! let dataset = Stated::dataset(&facts.split([0; 32]).unwrap().stated).unwrap();
//! let info = br#"{"facts":{},"jurisdiction":"CN","kind":"hospital","organisation":"A hospital"}"#;
//! let member = Stated::member(&json::parse(info).unwrap()).unwrap();
//! let grant = Stated::grant(&Grant::unknown().split([0; 32]).unwrap().stated).unwrap();
//! let (id, anna) = ("run-42".parse().unwrap(), "anna".parse().unwrap());
//! let case = Case {
//!     place: Place { dataset: &id, member: &anna, reservation: None, export: None },
//!     dataset: &dataset,
//!     member: &member,
//!     grant: &grant,
//!     level: 3,
//!     grade_confirmed: false,
//!     exposure: Exposure::default(),
//!     now: 1_781_496_000,
//! };
//! let packs: Vec<_> = shipped().iter().collect();
//! let decision = decide(&case, &packs);
//! assert_eq!(decision.outcome, Outcome::Blocked);
//! assert!(decision.explain(Lang::Zh).contains("须先查明"));
//! ```

pub mod condition;
mod decide;
mod explain;
pub mod inputs;
mod load;
pub mod pack;
mod reach;
mod syntax;
pub mod trace;

pub use decide::{Case, Decision, Effect, End, Exposure, Fired, Outcome, Place, Stated, decide};
pub use inputs::{Input, inputs_of};
pub use pack::{Cite, Pack, Rule, Standing, shipped, shipped_by_hash};
pub use trace::{Trace, TraceError};

/// The evaluator's version. It changes when the same pack and facts could give another decision, and stands in every trace.
pub const ENGINE: u64 = 1;
