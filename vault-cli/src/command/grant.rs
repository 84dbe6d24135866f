//! `seqvault grant`: seal a dataset's unclosed epochs to a member. Constant work, whatever the dataset's size. Spec 5.3.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::card;
use vault_core::ids::{CardId, DatasetId, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantStatus};
use vault_core::ledger::statement::{Body, Facts, GrantTerms, Granted};

use super::member::{no_member, text};
use crate::error::{Failure, Kind, Outcome};
use crate::keyring::Keyring;
use crate::output;
use crate::seals::Seals;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::settings::Globals;

/// Let a member read a dataset (stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault grant run-42 anna\n  seqvault grant run-42 anna --until 2027-06-30 --purpose \"cohort study 7\"\n\nGranting again seals the keys to cards that were added since, and replaces the end date."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The member
    member: MemberId,
    /// The day at whose beginning (UTC) the grant ends: YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<u64>,
    /// What it is for; recorded, and visible to whoever holds the vault
    #[arg(long)]
    purpose: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    member: MemberId,
    until: Option<u64>,
    epochs: Vec<u64>,
    cards: Vec<SealedTo>,
    entry: Option<u64>,
}

#[derive(Serialize)]
struct SealedTo {
    card: CardId,
    fingerprint: String,
    label: String,
    new: bool,
}

/// Runs the verb.
///
/// # Errors
/// If the grant would not count, or the view of the vault is too old.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    session.check_fresh(&dataset).await?;
    let cards = check_member(&session, &args.member)?;
    let terms = GrantTerms {
        ends: args.until,
        facts: match &args.purpose {
            Some(purpose) => {
                let purpose = text("--purpose", purpose)?;
                Facts([("purpose".to_owned(), purpose.as_str().into())].into_iter().collect())
            }
            None => Facts::default(),
        },
        member: args.member.clone(),
    };
    if args.until.is_some_and(|until| until <= session.at().time) {
        return Err(Failure::usage("--until is in the past"));
    }
    check_author(&session, globals, &dataset)?;
    let mut done = Done {
        dataset: args.dataset.clone(),
        member: args.member.clone(),
        until: args.until,
        epochs: dataset.unclosed().map(|(n, _)| n).collect(),
        cards: shown_cards(&session, &dataset, &args.member, &cards),
        entry: None,
    };
    let out = globals.output();
    for card in done.cards.iter().filter(|c| c.new) {
        // Whatever the options: this is the moment to compare it.
        output::warn(&format!(
            "seals to a card that is new here: {}  {}",
            card.fingerprint,
            output::printable(&card.label)
        ));
    }
    if args.dry_run {
        return out.result(&done, || format!("{} would be granted to {}; nothing was done", done.dataset, done.member));
    }
    let signer = session.signer(globals)?;
    done.entry = Some(grant(&mut session, &signer, &mut dataset, &terms, &cards).await?);
    done.epochs = dataset.unclosed().map(|(n, _)| n).collect();
    out.result(&done, || {
        let until = done.until.map_or_else(String::new, |t| format!(" until {}", output::time(t)));
        format!(
            "{} may read {}{until} ({} card{})",
            done.member,
            done.dataset,
            done.cards.len(),
            if done.cards.len() == 1 { "" } else { "s" }
        )
    })
}

async fn grant(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    terms: &GrantTerms,
    shown: &[CardId],
) -> Outcome<u64> {
    let before = dataset.grants().get(&terms.member).cloned();
    for _ in 0..ATTEMPTS {
        if dataset.grants().get(&terms.member) != before.as_ref() {
            return Err(overtaken(dataset, terms));
        }
        let keyring = match Keyring::open(session, signer, dataset).await {
            Ok(keyring) => keyring,
            // A rotation that ended meanwhile has deleted the seals.
            Err(failure) if failure.kind == Kind::NotFound && session.has_moved(dataset).await? => continue,
            Err(failure) => return Err(failure),
        };
        session.check_fresh(dataset).await?;
        let cards = check_member(session, &terms.member)?;
        if cards != *shown {
            return Err(Failure::new(Kind::Conflict, format!("the cards of {} changed meanwhile", terms.member))
                .hint("run the same command again: it shows the cards before it seals to them"));
        }
        let owners: BTreeSet<(MemberId, CardId)> = cards.into_iter().map(|card| (terms.member.clone(), card)).collect();
        let mut seals = Seals::default();
        for (n, _) in dataset.unclosed() {
            seals.add(session, signer, dataset.id(), n, keyring.epoch(n)?, &owners)?;
        }
        let body = Body::Granted(Granted {
            approval: None,
            reservation: None,
            seals: seals.epoch_hashes().collect(),
            terms: terms.clone(),
            trace: None,
        });
        if let Landed::Yes { seq, .. } = seals.append(session, signer, dataset, body).await.map_err(explain)? {
            return Ok(seq);
        }
    }
    Err(Failure::new(Kind::Conflict, format!("{}: others were first {ATTEMPTS} times", dataset.id()))
        .hint("run the same command again"))
}

/// Somebody else decided about the same member meanwhile: a revocation must not be undone by a grant that knew nothing of it.
fn overtaken(dataset: &DatasetState, terms: &GrantTerms) -> Failure {
    Failure::new(
        Kind::Conflict,
        format!("the grant of {} on {} was changed by somebody else meanwhile", terms.member, dataset.id()),
    )
    .hint(format!(
        "look at it with `seqvault dataset show {}`, then run the same command again if it still holds",
        dataset.id()
    ))
}

fn check_member(session: &Session, member: &MemberId) -> Outcome<Vec<CardId>> {
    let (vault, at) = (&session.vault, session.vault.last_seq());
    if vault.member(member).is_none() {
        return Err(no_member(member));
    }
    if !vault.is_current_member(member, at) {
        return Err(Failure::refused(format!("{member} is retired: nothing can be granted to them"))
            .hint("enrol them anew under another id"));
    }
    let cards: Vec<CardId> = vault.current_cards(member, at).map(|c| *c.card.id()).collect();
    if cards.is_empty() {
        return Err(Failure::refused(format!("{member} has no current card"))
            .hint(format!("an officer or they themselves add one: `seqvault member add-key {member} --card CARD`")));
    }
    Ok(cards)
}

/// What can be told before a passphrase is asked for.
fn check_author(session: &Session, globals: &Globals, dataset: &DatasetState) -> Outcome<()> {
    let card = globals.card()?;
    let me = session.member_of(&card)?;
    let at = session.at();
    if dataset.is_holder(&session.vault, &me, card.id(), at) {
        return Ok(());
    }
    if !dataset.has_holder(&session.vault, at) && dataset.opens_all(&session.vault, &me, card.id(), at) {
        return Ok(());
    }
    let failure = Failure::refused(format!("{me} can't grant {}", dataset.id()));
    Err(if dataset.is_steward(&session.vault, &me, at.vault) {
        failure.hint("you are a steward, but the newest epoch is not sealed to this card: a steward who holds it grants it to you first")
    } else {
        let stewards: Vec<String> = session
            .vault
            .members()
            .map(|(id, _)| id)
            .filter(|m| dataset.is_steward(&session.vault, m, at.vault))
            .map(ToString::to_string)
            .collect();
        failure.hint(format!("only its stewards can: {}", stewards.join(", ")))
    })
}

fn shown_cards(session: &Session, dataset: &DatasetState, member: &MemberId, cards: &[CardId]) -> Vec<SealedTo> {
    cards
        .iter()
        .filter_map(|id| session.vault.card(id).map(|record| (id, record)))
        .map(|(id, record)| SealedTo {
            card: *id,
            fingerprint: card::fingerprint(id),
            label: record.card.label().to_owned(),
            new: !dataset.epochs().values().any(|e| e.seals.contains_key(&(member.clone(), *id))),
        })
        .collect()
}

fn explain(failure: Failure) -> Failure {
    if failure.message.contains("approvals are missing") {
        failure
            .hint("this vault asks for second signatures on a grant of this level; this version can't collect them yet")
    } else {
        failure
    }
}

/// Whether a member has a grant that was not ended by a statement.
#[must_use]
pub fn is_given(dataset: &DatasetState, member: &MemberId) -> bool {
    dataset.grants().get(member).is_some_and(|g| g.status == GrantStatus::Given)
}

/// Reads YYYY-MM-DD as the beginning of that day in UTC. Days-from-civil after Howard Hinnant's published algorithm.
fn day(text: &str) -> Result<u64, String> {
    let bad = || format!("{text}: not a date of the form YYYY-MM-DD");
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(bad()) };
    let number = |s: &str, len: usize| (s.len() == len).then(|| s.parse::<u64>().ok()).flatten();
    let (y, m, d) =
        (number(year, 4).ok_or_else(bad)?, number(month, 2).ok_or_else(bad)?, number(day, 2).ok_or_else(bad)?);
    if !(1970..=9999).contains(&y) || !(1..=12).contains(&m) || !(1..=31).contains(&d) {
        return Err(bad());
    }
    let y = if m <= 2 { y - 1 } else { y };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    let seconds = (era * 146_097 + doe).checked_sub(719_468).ok_or_else(bad)? * 86_400;
    // 31 February is a day of March: it would not be what was meant.
    if output::time(seconds).starts_with(text) { Ok(seconds) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(day("1970-01-01"), Ok(0));
        assert_eq!(day("2026-11-21").map(output::time), Ok("2026-11-21T00:00:00Z".to_owned()));
        for bad in ["2026-02-30", "2026-13-01", "26-01-01", "2026-1-1", "tomorrow", ""] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }
}
