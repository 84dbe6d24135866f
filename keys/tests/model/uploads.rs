//! Uploads: begun, written, committed; or left and gone on with.

use super::*;

impl Run {
    pub(super) fn upload(&mut self, t: Try, eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let manifest = ManifestId(self.dice.array());
        let key: [u8; 32] = match self.keys.bytes_of(Key::Manifest(manifest)) {
            None if self.fault == Fault::ManifestKeyIsReused && !self.pending.is_empty() => self.pending[0].key,
            _ => self.dice.array(),
        };
        self.keys.is_called(key, Key::Manifest(manifest));
        self.pending.push(Pending {
            upload: UploadId(self.dice.array()),
            manifest,
            key,
            author: self.owners[&card].clone(),
            card,
            spoiled: t.bend == 11,
            opened: false,
            signed: None,
        });
        if t.bend == 11 {
            self.ideal.spoiled.insert(manifest);
        }
        self.go_on(t, eyes, self.pending.len() - 1)
    }

    pub(super) fn go_on(&mut self, t: Try, mut eyes: Eyes, n: usize) -> Result<(), Halt> {
        let mut p = self.pending[n].clone();
        for _ in 0..3 {
            if p.opened {
                break;
            }
            let body = UploadOpened { ends: self.now + 500, upload: p.upload };
            match self.say(eyes, p.card, Body::UploadOpened(body))? {
                Landed::Yes => {
                    p.opened = true;
                    self.pending[n] = p.clone();
                }
                Landed::Lost => eyes = self.fresh(),
                Landed::Void => {
                    if self.fault != Fault::ManifestKeyIsReused {
                        self.pending.remove(n);
                    }
                    return Ok(());
                }
            }
        }
        if p.signed.is_none() {
            // The names of packs and manifests are random, so whoever begins anew after a crash writes new ones; here they begin with
            // all of it or nothing.
            p.signed = Some(self.write_bodies(&p)?);
            self.pending[n] = p.clone();
        }
        for _ in 0..3 {
            let plan = self.plan(eyes);
            let header = self.write_header(&p, &plan)?;
            let signed = ManifestHash { header, ..p.signed.clone().unwrap() };
            let epoch = if t.bend == 12 { plan.newest().saturating_sub(1).max(1) } else { plan.newest() };
            let body = Body::UploadCommitted(UploadCommitted { epoch, manifests: vec![signed], upload: p.upload });
            if epoch != plan.newest() {
                self.say_in_vain(eyes, p.card, body)?;
                return Ok(());
            }
            match self.say(eyes, p.card, body)? {
                Landed::Yes => {
                    self.met.commits += 1;
                    if self.fault != Fault::ManifestKeyIsReused {
                        self.pending.remove(n);
                    }
                    return Ok(());
                }
                Landed::Lost => eyes = self.fresh(),
                Landed::Void => return Ok(()),
            }
        }
        Ok(())
    }

    pub(super) fn write_bodies(&mut self, p: &Pending) -> Result<ManifestHash, Halt> {
        let count = 1 + usize::from(p.upload.0[0] % 3);
        let files: Vec<Vec<u8>> = (0..count).map(|n| vec![p.manifest.0[n]; usize::from(p.upload.0[n] % 50)]).collect();
        let (mut stream, mut records) = (Vec::new(), Vec::new());
        for (number, plain) in (0u32..).zip(&files) {
            let key = Secret32::take(&mut self.dice.array());
            let offset = stream.len() as u64;
            let aad = self.keys.scope.file(&p.manifest, &p.author, number);
            stream.extend(floe::seal_bytes(&key, aad.as_bytes(), plain, &mut self.dice).unwrap());
            records.push(FileRecord {
                path: VaultPath::parse(&format!("run/{number}")).unwrap(),
                number,
                size: plain.len() as u64,
                modified: 0,
                executable: false,
                offset,
                key,
                blake3: Digest(tree::hash(plain)),
                digests: Vec::new(),
            });
        }
        let (name, length) = (PackName(self.dice.array()), u32::try_from(stream.len()).unwrap());
        let list = PackList::new(vec![PackEntry { name, length, blake3: PackHash::of_small(&stream).root }]).unwrap();
        let manifest = Manifest::new(Draft {
            files: records,
            salt: Secret32::take(&mut self.dice.array()),
            stream_length: stream.len() as u64,
            pack_list: list.sha256(),
            extras: Extras::default(),
        })
        .unwrap();
        let aad = self.keys.scope.manifest(&p.manifest, &p.author);
        let sealed =
            floe::seal_bytes(&secret(&p.key), aad.as_bytes(), &manifest.emit().unwrap(), &mut self.dice).unwrap();
        let signed = ManifestHash {
            blake3: Digest(tree::hash(&sealed)),
            files: files.len() as u64,
            header: Digest([0; 32]),
            length: sealed.len() as u64,
            manifest: p.manifest,
            packs: PacksHash { bytes: stream.len() as u64, count: 1, list: list.sha256() },
            root: manifest.root(),
            supersedes: None,
        };
        self.step()?;
        let (dataset, upload) = (self.dataset(), p.upload);
        self.keys.was_uploaded(p.manifest, upload, files);
        self.put_whole(&ObjectName::Pack { dataset: dataset.clone(), upload, pack: name }, stream, &p.author, None);
        let place = ObjectName::PackList { dataset: dataset.clone(), upload, manifest: p.manifest };
        self.put_whole(&place, list.emit(), &p.author, None);
        let place = ObjectName::Manifest { dataset, manifest: p.manifest };
        let lock = (Key::Manifest(p.manifest), vec![Key::Files(p.manifest)]);
        self.put_whole(&place, sealed, &p.author, Some(lock));
        Ok(signed)
    }

    pub(super) fn put_whole(
        &mut self,
        name: &ObjectName,
        bytes: Vec<u8>,
        by: &MemberId,
        lock: Option<(Key, Vec<Key>)>,
    ) {
        let fuel = self.fuel.take();
        self.put(name, bytes, by, lock).unwrap();
        self.fuel = fuel;
    }

    pub(super) fn write_header(&mut self, p: &Pending, plan: &DatasetState) -> Result<Digest, Halt> {
        let n = plan.newest();
        let info = self.keys.scope.manifest_key(n, &p.manifest, &p.author);
        let before = self.fault == Fault::HeaderForTheEpochBefore && n > 1;
        let public = if before { &plan.epochs()[&(n - 1)].public } else { &plan.epochs()[&n].public };
        let mut bytes = seal::seal(public, &secret(&p.key), &info, &mut self.dice).unwrap();
        if p.spoiled {
            bytes[40] ^= 1;
        }
        let hash = Digest(kdf::sha256(&bytes));
        let name = ObjectName::Header { dataset: self.dataset(), epoch: n, manifest: p.manifest, hash };
        let gives = if p.spoiled { Vec::new() } else { vec![Key::Manifest(p.manifest)] };
        let lock = (Key::Epoch(self.ideal.drawn[&n]), gives);
        self.put(&name, bytes, &p.author, Some(lock))?;
        self.ideal.header_was_sealed(p.manifest, n);
        Ok(hash)
    }
}
