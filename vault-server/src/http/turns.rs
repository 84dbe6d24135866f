//! Turns at a ledger: appends one after another, and two seconds for whoever asked for them. Spec section 7.5.
//!
//! A line for each ledger, first come first served. An append stands in line as a turn does; whoever has the turn appends at once, and
//! that ends it. All of it is a courtesy between the clients of one server: the store decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Line, OwnedMutexGuard};
use vault_core::ids::{LedgerId, MemberId};

use super::problem::Refused;
use super::service::lock;
use crate::wire::problem::Type;

/// How long a turn lasts.
pub(super) const TURN: Duration = Duration::from_secs(2);

/// The lines of all ledgers that somebody stands at.
#[derive(Debug)]
pub(super) struct Turns {
    lines: Mutex<HashMap<LedgerId, Weak<Desk>>>,
    max: usize,
}

/// One ledger's line.
#[derive(Debug, Default)]
struct Desk {
    line: Arc<Line<()>>,
    /// Who has a turn, with the place at the head of the line.
    turn: Mutex<Option<Turn>>,
    /// How many stand in line.
    waiting: Mutex<usize>,
}

#[derive(Debug)]
struct Turn {
    member: MemberId,
    since: Instant,
    head: OwnedMutexGuard<()>,
}

/// The head of a line, until it is dropped.
#[derive(Debug)]
pub(super) struct Head {
    _head: OwnedMutexGuard<()>,
    _desk: Arc<Desk>,
}

/// Somebody who stands in line, until it is dropped.
struct Waiting<'a>(&'a Desk);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0.waiting);
        *waiting = waiting.saturating_sub(1);
    }
}

impl Turns {
    /// At most so many stand in one line.
    pub(super) fn new(max: usize) -> Self {
        Self { lines: Mutex::default(), max }
    }

    /// Waits for a turn and gives it to a member for [`TURN`].
    pub(super) async fn take(&self, ledger: &LedgerId, member: &MemberId) -> Result<(), Refused> {
        let desk = self.desk(ledger);
        let head = self.stand(&desk).await?;
        let since = Instant::now();
        *lock(&desk.turn) = Some(Turn { member: member.clone(), since, head });
        tokio::spawn(async move {
            tokio::time::sleep(TURN).await;
            let mut turn = lock(&desk.turn);
            // Another's turn may have begun since.
            if turn.as_ref().is_some_and(|turn| turn.since == since) {
                *turn = None;
            }
        });
        Ok(())
    }

    /// The head of the line for one append: at once for whoever has the turn, else in order.
    pub(super) async fn append(&self, ledger: &LedgerId, member: &MemberId) -> Result<Head, Refused> {
        let desk = self.desk(ledger);
        let own = {
            let mut turn = lock(&desk.turn);
            if turn.as_ref().is_some_and(|turn| turn.member == *member) { turn.take() } else { None }
        };
        let head = match own {
            Some(turn) => turn.head,
            None => self.stand(&desk).await?,
        };
        Ok(Head { _head: head, _desk: desk })
    }

    async fn stand(&self, desk: &Desk) -> Result<OwnedMutexGuard<()>, Refused> {
        let _waiting = {
            let mut waiting = lock(&desk.waiting);
            if *waiting >= self.max {
                return Err(Refused::new(Type::Busy, "too many wait for a turn at this ledger").after(2));
            }
            *waiting += 1;
            Waiting(desk)
        };
        Ok(Arc::clone(&desk.line).lock_owned().await)
    }

    fn desk(&self, ledger: &LedgerId) -> Arc<Desk> {
        let mut lines = lock(&self.lines);
        if let Some(desk) = lines.get(ledger).and_then(Weak::upgrade) {
            return desk;
        }
        lines.retain(|_, desk| desk.strong_count() > 0);
        let desk = Arc::new(Desk::default());
        lines.insert(ledger.clone(), Arc::downgrade(&desk));
        desk
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    /// Milliseconds that something took, by the runtime's clock, which stands still but for timers.
    async fn took<T>(what: impl Future<Output = T>) -> (T, u128) {
        let began = tokio::time::Instant::now();
        let result = what.await;
        (result, began.elapsed().as_millis())
    }

    #[tokio::test]
    async fn the_holder_of_a_turn_appends_at_once_and_others_after_it() {
        let (turns, ledger) = (Arc::new(Turns::new(8)), LedgerId::Vault);
        turns.take(&ledger, &member("a")).await.unwrap();
        let others = {
            let (turns, ledger) = (Arc::clone(&turns), ledger.clone());
            tokio::spawn(async move { took(turns.append(&ledger, &member("b"))).await.1 })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (head, waited) = took(turns.append(&ledger, &member("a"))).await;
        assert!(waited < 50, "{waited}");
        assert!(!others.is_finished());
        drop(head.unwrap());
        assert!(others.await.unwrap() < 1500, "the append ended the turn");
    }

    #[tokio::test]
    async fn a_turn_that_is_not_used_ends_by_itself() {
        let turns = Turns::new(8);
        turns.take(&LedgerId::Vault, &member("a")).await.unwrap();
        let (_, other) = took(turns.append(&LedgerId::Dataset("x".parse().unwrap()), &member("b"))).await;
        assert!(other < 50, "another ledger has its own line");
        let (_, waited) = took(turns.append(&LedgerId::Vault, &member("b"))).await;
        assert!((1800..3500).contains(&waited), "{waited}");
    }

    #[tokio::test]
    async fn appends_to_one_ledger_run_one_at_a_time_and_in_order() {
        let (turns, order) = (Arc::new(Turns::new(64)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = Vec::new();
        for n in 0..20 {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _head = turns.append(&LedgerId::Vault, &member(&format!("m{n}"))).await.unwrap();
                lock(&order).push((n, "begins"));
                tokio::time::sleep(Duration::from_millis(1)).await;
                lock(&order).push((n, "ends"));
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let expected: Vec<_> = (0..20).flat_map(|n| [(n, "begins"), (n, "ends")]).collect();
        assert_eq!(*lock(&order), expected);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_refuses_and_who_leaves_makes_room() {
        let turns = Arc::new(Turns::new(1));
        let head = turns.append(&LedgerId::Vault, &member("a")).await.unwrap();
        let waiting = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.append(&LedgerId::Vault, &member("b")).await.map(drop) })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(turns.append(&LedgerId::Vault, &member("c")).await.unwrap_err().of(), Type::Busy);
        waiting.abort();
        let _ = waiting.await;
        drop(head);
        turns.append(&LedgerId::Vault, &member("c")).await.unwrap();
    }
}
