//! Turns at a ledger: appends one after another, and two seconds for whoever asked for them. Spec section 7.5.
//!
//! Turns stand in one line, first come first served, each member once. Appends stand in another, so that no number of people who wait for turns
//! keeps a revocation waiting: an append waits for the turn that runs when it comes, and for appends. Whoever has the turn appends at once,
//! and that ends it. All of it is a courtesy between the clients of one server: the store decides.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Line, OwnedMutexGuard, watch};
use vault_core::ids::{LedgerId, MemberId};

use super::problem::Refused;
use super::service::lock;
use crate::wire::problem::Type;

/// How long a turn lasts.
pub(super) const TURN: Duration = Duration::from_secs(2);

/// The lines of all ledgers that somebody stands at.
#[derive(Debug)]
pub(super) struct Turns {
    desks: Mutex<HashMap<LedgerId, Weak<Desk>>>,
    max: usize,
    /// How long each lasts.
    turn: Duration,
}

/// One ledger's lines.
#[derive(Debug, Default)]
struct Desk {
    turns: Arc<Line<()>>,
    appends: Arc<Line<()>>,
    turn: Mutex<Option<Turn>>,
    /// Who waits for a turn.
    waiting: Mutex<BTreeSet<MemberId>>,
    /// A line of each member's own, in which its appends stand before one of them stands with the others'.
    own: Mutex<HashMap<MemberId, Weak<Line<()>>>>,
}

/// A turn that runs; dropping it ends it.
#[derive(Debug)]
struct Turn {
    member: MemberId,
    since: Instant,
    _head: OwnedMutexGuard<()>,
    /// Whoever waits for the end sees this go.
    running: watch::Sender<()>,
}

/// The right to append, until it is dropped.
#[derive(Debug)]
pub(super) struct Head {
    _turn: Option<Turn>,
    _append: OwnedMutexGuard<()>,
    _desk: Arc<Desk>,
}

/// The member's one append that is under way at a ledger, until it is dropped.
#[derive(Debug)]
pub(super) struct Alone {
    _own: OwnedMutexGuard<()>,
    _desk: Arc<Desk>,
}

/// Somebody who waits for a turn, until it is dropped.
struct Waiting<'a>(&'a Desk, &'a MemberId);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).remove(self.1);
    }
}

impl Turns {
    /// At most so many wait for a turn at one ledger.
    pub(super) fn new(max: usize) -> Self {
        Self { desks: Mutex::default(), max, turn: TURN }
    }

    /// Waits for a turn and gives it to a member for [`TURN`], which it returns. Zero, and at once, if the member has one or waits for one already.
    pub(super) async fn take(&self, ledger: &LedgerId, member: &MemberId) -> Result<Duration, Refused> {
        let desk = self.desk(ledger);
        let has = lock(&desk.turn).as_ref().is_some_and(|turn| turn.member == *member);
        let Some(_waiting) = desk.wait(member, self.max)?.filter(|_| !has) else { return Ok(Duration::ZERO) };
        let head = Arc::clone(&desk.turns).lock_owned().await;
        let since = Instant::now();
        let turn = Turn { member: member.clone(), since, _head: head, running: watch::Sender::new(()) };
        *lock(&desk.turn) = Some(turn);
        let (desk, lasts) = (Arc::clone(&desk), self.turn);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            let mut turn = lock(&desk.turn);
            // Another's turn may have begun since.
            if turn.as_ref().is_some_and(|turn| turn.since == since) {
                *turn = None;
            }
        });
        Ok(lasts)
    }

    /// Waits until nothing else of the member's is being appended to the ledger: nobody stands in line twice.
    pub(super) async fn alone(&self, ledger: &LedgerId, member: &MemberId) -> Alone {
        let desk = self.desk(ledger);
        let own = desk.own(member).lock_owned().await;
        Alone { _own: own, _desk: desk }
    }

    /// The right to append: at once for whoever has the turn, else after the turn that runs.
    pub(super) async fn append(&self, ledger: &LedgerId, member: &MemberId) -> Head {
        let desk = self.desk(ledger);
        let (own, other) = {
            let mut turn = lock(&desk.turn);
            let own = if turn.as_ref().is_some_and(|turn| turn.member == *member) { turn.take() } else { None };
            (own, turn.as_ref().map(|turn| turn.running.subscribe()))
        };
        if let Some(mut running) = other {
            // An error is what is waited for: the turn has gone.
            let _ = tokio::time::timeout(self.turn, running.changed()).await;
        }
        let append = Arc::clone(&desk.appends).lock_owned().await;
        Head { _turn: own, _append: append, _desk: desk }
    }

    fn desk(&self, ledger: &LedgerId) -> Arc<Desk> {
        let mut desks = lock(&self.desks);
        if let Some(desk) = desks.get(ledger).and_then(Weak::upgrade) {
            return desk;
        }
        desks.retain(|_, desk| desk.strong_count() > 0);
        let desk = Arc::new(Desk::default());
        desks.insert(ledger.clone(), Arc::downgrade(&desk));
        desk
    }
}

impl Desk {
    fn own(&self, member: &MemberId) -> Arc<Line<()>> {
        let mut own = lock(&self.own);
        if let Some(line) = own.get(member).and_then(Weak::upgrade) {
            return line;
        }
        own.retain(|_, line| line.strong_count() > 0);
        let line = Arc::default();
        own.insert(member.clone(), Arc::downgrade(&line));
        line
    }

    /// Stands in line for a turn; `None` if the member does already.
    fn wait<'a>(&'a self, member: &'a MemberId, max: usize) -> Result<Option<Waiting<'a>>, Refused> {
        let mut waiting = lock(&self.waiting);
        if waiting.contains(member) {
            return Ok(None);
        }
        if waiting.len() >= max {
            return Err(Refused::new(Type::Busy, "too many wait for a turn at this ledger").after(2));
        }
        waiting.insert(member.clone());
        Ok(Some(Waiting(self, member)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    /// Longer than any test.
    const HOUR: Duration = Duration::from_secs(3600);

    fn turns(max: usize, turn: Duration) -> Arc<Turns> {
        Arc::new(Turns { turn, ..Turns::new(max) })
    }

    /// What comes of something that waits for nothing, or not for long.
    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), what).await.unwrap()
    }

    #[tokio::test]
    async fn the_holder_of_a_turn_appends_at_once_and_others_after_it() {
        let (turns, ledger) = (turns(8, HOUR), LedgerId::Vault);
        turns.take(&ledger, &member("a")).await.unwrap();
        let others = {
            let (turns, ledger) = (Arc::clone(&turns), ledger.clone());
            tokio::spawn(async move { drop(turns.append(&ledger, &member("b")).await) })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        let head = soon(turns.append(&ledger, &member("a"))).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!others.is_finished());
        drop(head);
        // The append ended the turn.
        soon(others).await.unwrap();
    }

    #[tokio::test]
    async fn a_turn_that_is_not_used_ends_by_itself() {
        let short = Duration::from_millis(200);
        let turns = turns(8, short);
        let began = Instant::now();
        assert_eq!(turns.take(&LedgerId::Vault, &member("a")).await.unwrap(), short);
        drop(soon(turns.append(&LedgerId::Vault, &member("b"))).await);
        assert!(began.elapsed() >= short, "{:?}", began.elapsed());
        assert_eq!(soon(turns.take(&LedgerId::Vault, &member("b"))).await.unwrap(), short);
    }

    #[tokio::test]
    async fn each_ledger_has_its_own_line() {
        let turns = turns(8, HOUR);
        turns.take(&LedgerId::Vault, &member("a")).await.unwrap();
        drop(soon(turns.append(&LedgerId::Dataset("x".parse().unwrap()), &member("b"))).await);
    }

    #[tokio::test]
    async fn appends_to_one_ledger_run_one_at_a_time_and_in_order() {
        let (turns, order) = (Arc::new(Turns::new(64)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = Vec::new();
        for n in 0..20 {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _head = turns.append(&LedgerId::Vault, &member(&format!("m{n}"))).await;
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
    async fn a_member_waits_once_and_a_line_that_is_too_long_refuses() {
        let turns = turns(1, HOUR);
        assert_eq!(turns.take(&LedgerId::Vault, &member("a")).await.unwrap(), HOUR);
        assert_eq!(turns.take(&LedgerId::Vault, &member("a")).await.unwrap(), Duration::ZERO, "it has the turn");
        let waiting = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(&LedgerId::Vault, &member("b")).await.map(drop) })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(turns.take(&LedgerId::Vault, &member("b")).await.unwrap(), Duration::ZERO, "it waits for one");
        assert_eq!(turns.take(&LedgerId::Vault, &member("c")).await.unwrap_err().of(), Type::Busy);
        waiting.abort();
        let _ = waiting.await;
        drop(soon(turns.append(&LedgerId::Vault, &member("a"))).await);
        assert_eq!(soon(turns.take(&LedgerId::Vault, &member("c"))).await.unwrap(), HOUR, "who leaves makes room");
    }

    #[tokio::test]
    async fn however_many_wait_for_turns_an_append_waits_for_one() {
        let turn = Duration::from_millis(500);
        let turns = turns(100, turn);
        turns.take(&LedgerId::Vault, &member("m")).await.unwrap();
        for n in 0..50 {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(&LedgerId::Vault, &member(&format!("m{n}"))).await.map(drop) });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        for _ in 0..2 {
            let began = Instant::now();
            drop(turns.append(&LedgerId::Vault, &member("officer")).await);
            assert!(began.elapsed() < 15 * turn, "{:?}", began.elapsed());
        }
    }
}
