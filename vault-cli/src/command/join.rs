//! `seqvault join`: accept an invitation. No vault is trusted on first use. Spec 4.7.

use clap::Args as ClapArgs;
use serde::{Deserialize, Serialize};
use vault_core::ids::{EntryHash, LedgerId, MemberId, VaultId};
use vault_core::json;

use crate::error::{Failure, Outcome};
use crate::session::{self, Session};
use crate::settings::Globals;

const PREFIX: &str = "seqvault-invite-1.";

/// Accept an officer's invitation to a vault
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault join \"$(cat anna.invite)\"\n\nThe invitation carries no secret, but must come to you unchanged: it is what your trust in the vault rests on."
)]
pub struct Args {
    /// The invitation, as `member add` printed it
    invitation: String,
    /// Where the vault is, if not where the invitation says
    #[arg(long, value_name = "LOCATION")]
    at: Option<String>,
    /// Forget what was seen of this vault before: after an officer restored it from a backup
    #[arg(long)]
    again: bool,
}

/// What an officer vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Hash of a vault entry: the enrolment or later.
    pub hash: EntryHash,
    /// Where the vault is.
    pub location: String,
    /// Who is invited.
    pub member: MemberId,
    /// The entry's number.
    pub seq: u64,
    /// The vault.
    pub vault: VaultId,
}

impl Invitation {
    /// As text.
    ///
    /// # Errors
    /// If a number is out of bounds.
    pub fn emit(&self) -> Outcome<String> {
        let bytes = json::emit(self).map_err(|e| Failure::usage(e.to_string()))?;
        let text = json::to_b64(&bytes).replace('+', "-").replace('/', "_");
        Ok(format!("{PREFIX}{}", text.trim_end_matches('=')))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// If it is no invitation.
    pub fn parse(text: &str) -> Outcome<Self> {
        let bad = || {
            Failure::usage("not an invitation, or not all of it")
                .hint("it begins with seqvault-invite-1. and is one line")
        };
        let body = text.trim().strip_prefix(PREFIX).ok_or_else(bad)?;
        // Unpadded base64url, and no other spelling of the same bytes.
        if body.contains(['+', '/', '=']) {
            return Err(bad());
        }
        let mut standard = body.replace('-', "+").replace('_', "/");
        while standard.len() % 4 != 0 {
            standard.push('=');
        }
        let bytes = json::from_b64(&standard).ok_or_else(bad)?;
        json::parse(&bytes).map_err(|_| bad())
    }
}

#[derive(Serialize)]
struct Joined {
    vault: VaultId,
    location: String,
    member: MemberId,
}

/// Runs the verb.
///
/// # Errors
/// If the vault is another, lacks the entry that the officer vouched for, or does not have this identity's card.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let invitation = Invitation::parse(&args.invitation)?;
    let state = globals.state()?;
    let card = globals.card()?;
    let location = args.at.as_deref().unwrap_or(&invitation.location);
    let client = crate::client::open(location, globals).await?;
    if client.claims().is_some_and(|claimed| claimed != invitation.vault) {
        return Err(Failure::integrity(format!("{location}: another vault is served here"))
            .hint("this is not the vault that you were invited to"));
    }
    let entries = client.entries(&LedgerId::Vault, 0).await?;
    let vault = session::fold_vault(client.as_ref(), &invitation.vault, &entries)
        .await
        .map_err(|failure| failure.at(location).hint("this is not the vault that you were invited to"))?;
    if vault.entry_hash(invitation.seq) != Some(invitation.hash) {
        return Err(Failure::integrity(format!(
            "{location} does not have the entry {} that the officer vouched for",
            invitation.seq
        ))
        .hint("it is an old copy, or was changed: ask the officer for a new invitation"));
    }
    let enrolled = vault.is_current_card(card.id(), &invitation.member, invitation.seq);
    if !enrolled {
        return Err(Failure::refused(format!(
            "the invitation is for {}, and this identity's card ({}) was not enrolled for it",
            invitation.member,
            card.fingerprint()
        ))
        .hint("use the identity whose card you sent (--identity), or send the officer this one's"));
    }
    if args.again {
        state.remember(&invitation.vault, client.location(), &[], true)?;
    }
    state.take_location(&invitation.vault, client.location())?;
    Session::begin(client, state, vault, globals.lang())?;
    let joined = Joined { vault: invitation.vault, location: location.to_owned(), member: invitation.member };
    globals
        .output()
        .result(&joined, || format!("joined vault {} at {} as {}", joined.vault, joined.location, joined.member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_reads_back() {
        let invitation = Invitation {
            hash: EntryHash([1; 32]),
            location: "/data/vault".to_owned(),
            member: "anna".parse().unwrap(),
            seq: 3,
            vault: VaultId([2; 32]),
        };
        let text = invitation.emit().unwrap();
        assert_eq!(Invitation::parse(&text).unwrap(), invitation);
        assert!(Invitation::parse(&text[..text.len() - 2]).is_err());
        assert!(Invitation::parse("hello").is_err());
        assert!(Invitation::parse(&format!("{text}=")).is_err());
    }
}
