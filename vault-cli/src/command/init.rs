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
    Algorithms, ApprovalCounts, Body, Entry, Genesis, GenesisMember, PackSet, Role, RoleSet, Said, Statement,
};
use vault_core::ledger::vault::VaultState;

use super::member::{InfoArgs, read_card};
use super::pack::Found;
use crate::client::{Append, Client};
use crate::clock;
use crate::error::{Failure, Kind, Outcome};
use crate::gate::{self, Packs};
use crate::random;
use crate::session::{self, Session, Signer};
use crate::settings::Globals;

const DAY: u64 = 86_400;

/// Make a new vault in a folder or a bucket; you become its first officer
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault init ./vault --member lab --organisation \"Example Lab\" --kind research --jurisdiction CN --recovery safe.card --pack cn-sequencing"
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
    /// Put a rule pack in force from the start: a name, or a file; grants then need facts, an allowing decision and approvals
    #[arg(long, value_name = "PACK")]
    pack: Option<String>,
    /// Approvals that a grant needs, for levels 1 to 5 [default with --pack or --two-person: 0,1,1,2,2; else none]
    #[arg(long, value_name = "N,N,N,N,N", value_delimiter = ',', num_args = 1, value_parser = clap::value_parser!(u64).range(0..=8))]
    approvals: Vec<u64>,
}

#[derive(Serialize)]
struct Made {
    vault: VaultId,
    location: String,
    suite: u8,
    officer: MemberId,
    recovery_cards: usize,
    pack: Option<String>,
    approvals: [u64; 5],
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
    let packs = Packs::at_hand(globals)?;
    let pack = args.pack.as_deref().map(|name| super::pack::find(&packs, name, globals.lang())).transpose()?;
    if args.recovery.is_empty() {
        out.note("warning: no recovery card. If every steward of a dataset loses their identity, its data is lost (--recovery CARD)");
    }
    let approvals = genesis.approvals.granted;
    if approvals == [0; 5] && !args.two_person {
        out.note("warning: no act needs a second person in this vault (--two-person, --approvals)");
    }
    if let Some(found) = &pack {
        found.tell(globals.lang());
    } else {
        out.note("warning: no rule pack is in force: nothing is checked before a key is sealed; `seqvault pack set cn-sequencing`");
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
    let mut session = Session::begin(client, state, vault, globals.lang())?;
    if let Some(pack) = &pack {
        set_pack(globals, &mut session, &signer, pack, &packs).await?;
    }
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
        pack: pack.as_ref().map(|found| found.pack.name().to_owned()),
        approvals,
    };
    out.result(&made, || {
        let rules = made.pack.as_ref().map_or_else(String::new, |name| {
            let counts: Vec<String> = made.approvals.iter().map(ToString::to_string).collect();
            format!("\n  rules {name}; approvals of a grant by level: {}", counts.join(", "))
        });
        format!("vault {id}\n  in {location}, suite {}, first officer {}{rules}", made.suite, made.officer)
    })
}

/// Right after the genesis, so that nothing is ever granted in this vault without the rules.
async fn set_pack(
    globals: &Globals,
    session: &mut Session,
    signer: &Signer,
    found: &Found,
    packs: &Packs,
) -> Outcome<()> {
    let pack = &found.pack;
    if gate::in_force(&session.vault).iter().any(|(name, hash)| name == pack.name() && *hash == pack.hash()) {
        return Ok(());
    }
    if let (None, Some(text)) = (packs.by_hash(&pack.hash()), &found.text) {
        gate::keep_pack(&globals.state()?, pack, text)?;
    }
    let name = super::member::text("the pack's name", pack.name())?;
    session.append_vault(signer, &Body::PackSet(PackSet { hash: pack.hash(), name, on: true })).await.map(drop)
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
    let [genesis, rest @ ..] = entries.as_slice() else { return Err(failure) };
    // At most the rule pack was set as well.
    let set_pack = |entry: &Bytes| matches!(Entry::parse(entry), Ok(entry) if matches!(&entry.said, Said::Known(said) if matches!(said.body, Body::PackSet(_))));
    if rest.len() > 1 || !rest.iter().all(set_pack) {
        return Err(failure);
    }
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
    let guarded = args.two_person || args.pack.is_some();
    let granted = match args.approvals.as_slice() {
        [] if guarded => [0, 1, 1, 2, 2],
        [] => [0; 5],
        given => given.try_into().map_err(|_| {
            Failure::usage("--approvals: five numbers are needed, one for each level from 1 to 5, such as 0,1,1,2,2")
        })?,
    };
    let other = u64::from(args.two_person);
    let approvals =
        ApprovalCounts { card_added: other, dataset_deleted: other, granted, recovered: other, released: other };
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
