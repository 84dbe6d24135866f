//! Errors to problems, here and nowhere else. Spec section 7.6.
//!
//! What a server says of its store stays inside: a member learns that it failed and which object was meant, the log has the rest.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use vault_core::ledger::fold::Stop;
use vault_policy::lang::{Bilingual, Lang};

use super::body::{Ended, changed, too_slow};
use super::rights::Refusal;
use super::trace;
use super::waves::Broken;
use crate::store::StoreError;
use crate::vault::{AppendError, LedgerError, PutError, RemoveError, StateError};
use crate::wire;
use crate::wire::problem::{Problem, Type};

/// A request that is not done, and what is said of it.
#[derive(Debug, Clone)]
pub struct Refused {
    of: Type,
    problem: Box<Problem>,
    /// Seconds after which it is worth another try.
    after: Option<u32>,
    /// What only the log says.
    cause: Option<String>,
}

/// What a handler gives.
pub(super) type Outcome<T = Response> = Result<T, Refused>;

impl Refused {
    /// A problem of a kind.
    pub(super) fn new(of: Type, detail: impl Into<String>) -> Self {
        Self { of, problem: Box::new(Problem::new(of, detail)), after: None, cause: None }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Type::Malformed, detail)
    }

    pub(super) fn too_large(length: u64, max: u64) -> Self {
        let detail = format!("{length} bytes are more than the {max} that are taken here");
        Self::new(Type::TooLarge, detail).with(|problem| problem.max = Some(max))
    }

    /// With what the problem's row names.
    pub(super) fn with(mut self, fill: impl FnOnce(&mut Problem)) -> Self {
        fill(&mut self.problem);
        self
    }

    /// Worth another try after so many seconds.
    pub(super) const fn after(mut self, seconds: u32) -> Self {
        self.after = Some(seconds);
        self
    }

    /// With what only the log says.
    fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Of an object of this name.
    fn of_object(self, name: &impl ToString) -> Self {
        self.with(|problem| problem.name = Some(name.to_string()))
    }

    /// Its kind.
    #[must_use]
    pub const fn of(&self) -> Type {
        self.of
    }
}

impl IntoResponse for Refused {
    /// The body is written when the request's id is known, by `answer`.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.of.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(cause) = &self.cause {
            tracing::error!(problem = self.of.row().0, "{cause}");
        }
        trace::note_problem(self.of);
        let mut response = status.into_response();
        if let Some(seconds) = self.after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Arc::new(*self.problem));
        response
    }
}

impl Refused {
    /// What the rules in force do not let pass, with the reason in both languages.
    pub(super) fn rules(detail: impl Into<String>, why: &Bilingual) -> Self {
        Self::new(Type::Rules, detail).with(|p| {
            p.reason = Some(why.say(Lang::En).to_owned());
            p.reason_zh = Some(why.say(Lang::Zh).to_owned());
        })
    }
}

/// The answer that a problem becomes.
pub(super) fn written(problem: &Problem, mut response: Response) -> Response {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    *response.body_mut() = body.into();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(wire::PROBLEM));
    response
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotAllowed(why) => Self::new(Type::NotAllowed, why),
            Refusal::Over | Refusal::Gone => Self::new(Type::NotFound, refusal.to_string()),
            Refusal::Stopped(stop) => stop.into(),
        }
    }
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::new(Type::Stopped, stop.to_string())
    }
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::new(Type::Internal, "a bug in the server; its log has more").because(broken)
    }
}

/// Why the stream of a body was given up, if rights were.
fn ended(source: &std::io::Error) -> Option<&Refused> {
    source.get_ref()?.downcast_ref::<Ended>().map(|ended| &ended.0)
}

impl From<&StoreError> for Refused {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::new(Type::NotFound, "there is no such object"),
            StoreError::TooLong { size, max, .. } => {
                Self::new(Type::Misnamed, format!("it has {size} bytes and may have {max}"))
            }
            StoreError::TooShort { size, .. } => {
                Self::new(Type::Range, format!("the object has {size} bytes")).with(|p| p.size = Some(*size))
            }
            StoreError::Archived { .. } => {
                let detail = "the object is in cold storage; whoever keeps the bucket has to restore it first";
                Self::new(Type::Archived, detail).because(error)
            }
            StoreError::NoLinks { .. } => Self::new(Type::NoLinks, "the vault's store makes no links"),
            StoreError::BodyDigest { .. } => changed(),
            StoreError::Body { source, .. } if ended(source).is_some() => {
                ended(source).cloned().unwrap_or_else(changed)
            }
            StoreError::Body { source, .. } if source.kind() == std::io::ErrorKind::TimedOut => too_slow(),
            StoreError::Body { .. } | StoreError::BodyLength { .. } => {
                Self::malformed("the body broke off, or has another length than its header says")
            }
            StoreError::Full { .. } => Self::new(Type::Storage, "the vault's store is full").because(error),
            StoreError::Denied { .. } | StoreError::ReadOnly { .. } => {
                Self::new(Type::Storage, "the vault's store refuses the server").because(error)
            }
            other => Self::new(Type::Storage, "the vault's store does not answer as it should").because(other).after(2),
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&LedgerError> for Refused {
    fn from(error: &LedgerError) -> Self {
        match error {
            LedgerError::Store(e) => e.into(),
            LedgerError::Gap { .. } => Self::new(Type::Damaged, error.to_string()).because(error),
        }
    }
}

impl From<&StateError> for Refused {
    fn from(error: &StateError) -> Self {
        match error {
            StateError::Ledger(e) => e.into(),
            StateError::Genesis(_) => Self::new(Type::Damaged, error.to_string()).because(error),
            StateError::Creation { .. } => Self::new(Type::NotFound, error.to_string()),
        }
    }
}

impl<E> From<Arc<E>> for Refused
where
    Self: for<'a> From<&'a E>,
{
    fn from(error: Arc<E>) -> Self {
        Self::from(error.as_ref())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        let text = error.to_string();
        match error {
            AppendError::State(e) => (&e).into(),
            AppendError::TooLong => {
                Self::new(Type::TooLarge, text).with(|p| p.max = Some(vault_core::ledger::statement::MAX_ENTRY as u64))
            }
            AppendError::NotNext { next, .. } => Self::new(Type::NotNext, text).with(|p| p.next = Some(next)),
            AppendError::Void { reason, .. } => {
                Self::new(Type::Void, text).with(|p| p.reason = Some(reason.to_owned()))
            }
            AppendError::Stopped(stop) => stop.into(),
            AppendError::Gate { refusal, .. } => Self::rules(text, &refusal.text()),
            AppendError::Missing { name } => Self::new(Type::Missing, text).of_object(&name),
            AppendError::Differs { name } => Self::new(Type::Misnamed, text).of_object(&name),
            AppendError::TooMany { .. } => Self::new(Type::Quota, text),
        }
    }
}

impl From<PutError> for Refused {
    fn from(error: PutError) -> Self {
        let text = error.to_string();
        match error {
            PutError::Store(e) => e.into(),
            PutError::NotPut { name } => Self::new(Type::NotAllowed, text).of_object(&name),
            PutError::Length { name, .. } | PutError::Differs { name } => {
                Self::new(Type::Misnamed, text).of_object(&name)
            }
            PutError::NoList { name } => Self::new(Type::Missing, text).of_object(&name),
            PutError::Taken { name } => Self::new(Type::Differs, text).of_object(&name),
        }
    }
}

impl From<RemoveError> for Refused {
    fn from(error: RemoveError) -> Self {
        let text = error.to_string();
        match error {
            RemoveError::State(e) => (&e).into(),
            RemoveError::Stopped(stop) => stop.into(),
            RemoveError::UnknownUpload { .. } => Self::new(Type::NotFound, text),
            RemoveError::TableMissing { name } | RemoveError::ListMissing { name } => {
                Self::new(Type::Missing, text).of_object(&name)
            }
            RemoveError::InUse { name } | RemoveError::NotWithdrawn { name } => {
                Self::new(Type::Conflict, text).of_object(&name)
            }
            RemoveError::OpenUpload { .. }
            | RemoveError::CommittedUpload { .. }
            | RemoveError::NotClosed { .. }
            | RemoveError::NotDeleted { .. } => Self::new(Type::Conflict, text),
        }
    }
}
