//! What every provider must do, as one function that each provider's tests call.

use rand_core::CryptoRng;
use vault_core::card::Card;
use vault_core::context::{Context, Scope};
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::seal;
use vault_core::secret::Secret32;

use crate::custodian::{Custodian, CustodyError};

/// What a provider got wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider does not conform: {0}")]
pub struct Nonconformity(pub &'static str);

/// Uses a custodian in every way that it must allow, and some that it must not.
///
/// # Errors
/// The first thing that it gets wrong.
pub fn check(custodian: &dyn Custodian, rng: &mut impl CryptoRng) -> Result<(), Nonconformity> {
    card_is_valid(custodian)?;
    signatures_verify(custodian)?;
    other_messages_are_not_signed(custodian)?;
    seals_open(custodian, rng)?;
    wrong_seals_are_one_error(custodian, rng)
}

fn require(holds: bool, what: &'static str) -> Result<(), Nonconformity> {
    if holds { Ok(()) } else { Err(Nonconformity(what)) }
}

fn card_is_valid(custodian: &dyn Custodian) -> Result<(), Nonconformity> {
    let card = custodian.card();
    require(Card::parse(card.stored()).as_ref() == Ok(card), "its card does not read back")
}

fn signatures_verify(custodian: &dyn Custodian) -> Result<(), Nonconformity> {
    let key = custodian.card().verifying_key();
    let signature_base = b"\"@method\": GET\n\"@signature-params\": ()".to_vec();
    for message in [Envelope::pae(PayloadType::Statement, b"{}"), signature_base] {
        let signature = custodian.sign(&message).map_err(|_| Nonconformity("it does not sign what it must"))?;
        require(key.verify(&message, &signature).is_ok(), "a signature does not verify with its card")?;
        require(key.verify(b"another", &signature).is_err(), "a signature verifies for another message")?;
    }
    Ok(())
}

fn other_messages_are_not_signed(custodian: &dyn Custodian) -> Result<(), Nonconformity> {
    for message in [&b""[..], b"DSSEv1", b"dssev1 ", b"{}", &[0; 64]] {
        require(
            custodian.sign(message) == Err(CustodyError::NotSignable),
            "it signs a message that is neither a statement nor a request",
        )?;
    }
    Ok(())
}

fn seals_open(custodian: &dyn Custodian, rng: &mut impl CryptoRng) -> Result<(), Nonconformity> {
    let info = Scope::without_vault(custodian.card().suite()).sealed_file_key(custodian.card().id());
    for _ in 0..3 {
        let secret = Secret32::generate(rng);
        let sealed = seal::seal(custodian.card().kem(), &secret, &info, rng)
            .map_err(|_| Nonconformity("nothing can be sealed to its card"))?;
        require(custodian.open(&sealed, &info) == Ok(secret), "a seal to its card does not open")?;
    }
    Ok(())
}

fn wrong_seals_are_one_error(custodian: &dyn Custodian, rng: &mut impl CryptoRng) -> Result<(), Nonconformity> {
    let scope = Scope::without_vault(custodian.card().suite());
    let info = scope.sealed_file_key(custodian.card().id());
    let mut sealed = seal::seal(custodian.card().kem(), &Secret32::generate(rng), &info, rng)
        .map_err(|_| Nonconformity("nothing can be sealed to its card"))?;
    let refuses = |sealed: &[u8], info: &Context| {
        require(
            matches!(custodian.open(sealed, info), Err(CustodyError::Open(_))),
            "a wrong seal opens, or fails with another error than the one",
        )
    };
    refuses(&sealed, &scope.table(1))?;
    refuses(&[], &info)?;
    refuses(sealed.get(1..).unwrap_or_default(), &info)?;
    sealed.push(0);
    refuses(&sealed, &info)?;
    sealed.pop();
    for byte in sealed.iter_mut().step_by(31) {
        *byte ^= 1;
    }
    refuses(&sealed, &info)
}
