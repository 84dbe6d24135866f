//! Grants, cards, roles, and what act a number stands for.

use super::*;

impl Run {
    /// Does one act and compares.
    pub(crate) fn attempt(&mut self, t: Try) -> Result<(), String> {
        self.fuel = t.crash.checked_sub(1);
        let ended = self.act(t);
        self.fuel = None;
        match ended {
            Ok(()) | Err(Halt::Ends) => {}
            Err(Halt::Wrong(why)) => return Err(why),
        }
        if (t.who ^ t.whom).is_multiple_of(6) { self.compare() } else { Ok(()) }
    }

    pub(super) fn act(&mut self, t: Try) -> Result<(), Halt> {
        let cards: Vec<CardId> = self.owners.keys().copied().collect();
        let officer = self.card_of("olga");
        let card = cards[usize::from(t.who) % cards.len()];
        let other = cards[usize::from(t.whom) % cards.len()];
        let target = self.owners[&other].clone();
        let steward = self.steward(t);
        let eyes = self.eyes(t);
        self.log.push(format!("{t:?}: {} ({card:?}), {target}", self.owners[&card]));
        match t.act {
            0 => {
                self.now += 5 * u64::from(t.bend);
                Ok(())
            }
            1 | 2 => {
                self.keys.copies_all(&self.bucket, card);
                self.ideal.copies_all(card);
                Ok(())
            }
            3 => {
                let signer = if t.bend == 0 { officer } else { other };
                self.add_card(signer, &target)
            }
            4 => {
                let body = CardRetired { card: other, member: target, reason: text() };
                self.say_vault(if t.bend < 8 { officer } else { card }, Body::CardRetired(body)).map(drop)
            }
            5 if t.bend > 8 => {
                let body = MemberRetired { member: target, reason: text() };
                self.say_vault(officer, Body::MemberRetired(body)).map(drop)
            }
            5 => {
                let dataset = Some(self.dataset());
                let body = RoleSet { dataset, member: target, on: t.bend.is_multiple_of(2), role: Role::Steward };
                self.say_vault(officer, Body::RoleSet(body)).map(drop)
            }
            6 => {
                let signer = [officer, steward, card][usize::from(t.bend) % 3];
                self.say(eyes, signer, Body::Revoked(Revoked { member: target, reason: text() })).map(drop)
            }
            7 => {
                self.say(eyes, steward, Body::Suspended(Suspended { members: set([target]), reason: text() })).map(drop)
            }
            8..=11 => self.grant(t, eyes, if t.bend == 7 { card } else { steward }, &target),
            12 => self.seal_cards(eyes, if t.bend < 6 { steward } else { other }, &target),
            13 => self.set_recovery(t, eyes, steward, other),
            14..=19 if t.bend != 7 => self.rotate(t, eyes, steward),
            14..=19 if t.who.is_multiple_of(2) => self.rotate(t, eyes, card),
            14..=19 => self.rotate(t, eyes, self.steward_without_keys(t)),
            20 => self.open_with_revocation(t, eyes, steward, &target),
            21..=26 => {
                let uploader = if t.bend == 7 { card } else { self.uploader(t) };
                self.upload(t, eyes, uploader)
            }
            27..=29 => {
                let Some(n) = (!self.pending.is_empty()).then(|| usize::from(t.whom) % self.pending.len()) else {
                    return Ok(());
                };
                self.go_on(t, eyes, n)
            }
            30 => {
                let ids: Vec<ManifestId> = self.ideal.dataset().manifests.keys().copied().collect();
                let Some(manifest) = ids.get(usize::from(t.whom) % ids.len().max(1)) else { return Ok(()) };
                let body = ManifestRemoved { manifest: *manifest, reason: text() };
                self.say(eyes, if t.bend < 12 { steward } else { card }, Body::ManifestRemoved(body)).map(drop)
            }
            31 => self.reset(eyes, steward),
            32 => self.say(eyes, card, Body::Anchored(Empty {})).map(drop),
            33 => {
                let on = t.bend.is_multiple_of(2);
                self.say(eyes, steward, Body::UploaderSet(UploaderSet { member: target, on })).map(drop)
            }
            _ => self.close_without_keys(t, steward),
        }
    }

    pub(super) fn card_of(&self, name: &str) -> CardId {
        let name = member(name);
        let now = self.ideal.vault.last().unwrap();
        let current = now.cards.iter().find(|(_, m)| **m == name).map(|(card, _)| *card);
        current.unwrap_or_else(|| *self.owners.iter().find(|(_, m)| **m == name).unwrap().0)
    }

    /// All cards of stewards.
    pub(super) fn stewards(&self) -> Vec<CardId> {
        let now = self.ideal.vault.last().unwrap();
        let is = |m: &MemberId| *now.stewards.get(m).unwrap_or(&(m.as_str() == "stella"));
        now.cards.iter().filter(|(_, m)| is(m)).map(|(card, _)| *card).collect()
    }

    /// One of the stewards' cards, most often one that can work.
    pub(super) fn steward(&self, t: Try) -> CardId {
        let cards = self.stewards();
        let able: Vec<CardId> = cards.iter().copied().filter(|c| self.ideal.promised().contains(c)).collect();
        let from = if able.is_empty() || t.who.is_multiple_of(5) { &cards } else { &able };
        from.get(usize::from(t.who) % from.len().max(1)).copied().unwrap_or_else(|| self.card_of("stella"))
    }

    /// A steward's card that opens nothing, or not all, if there is one.
    pub(super) fn steward_without_keys(&self, t: Try) -> CardId {
        let cards: Vec<CardId> =
            self.stewards().into_iter().filter(|card| !self.ideal.promised().contains(card)).collect();
        cards.get(usize::from(t.whom) % cards.len().max(1)).copied().unwrap_or_else(|| self.card_of("sven"))
    }

    pub(super) fn uploader(&self, t: Try) -> CardId {
        if t.who.is_multiple_of(4) { self.steward(t) } else { self.card_of(["uma", "ulf"][usize::from(t.who) % 2]) }
    }

    pub(super) fn add_card(&mut self, signer: CardId, owner: &MemberId) -> Result<(), Halt> {
        if self.owners.len() > 20 {
            return Ok(());
        }
        let custodian = MemoryCustodian::generate(self.suite, owner.as_str(), self.now, &mut self.dice).unwrap();
        let id = *custodian.card().id();
        let card = B64(custodian.card().stored().to_vec());
        let terms = CardAddedTerms { card, member: owner.clone() };
        if self.say_vault(signer, Body::CardAdded(CardAdded { approval: None, terms }))? == Landed::Yes {
            self.owners.insert(id, owner.clone());
            self.keys.custodians.insert(id, custodian);
        }
        Ok(())
    }

    pub(super) fn current_cards(&self, eyes: Eyes, owner: &MemberId) -> BTreeSet<(MemberId, CardId)> {
        let vault = &self.vaults[eyes.vault];
        vault.current_cards(owner, eyes.vault as u64).map(|c| (owner.clone(), *c.card.id())).collect()
    }

    /// The secrets of all unclosed epochs, if the ledger gives them to this card.
    pub(super) fn all_secrets(&self, plan: &DatasetState, card: CardId) -> Result<Option<Ring>, Halt> {
        // Somebody else may have deleted what an old view names: then there is nothing to be had, and nothing is wrong.
        let Ok(ring) = self.keys.ring(&self.bucket, plan, &self.owners[&card], card) else { return Ok(None) };
        Ok(plan.unclosed().all(|(n, _)| ring.epochs.contains_key(&n)).then_some(ring))
    }

    /// Writes seals of all unclosed epochs to cards; their hashes. `None` if the signer does not have the secrets.
    pub(super) fn seal_unclosed(
        &mut self,
        plan: &DatasetState,
        card: CardId,
        to: &BTreeSet<(MemberId, CardId)>,
    ) -> Result<Option<Vec<EpochSeal>>, Halt> {
        let Some(ring) = self.all_secrets(plan, card)? else { return Ok(None) };
        let author = self.owners[&card].clone();
        let newest = plan.newest();
        let mut all = Vec::new();
        for (n, epoch) in &ring.epochs {
            let draw = self.ideal.drawn[n];
            if self.fault == Fault::GrantSealsTheNewestAlone && *n < newest {
                all.extend(to.iter().map(|(m, c)| EpochSeal {
                    card: *c,
                    epoch: *n,
                    member: m.clone(),
                    sha256: Digest([9; 32]),
                }));
                continue;
            }
            for (_, c) in to {
                self.ideal.is_let_in(*c, *n);
            }
            let seals = self.seal_epoch(&author, *n, epoch, draw, to)?;
            all.extend(seals.into_iter().map(|s| EpochSeal {
                card: s.card,
                epoch: *n,
                member: s.member,
                sha256: s.sha256,
            }));
        }
        Ok(Some(all))
    }

    /// Hashes of seals that there are not: what somebody without the secrets can say.
    pub(super) fn made_up(&mut self, plan: &DatasetState, to: &BTreeSet<(MemberId, CardId)>) -> Vec<EpochSeal> {
        let epochs: Vec<u64> = plan.unclosed().map(|(n, _)| n).collect();
        let dice = &mut self.dice;
        let pairs = to.iter().flat_map(|(m, c)| epochs.iter().map(move |n| (m.clone(), *c, *n)));
        pairs.map(|(member, card, epoch)| EpochSeal { card, epoch, member, sha256: Digest(dice.array()) }).collect()
    }

    /// Writes seals and says the statement that names them; takes them back if it does not land.
    pub(super) fn say_with_seals(
        &mut self,
        eyes: Eyes,
        card: CardId,
        to: &BTreeSet<(MemberId, CardId)>,
        body: impl Fn(Set<EpochSeal>) -> Body,
    ) -> Result<Landed, Halt> {
        let plan = self.plan(eyes);
        let made_up = self.made_up(&plan, to);
        // A client asks the fold it knows before it writes a seal.
        let asks = self.accepts(eyes, card, body(set(made_up.clone())));
        if !asks {
            self.say_in_vain(eyes, card, body(set(made_up)))?;
            return Ok(Landed::Void);
        }
        let Some(seals) = self.seal_unclosed(&plan, card, to)? else {
            self.say_in_vain(eyes, card, body(set(made_up)))?;
            return Ok(Landed::Void);
        };
        let landed = self.say(eyes, card, body(set(seals.clone())))?;
        if landed != Landed::Yes {
            for s in seals.into_iter().filter(|s| s.sha256.0 != [9; 32]) {
                self.withdraw(s.epoch, [Seal { card: s.card, member: s.member, sha256: s.sha256 }])?;
            }
        }
        Ok(landed)
    }

    /// Whether the ledgers as this client sees them would take a statement.
    pub(super) fn accepts(&self, eyes: Eyes, card: CardId, body: Body) -> bool {
        let seen = Eyes { looks_again: false, ..eyes };
        let stored = sign(&self.keys.custodians[&card], &self.draft(seen, card, body));
        let mut state = self.plan(eyes);
        state.extend(&self.vaults[eyes.vault], &Exposures::default(), &[&stored]);
        state.judged().last().is_some_and(|j| j.verdict == Verdict::Applied) && state.judged().len() == eyes.data + 2
    }

    pub(super) fn grant(&mut self, t: Try, eyes: Eyes, card: CardId, to: &MemberId) -> Result<(), Halt> {
        let ends = [None, None, None, Some(self.now + 25), Some(self.now + 90)][usize::from(t.crash ^ t.whom) % 5];
        let terms = GrantTerms { ends, facts: Facts::default(), member: to.clone() };
        let body = |seals| {
            Body::Granted(Granted { approval: None, reservation: None, seals, terms: terms.clone(), trace: None })
        };
        let mut cards = self.current_cards(eyes, to);
        match t.bend {
            // To a card that is no longer theirs too, or to one too few.
            12 => cards.extend(self.owners.iter().filter(|(_, m)| *m == to).map(|(c, m)| (m.clone(), *c))),
            13 => drop(cards.pop_first()),
            _ => {}
        }
        if matches!(t.bend, 12 | 13) {
            let plan = self.plan(eyes);
            let seals = self.made_up(&plan, &cards);
            return self.say_in_vain(eyes, card, body(set(seals)));
        }
        self.say_with_seals(eyes, card, &cards, body).map(drop)
    }

    pub(super) fn seal_cards(&mut self, eyes: Eyes, card: CardId, owner: &MemberId) -> Result<(), Halt> {
        let cards = self.current_cards(eyes, owner);
        let body = |seals| Body::CardSealed(CardSealed { member: owner.clone(), seals });
        self.say_with_seals(eyes, card, &cards, body).map(drop)
    }

    pub(super) fn set_recovery(&mut self, t: Try, eyes: Eyes, card: CardId, recovery: CardId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let mut cards: BTreeSet<CardId> = [recovery].into();
        if t.bend > 3 {
            cards.extend(plan.recovery());
        }
        let owner = self.owners[&recovery].clone();
        let sealed = |n: u64| plan.epochs()[&n].seals.contains_key(&(owner.clone(), recovery));
        let new = !plan.recovery().contains(&recovery);
        // Only what is not sealed already; here all or nothing, the mixture is for the fold's own tests.
        let missing: Vec<u64> = plan.unclosed().map(|(n, _)| n).filter(|n| new && !sealed(*n)).collect();
        let body = |seals| Body::RecoverySet(RecoverySet { cards: cards.iter().copied().collect(), seals });
        if missing.is_empty() {
            return self.say(eyes, card, body(Set::default())).map(drop);
        }
        self.say_with_seals(eyes, card, &[(owner.clone(), recovery)].into(), body).map(drop)
    }
}
