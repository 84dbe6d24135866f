//! `seqvault init`: a new vault; the caller becomes its first officer. Spec 5.2, `genesis`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::card::Card;
use vault_core::ids::{LedgerId, MemberId, VaultId, VaultNonce};
use vault_core::json::B64;
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{
    Algorithms, ApprovalCounts, Body, Entry, Genesis, GenesisMember, Role, RoleSet, Said, Statement,
};
use vault_core::ledger::vault::VaultState;

use super::member::{InfoArgs, read_card};
use crate::client::{Append, Client};
use crate::clock;
use crate::error::{Failure, Kind, Outcome};
use crate::random;
use crate::session::{self, Session, Signer};
use crate::settings::Globals;

const DAY: u64 = 86_400;

/// Make a new vault in a folder or a bucket; you become its first officer
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault init ./vault --member lab --organisation \"Example Lab\" --kind research --jurisdiction CN --recovery safe.card"
)]
pub struct Args {
    /// The folder or bucket; it must be empty, or a folder that does not exist. The same as --vault
    location: Option<String>,
    /// Your member id in the vault
    #[arg(long, default_value = "officer")]
    member: MemberId,
    #[command(flatten)]
    info: InfoArgs,
    /// A card kept offline that can read every new dataset and appoint an officer; again for more
    #[arg(long, value_name = "CARD")]
    recovery: Vec<PathBuf>,
    /// The member id of the recovery cards' keeper
    #[arg(long, default_value = "recovery", value_name = "MEMBER")]
    recovery_member: MemberId,
    /// Days after which `put` and `grant` refuse to work on an old view of the vault
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    head_age: u64,
    /// Do not let the first officer create datasets as well
    #[arg(long)]
    officer_only: bool,
    /// Ask for second signatures: one on grants of level 2 and 3, two on level 4 and 5, one on other grave acts
    #[arg(long)]
    two_person: bool,
}

#[derive(Serialize)]
struct Made {
    vault: VaultId,
    location: String,
    suite: u8,
    officer: MemberId,
    recovery_cards: usize,
}

/// Runs the verb.
///
/// # Errors
/// If the folder is in use, a card is bad, or the identity does not unlock.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let location = match &args.location {
        Some(location) => location.as_str(),
        None => globals.location()?,
    };
    if crate::client::remote::is_address(location) {
        return Err(crate::client::remote::no_init(location));
    }
    let out = globals.output();
    let state = globals.state()?;
    let card = globals.card()?;
    let genesis = genesis(&args, &card)?;
    if args.recovery.is_empty() {
        out.note("warning: no recovery card. If every steward of a dataset loses their identity, its data is lost (--recovery CARD)");
    }
    if args.two_person {
        out.note(
            "note: this version has no command yet to propose and approve: grants of level 2 and above will be refused",
        );
    } else {
        out.note("warning: no act needs a second person in this vault (--two-person)");
    }
    let custodian = globals.unlock()?;
    let signer = Signer { member: args.member.clone(), card: *card.id(), custodian };
    let statement = Statement {
        author: signer.member.clone(),
        body: Body::Genesis(genesis),
        card: signer.card,
        ledger: LedgerId::Vault,
        prev: None,
        seq: 0,
        time: clock::now(),
        vault: None,
        vault_head: None,
    };
    let stored = statement
        .sign(|pae| signer.custodian.sign(pae))
        .map_err(|e| Failure::new(Kind::Identity, format!("the genesis can't be signed: {e}")))?;
    let id = VaultId(entry_hash(None, &stored).0);
    // What this vault's own readers would refuse is never written.
    VaultState::fold(&id, &[&stored]).map_err(|e| Failure::usage(e.to_string()))?;
    let (client, id) = match crate::client::init(location, Bytes::from(stored.clone())).await {
        Ok(client) => match client.append(&LedgerId::Vault, 0, Bytes::from(stored)).await? {
            Append::Done => (client, id),
            Append::Taken => {
                return Err(Failure::new(Kind::Conflict, format!("{location} became another vault in the meantime")));
            }
        },
        Err(failure) if failure.kind == Kind::Conflict => adopt(globals, location, &statement, failure).await?,
        Err(failure) => return Err(failure),
    };
    state.take_location(&id, client.location())?;
    if client.keeps_epochs().await? {
        out.note(&format!("warning: {}", crate::client::local::VERSIONS));
    }
    let entries = client.entries(&LedgerId::Vault, 0).await?;
    let vault = session::fold_vault(client.as_ref(), &id, &entries).await?;
    let mut session = Session::begin(client, state, vault)?;
    if !args.officer_only {
        let role = RoleSet { dataset: None, member: args.member.clone(), on: true, role: Role::Creator };
        session.append_vault(&signer, &Body::RoleSet(role)).await?;
    }
    let made = Made {
        vault: id,
        location: location.to_owned(),
        suite: card.suite().id(),
        officer: args.member,
        recovery_cards: args.recovery.len(),
    };
    out.result(&made, || format!("vault {id}\n  in {location}, suite {}, first officer {}", made.suite, made.officer))
}

/// A vault whose only entry is the genesis that this command would write, but for its time and nonce: an `init` that was interrupted, which goes on.
async fn adopt(
    globals: &Globals,
    location: &str,
    wanted: &Statement,
    failure: Failure,
) -> Outcome<(Arc<dyn Client>, VaultId)> {
    let client = crate::client::open(location, globals).await?;
    let entries = client.entries(&LedgerId::Vault, 0).await?;
    let [genesis] = entries.as_slice() else { return Err(failure) };
    let id = VaultId(entry_hash(None, genesis).0);
    VaultState::fold(&id, &entries).map_err(|e| Failure::integrity(e.to_string()))?;
    let Ok(Said::Known(said)) = Entry::parse(genesis).map(|entry| entry.said) else { return Err(failure) };
    match (&said.body, &wanted.body) {
        (Body::Genesis(there), Body::Genesis(wanted_here))
            if said.card == wanted.card && *there == (Genesis { nonce: there.nonce, ..wanted_here.clone() }) =>
        {
            Ok((client, id))
        }
        _ => Err(failure),
    }
}

fn genesis(args: &Args, card: &Card) -> Outcome<Genesis> {
    let mut members = vec![GenesisMember {
        cards: vec![B64(card.stored().to_vec())],
        info: args.info.info()?,
        member: args.member.clone(),
    }];
    let mut recovery = BTreeMap::new();
    for path in &args.recovery {
        let card = read_card(path)?;
        recovery.insert(*card.id(), card);
    }
    let others: Vec<B64> =
        recovery.values().filter(|c| c.id() != card.id()).map(|c| B64(c.stored().to_vec())).collect();
    if !others.is_empty() {
        members.push(GenesisMember { cards: others, info: args.info.info()?, member: args.recovery_member.clone() });
    }
    let approvals = if args.two_person {
        ApprovalCounts { card_added: 1, dataset_deleted: 1, granted: [0, 1, 1, 2, 2], recovered: 1, released: 1 }
    } else {
        ApprovalCounts { card_added: 0, dataset_deleted: 0, granted: [0; 5], recovered: 0, released: 0 }
    };
    Ok(Genesis {
        algorithms: Algorithms::of(card.suite()),
        approvals,
        head_age: args.head_age.saturating_mul(DAY),
        members,
        nonce: VaultNonce(random::bytes()),
        recovery: recovery.keys().copied().collect(),
        suite: card.suite(),
    })
}
