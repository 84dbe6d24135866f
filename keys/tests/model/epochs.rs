//! Rotations, by honest stewards step by step and by others in vain; resets.

use super::*;

impl Run {
    pub(super) fn rotate(&mut self, t: Try, mut eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let owner = self.owners[&card].clone();
        let plan = self.plan(eyes);
        let goal = if t.whom.is_multiple_of(3) { Goal::settle(&plan) } else { Goal::rotate(&plan) };
        if t.bend == 7 {
            return self.rotate_in_vain(t, eyes, card);
        }
        for _ in 0..5 {
            let plan = self.plan(eyes);
            let now = self.fresh();
            let is_fresh = (eyes.vault, eyes.data, eyes.time) == (now.vault, now.data, now.time);
            let landed = match rotation::next(&plan, &self.vaults[eyes.vault], &owner, &card, self.at(eyes), goal) {
                Err(_) => return Ok(()),
                Ok(Step::Open { epoch, seal_to, unsealed }) => {
                    self.open_epoch(eyes, card, epoch, &seal_to, &unsealed, &BTreeSet::new())?
                }
                Ok(Step::Close { epoch, manifests }) => self.close(eyes, card, &plan, epoch, &manifests)?,
                Ok(Step::CleanUp { below }) => return self.clean_up(below),
            };
            if landed == Landed::Void {
                // Who sees all there is and asks what to do next is never refused: else no rotation would end.
                return if is_fresh {
                    Err(Halt::Wrong("a step that a rotation asks for is void".to_owned()))
                } else {
                    Ok(())
                };
            }
            eyes = self.fresh();
        }
        Ok(())
    }

    /// What somebody says who holds nothing, or gets it wrong: it must be void.
    pub(super) fn rotate_in_vain(&mut self, t: Try, eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let (mut to, unsealed) = plan.next_holders(&self.vaults[eyes.vault], self.at(eyes), &BTreeSet::new());
        if t.whom.is_multiple_of(2) {
            let former = self.owners.iter().nth(usize::from(t.whom) % self.owners.len()).unwrap();
            to.insert((former.1.clone(), *former.0));
        } else {
            to.pop_first();
        }
        let epoch = plan.newest() + 1;
        let (secret, _) = self.draw();
        let seals: Vec<Seal> =
            to.into_iter().map(|(member, card)| Seal { card, member, sha256: Digest(self.dice.array()) }).collect();
        let body = EpochOpened {
            epoch,
            public: B64(secret.public_key(&self.keys.scope, epoch).as_bytes().to_vec()),
            reason: text(),
            revokes: Set::default(),
            seals: set(seals),
            unsealed: unsealed.into_iter().collect(),
        };
        self.say_in_vain(eyes, card, Body::EpochOpened(body))?;
        let older = plan.in_scope_before(plan.newest()).count() as u64;
        let count = older + u64::from(t.whom % 3);
        let table = (count > 0).then_some(Digest([3; 32]));
        let body = EpochClosed { count, epoch: plan.newest(), table, void: Set::default() };
        self.say_in_vain(eyes, card, Body::EpochClosed(body))
    }

    /// A steward whose card does not open every unclosed epoch says that the newest is closed, and is right in everything else: it would
    /// give up or spoil what it can't read. Where nothing is to be closed, somebody able opens an epoch first and gets no further.
    pub(super) fn close_without_keys(&mut self, t: Try, able: CardId) -> Result<(), Halt> {
        // Who opens the epoch does not crash before: its attempt is what all this is for.
        self.fuel = None;
        let (eyes, owner) = (self.fresh(), self.owners[&able].clone());
        let plan = self.plan(eyes);
        if plan.newest() == plan.closed() {
            let goal = Goal::rotate(&plan);
            let next = rotation::next(&plan, &self.vaults[eyes.vault], &owner, &able, self.at(eyes), goal);
            let Ok(Step::Open { epoch, seal_to, unsealed }) = next else { return Ok(()) };
            self.open_epoch(eyes, able, epoch, &seal_to, &unsealed, &BTreeSet::new())?;
        }
        let eyes = self.fresh();
        let plan = self.plan(eyes);
        let older: BTreeSet<ManifestId> = plan.in_scope_before(plan.newest()).map(|(id, _)| *id).collect();
        let gives_up = t.bend.is_multiple_of(2);
        let count = if gives_up { 0 } else { older.len() as u64 };
        let table = (count > 0).then_some(Digest([3; 32]));
        let void: Set<ManifestId> = if gives_up { older.into_iter().collect() } else { Set::default() };
        let body = Body::EpochClosed(EpochClosed { count, epoch: plan.newest(), table, void });
        let lacking: Vec<CardId> =
            self.stewards().into_iter().filter(|card| !self.would_count(eyes, *card, &body)).collect();
        if plan.newest() == plan.closed() || lacking.is_empty() {
            return Ok(());
        }
        self.met.keyless += 1;
        self.say(eyes, lacking[usize::from(t.whom) % lacking.len()], body).map(drop)
    }

    pub(super) fn open_epoch(
        &mut self,
        eyes: Eyes,
        card: CardId,
        epoch: u64,
        to: &BTreeSet<(MemberId, CardId)>,
        unsealed: &BTreeSet<MemberId>,
        revokes: &BTreeSet<MemberId>,
    ) -> Result<Landed, Halt> {
        let author = self.owners[&card].clone();
        let (mut secret, draw) = self.draw();
        let before = self.ideal.drawn.get(&(epoch - 1)).copied().unwrap_or(draw);
        if self.fault == Fault::RotationKeepsTheSecret {
            secret = self.epoch_of(&self.keys.bytes_of(Key::Epoch(before)).copied().unwrap());
        }
        let seals = self.seal_epoch(&author, epoch, &secret, draw, to)?;
        if self.fault == Fault::RotationSealsToThoseWhoLeft {
            self.seal_in_secret(&author, epoch, &secret, to)?;
        }
        let body = EpochOpened {
            epoch,
            public: B64(secret.public_key(&self.keys.scope, epoch).as_bytes().to_vec()),
            reason: text(),
            revokes: revokes.iter().cloned().collect(),
            seals: set(seals.clone()),
            unsealed: unsealed.iter().cloned().collect(),
        };
        let landed = self.say(eyes, card, Body::EpochOpened(body))?;
        if landed == Landed::Yes {
            self.ideal.drawn.insert(epoch, draw);
            self.met.epochs += 1;
        } else {
            self.withdraw(epoch, seals)?;
        }
        Ok(landed)
    }

    /// The fault: objects that the model is not told of.
    pub(super) fn seal_in_secret(
        &mut self,
        author: &MemberId,
        n: u64,
        epoch: &EpochSecret,
        named: &BTreeSet<(MemberId, CardId)>,
    ) -> Result<(), Halt> {
        let former: Vec<(MemberId, CardId)> = match self.datas.last().unwrap().newest_epoch() {
            Some(epoch) => epoch.seals.keys().filter(|pair| !named.contains(pair)).cloned().collect(),
            None => Vec::new(),
        };
        for (owner, card) in former {
            let recipient = self.keys.custodians[&card].card();
            let bytes = epoch.seal_to(&self.keys.scope, n, author, recipient, &mut self.dice).unwrap();
            let hash = Digest(kdf::sha256(&bytes));
            let name = ObjectName::Grant { dataset: self.dataset(), epoch: n, member: owner, card, hash };
            self.put(&name, bytes, author, None)?;
        }
        Ok(())
    }

    pub(super) fn open_with_revocation(
        &mut self,
        t: Try,
        eyes: Eyes,
        card: CardId,
        whom: &MemberId,
    ) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let revokes: BTreeSet<MemberId> = [whom.clone()].into();
        let (to, unsealed) = plan.next_holders(&self.vaults[eyes.vault], self.at(eyes), &revokes);
        let seals = to.iter().map(|(m, c)| Seal { card: *c, member: m.clone(), sha256: Digest([4; 32]) });
        let body = Body::EpochOpened(EpochOpened {
            epoch: plan.newest() + 1,
            public: B64(self.draw().0.public_key(&self.keys.scope, plan.newest() + 1).as_bytes().to_vec()),
            reason: text(),
            revokes: revokes.iter().cloned().collect(),
            seals: set(seals),
            unsealed: unsealed.iter().cloned().collect(),
        });
        if !self.accepts(eyes, card, body.clone()) {
            return self.say_in_vain(eyes, card, body);
        }
        self.open_epoch(eyes, card, plan.newest() + 1, &to, &unsealed, &revokes)?;
        let _ = t;
        Ok(())
    }

    pub(super) fn close(
        &mut self,
        eyes: Eyes,
        card: CardId,
        plan: &DatasetState,
        epoch: u64,
        manifests: &[ManifestId],
    ) -> Result<Landed, Halt> {
        let is_new = eyes.data + 1 == self.datas.len();
        let Some(ring) = self.all_secrets(plan, card)? else {
            // Whoever was first has deleted what this view names.
            return if is_new {
                Err(Halt::Wrong("a rotator can't open an epoch".to_owned()))
            } else {
                Ok(Landed::Lost)
            };
        };
        let (mut table, mut void) = (BTreeMap::new(), BTreeSet::new());
        for id in manifests {
            let author = &plan.manifests()[id].author;
            match self.keys.manifest_key(&self.bucket, plan, &ring, id) {
                Err(why) if is_new => return Err(Halt::Wrong(format!("a rotator misses something: {why}"))),
                Err(_) => return Ok(Landed::Lost),
                Ok(Some(key)) if self.keys.fits(&self.bucket, id, author, &key) => drop(table.insert(*id, key)),
                Ok(_) => drop(void.insert(*id)),
            }
        }
        if self.fault == Fault::RotationDropsAManifest
            && let Some((id, _)) = table.pop_first()
        {
            void.insert(id);
        }
        if self.fault == Fault::TableHoldsAnotherKey
            && let Some(first) = table.first_entry()
        {
            *first.into_mut() = secret(&[8; 32]);
        }
        if self.fault == Fault::CleanUpComesTooEarly {
            self.clean_up(epoch)?;
        }
        if void.iter().any(|id| !self.ideal.spoiled.contains(id)) {
            return Err(Halt::Wrong("a rotation gives up a manifest whose header is good".to_owned()));
        }
        let count = table.len() as u64;
        let hash = if count == 0 {
            None
        } else {
            // What belongs in it is the model's to say, as of the same view.
            let known = &self.ideal.data[eyes.data];
            let older = known.manifests.iter().filter(|(id, n)| **n < epoch && !self.ideal.spoiled.contains(id));
            let gives = older.map(|(id, _)| Key::Manifest(*id)).collect();
            let author = self.owners[&card].clone();
            let key = ring.epochs[&epoch].table_key(&self.keys.scope, epoch);
            let bytes = KeyTable::new(table).seal(&key, &self.keys.scope, epoch, &mut self.dice).unwrap();
            let hash = Digest(kdf::sha256(&bytes));
            let name = ObjectName::Table { dataset: self.dataset(), epoch, hash };
            let opened_by = Key::Epoch(self.ideal.drawn[&epoch]);
            self.put(&name, bytes, &author, Some((opened_by, gives)))?;
            Some(hash)
        };
        let body = EpochClosed { count, epoch, table: hash, void: void.into_iter().collect() };
        let landed = self.say(eyes, card, Body::EpochClosed(body))?;
        match (landed, hash) {
            (Landed::Yes, _) => self.met.closed += 1,
            (_, Some(hash)) => {
                let name = ObjectName::Table { dataset: self.dataset(), epoch, hash };
                self.delete(&name.to_string())?;
            }
            _ => {}
        }
        Ok(landed)
    }

    pub(super) fn clean_up(&mut self, below: u64) -> Result<(), Halt> {
        let is_old = |name: &ObjectName| match name {
            ObjectName::Grant { epoch, .. } | ObjectName::Header { epoch, .. } | ObjectName::Table { epoch, .. } => {
                *epoch < below
            }
            _ => false,
        };
        let old: Vec<String> =
            self.bucket.live.iter().filter(|name| is_old(&self.bucket.all[*name].name)).cloned().collect();
        for name in old {
            self.delete(&name)?;
            if self.fault == Fault::CleanUpLeavesSeals
                && matches!(self.bucket.all[&name].name, ObjectName::Grant { .. })
            {
                self.bucket.live.insert(name);
            }
        }
        self.cleaned = true;
        Ok(())
    }

    pub(super) fn reset(&mut self, eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let author = self.owners[&card].clone();
        let mut to = self.current_cards(eyes, &author);
        for recovery in plan.recovery() {
            let owner = self.owners[recovery].clone();
            if self.vaults[eyes.vault].is_current_card(recovery, &owner, eyes.vault as u64) {
                to.insert((owner, *recovery));
            }
        }
        let epoch = plan.newest() + 1;
        let (secret, draw) = self.draw();
        let public = B64(secret.public_key(&self.keys.scope, epoch).as_bytes().to_vec());
        let body = |seals: Vec<Seal>| {
            Body::EpochReset(EpochReset {
                epoch,
                public: public.clone(),
                reason: text(),
                seals: set(seals),
                unreadable: plan.manifests().iter().filter(|(_, m)| m.is_in_scope()).map(|(id, _)| *id).collect(),
            })
        };
        let made_up = to.iter().map(|(m, c)| Seal { card: *c, member: m.clone(), sha256: Digest([5; 32]) }).collect();
        if !self.accepts(eyes, card, body(made_up)) {
            let made_up =
                to.iter().map(|(m, c)| Seal { card: *c, member: m.clone(), sha256: Digest([5; 32]) }).collect();
            return self.say_in_vain(eyes, card, body(made_up));
        }
        let seals = self.seal_epoch(&author, epoch, &secret, draw, &to)?;
        let body = body(seals.clone());
        if self.say(eyes, card, body)? == Landed::Yes {
            self.ideal.drawn.insert(epoch, draw);
            self.clean_up(epoch)
        } else {
            self.withdraw(epoch, seals)
        }
    }
}
