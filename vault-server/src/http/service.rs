//! What all requests share: the vault, the settings, and what is counted. Spec section 7.5.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vault_core::ids::{CardId, MemberId};
use vault_core::ledger::statement::MAX_ENTRY;

use super::looks::Looks;
use super::nonces::{Nonces, NotNew, REMEMBERED};
use super::problem::Refused;
use super::rate::{Links, Rates, Refusals};
use super::turns::Turns;
use crate::vault::Vault;
use crate::wire::problem::Type;

/// Nonces that are remembered in all.
const MAX_NONCES: usize = 2_000_000;
/// What is said in no more than this, nearly every entry and all JSON, has room of its own: long entries must not keep a revocation waiting.
const SMALL: u64 = 256 << 10;
/// That room in bytes.
const SMALL_ROOM: u64 = 16 << 20;
/// An answer of no more than this is short.
pub(super) const SHORT: u64 = SMALL;
/// Room for short answers, and for others.
const SHORT_ANSWERS: u64 = 64 << 20;
const LONG_ANSWERS: u64 = 96 << 20;
/// Room for long entries: so many of the longest.
const LONG: u64 = 4;
/// Commits whose objects are looked at together.
const COMMITS: usize = 8;
/// Deletions at once, of which a member has one; what a rotation gave up has as many places of its own.
const REMOVALS: usize = 4;
/// How long somebody waits whose card no look has shown yet.
const STRANGERS: Duration = Duration::from_secs(2);
/// Doctors at once, of which a member has one.
const DOCTORS: usize = 2;
/// What a place in the buffers is counted in.
const KIB: u64 = 1024;

/// Bytes of a body or an answer that have to pass a second.
pub(super) const LEAST_RATE: u64 = 64 << 10;

/// Where a server's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The system.
    #[default]
    System,
    /// Each request's own signature: for tests that move people's clocks.
    #[cfg(debug_assertions)]
    Trusting,
}

impl Clock {
    /// The system's clock; in debug builds `SEQVAULT_TEST_TRUST_CLOCK=1` trusts the requests'.
    #[must_use]
    pub fn from_environment() -> Self {
        #[cfg(debug_assertions)]
        if std::env::var_os("SEQVAULT_TEST_TRUST_CLOCK").is_some_and(|value| value == "1") {
            return Self::Trusting;
        }
        Self::System
    }
}

/// What a server is told. The defaults suit a core facility's machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public names, each host or host:port in small letters; none: whatever `Host` says.
    pub names: Vec<String>,
    /// Whether links straight to the store are given.
    pub links: bool,
    /// Requests at once.
    pub requests: usize,
    /// Packs and other streams at once, so many each way: what is put and what is read; more wait.
    pub transfers: usize,
    /// Bytes of bodies that are held in memory at once; also the longest of them.
    pub buffered: u64,
    /// Requests of a member a second.
    pub rate: u32,
    /// Requests of a member at once after a rest.
    pub burst: u32,
    /// Links that a member holds at a time.
    pub held_links: usize,
    /// Uploads that a member has open at a time.
    pub open_uploads: usize,
    /// Members that wait for a turn at a ledger.
    pub waiting: usize,
    /// How long a request waits for a place before it is told that the server is busy.
    pub patience: Duration,
    /// What a body may take beside a second for each 64 KiB.
    pub aside: Duration,
    /// How long a client may take for a piece of an answer, and for all of it beside a second for each 64 KiB.
    pub taken: Duration,
    /// Where time comes from.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            links: true,
            requests: 512,
            transfers: 20,
            buffered: 80 << 20,
            rate: 500,
            burst: 2000,
            held_links: 20_000,
            open_uploads: 256,
            waiting: 256,
            patience: Duration::from_secs(10),
            aside: Duration::from_secs(20),
            taken: Duration::from_secs(30),
            clock: Clock::from_environment(),
        }
    }
}

/// A vault and what its server counts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    vault: Vault,
    settings: Settings,
    looks: Looks,
    turns: Turns,
    nonces: Mutex<Nonces>,
    rates: Mutex<Rates>,
    links: Mutex<Links>,
    refusals: Mutex<Refusals>,
    commits: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    puts: Arc<Semaphore>,
    rooms: Rooms,
    removals: Arc<Semaphore>,
    epoch_removals: Arc<Semaphore>,
    doctors: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    members: Mutex<HashMap<MemberId, Share>>,
    began: Instant,
    stopping: AtomicBool,
}

/// A place that is given back when it is dropped.
pub(super) type Place = OwnedSemaphorePermit;

/// What a body is, which says where it waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Entries, JSON, and what a statement needs to stand: never behind data, however much of that is on its way.
    Said,
    /// Packs and what describes them.
    Data,
    /// What is said in return, until it was taken.
    Answer,
}

/// Room for bodies and answers in memory, in [`KIB`]: of the server, or a member's share.
#[derive(Debug)]
struct Rooms {
    small: Room,
    long: Room,
    data: Room,
    short_answers: Room,
    long_answers: Room,
}

/// Room of one kind.
#[derive(Debug, Clone)]
struct Room {
    free: Arc<Semaphore>,
    /// All of it.
    all: u32,
}

impl Room {
    fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX >> 4);
        Self { free: Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS))), all }
    }
}

impl Rooms {
    /// The server's: `buffered` bytes of data, and what entries and JSON need beside them.
    fn new(buffered: u64) -> Self {
        let long = buffered.min(MAX_ENTRY as u64).saturating_mul(LONG);
        Self {
            small: Room::new(SMALL_ROOM),
            long: Room::new(long),
            data: Room::new(buffered),
            short_answers: Room::new(SHORT_ANSWERS),
            long_answers: Room::new(LONG_ANSWERS),
        }
    }

    /// A member's share of it, so that nobody's slow bodies keep the others out. A body longer than the share takes all of it.
    fn of_member(buffered: u64) -> Self {
        let long = buffered.min(MAX_ENTRY as u64);
        Self {
            small: Room::new(SMALL_ROOM / 4),
            long: Room::new(long),
            data: Room::new(buffered / 2),
            short_answers: Room::new(SHORT_ANSWERS / 4),
            long_answers: Room::new(LONG_ANSWERS / 4),
        }
    }

    const fn of(&self, kind: Kind, bytes: u64) -> &Room {
        match kind {
            Kind::Data => &self.data,
            Kind::Said if bytes <= SMALL => &self.small,
            Kind::Said => &self.long,
            Kind::Answer if bytes <= SHORT => &self.short_answers,
            Kind::Answer => &self.long_answers,
        }
    }
}

/// A member's own places.
#[derive(Debug)]
struct Share {
    requests: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    puts: Arc<Semaphore>,
    commits: Arc<Semaphore>,
    removals: Arc<Semaphore>,
    epoch_removals: Arc<Semaphore>,
    doctors: Arc<Semaphore>,
    rooms: Rooms,
}

/// The places that a request has until its answer is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<Vec<Place>>>);

impl Held {
    pub(super) fn add(&self, place: Place) {
        lock(&self.0).push(place);
    }

    pub(super) fn leave(&self) {
        lock(&self.0).clear();
    }
}

impl Service {
    /// A server for a vault.
    #[must_use]
    pub fn new(vault: Vault, settings: Settings) -> Self {
        let vault = vault.with_room(settings.buffered);
        let of_member = u64::from(settings.rate) * (REMEMBERED + 60) + u64::from(settings.burst);
        // However high the rate, no few members fill what all share.
        let of_member = usize::try_from(of_member).unwrap_or(MAX_NONCES).min(MAX_NONCES / 4);
        Self(Arc::new(Shared {
            looks: Looks::new(vault.clone()),
            turns: Turns::new(settings.waiting),
            nonces: Mutex::new(Nonces::new(MAX_NONCES, of_member)),
            rates: Mutex::new(Rates::new(settings.rate, settings.burst)),
            links: Mutex::new(Links::new(settings.held_links)),
            refusals: Mutex::default(),
            commits: Arc::new(Semaphore::new(COMMITS)),
            requests: Arc::new(Semaphore::new(settings.requests)),
            reads: Arc::new(Semaphore::new(settings.transfers)),
            puts: Arc::new(Semaphore::new(settings.transfers)),
            rooms: Rooms::new(settings.buffered),
            removals: Arc::new(Semaphore::new(REMOVALS)),
            epoch_removals: Arc::new(Semaphore::new(REMOVALS)),
            doctors: Arc::new(Semaphore::new(DOCTORS)),
            strangers: Arc::new(Semaphore::new((settings.requests / 4).max(1))),
            members: Mutex::default(),
            began: Instant::now(),
            stopping: AtomicBool::new(false),
            vault,
            settings,
        }))
    }

    /// From now on requests are told that the server is going down.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// What the server was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Whether links straight to the store are given.
    pub(super) fn gives_links(&self) -> bool {
        self.settings().links && self.vault().store().links()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn looks(&self) -> &Looks {
        &self.0.looks
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// Counts a request of a member, once its signature has verified.
    pub(super) fn count(&self, member: &MemberId) -> Result<(), Refused> {
        if lock(&self.0.rates).take(member, self.running()) {
            return Ok(());
        }
        let detail = format!("member {member} asks more than {} times a second", self.settings().rate);
        Err(Refused::new(Type::TooMany, detail).after(1))
    }

    /// Takes a nonce that was not seen, once its signature has verified.
    pub(super) fn take_nonce(&self, member: &MemberId, card: &CardId, nonce: &[u8; 16]) -> Result<(), Refused> {
        // The system's clock, whatever a test trusts: what is remembered must not depend on what is being asked.
        match lock(&self.0.nonces).take(member, card, nonce, system_time()) {
            Ok(()) => Ok(()),
            Err(NotNew::Seen) => Err(Refused::new(Type::Replayed, "this request was made before")),
            Err(NotNew::Full) => {
                Err(Refused::new(Type::Busy, "too many requests in the last ten minutes to tell new ones").after(60))
            }
        }
    }

    /// Counts links that a member is given.
    pub(super) fn hold_links(&self, member: &MemberId, links: usize, ends: u64, now: u64) -> Result<(), Refused> {
        if lock(&self.0.links).take(member, links, ends, now) {
            return Ok(());
        }
        let max = self.settings().held_links;
        let detail = format!("member {member} holds {max} links or nearly so; they end by themselves");
        Err(Refused::new(Type::Quota, detail).after(30))
    }

    /// A place among the requests at once.
    pub(super) fn place(&self) -> Result<Place, Refused> {
        Arc::clone(&self.0.requests).try_acquire_owned().map_err(|_| busy())
    }

    /// A place among the requests that a member has at once, once its signature has verified.
    pub(super) fn place_of(&self, member: &MemberId) -> Result<Place, Refused> {
        let requests = self.of_member(member, |places| Arc::clone(&places.requests));
        let detail = || format!("member {member} has {} requests at once", self.member_requests());
        requests.try_acquire_owned().map_err(|_| Refused::new(Type::Busy, detail()).after(1))
    }

    /// Places for an object that is read, among the member's and among all; waits for a while.
    pub(super) async fn reading(&self, member: &MemberId) -> Result<(Place, Place), Refused> {
        let own = self.of_member(member, |places| Arc::clone(&places.reads));
        Ok((self.wait_for(&own, 1).await?, self.wait_for(&self.0.reads, 1).await?))
    }

    /// As [`Self::reading`], for a pack that is put: however slowly bodies come, whoever reads does not wait for them.
    pub(super) async fn putting(&self, member: &MemberId) -> Result<(Place, Place), Refused> {
        let own = self.of_member(member, |places| Arc::clone(&places.puts));
        Ok((self.wait_for(&own, 1).await?, self.wait_for(&self.0.puts, 1).await?))
    }

    /// How long the server has run, in milliseconds.
    fn running(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a member may have an append looked at: not at once after several for which that was in vain.
    pub(super) fn may_append(&self, member: &MemberId) -> Result<(), Refused> {
        let Some(left) = lock(&self.0.refusals).wait(member, self.running()) else { return Ok(()) };
        let detail = format!("several commits of member {member} named what is not there; the next one has to wait");
        Err(Refused::new(Type::TooMany, detail).after(u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX)))
    }

    /// Notes how looking at an append's objects ended.
    pub(super) fn note_append(&self, member: &MemberId, found: bool) {
        let mut refusals = lock(&self.0.refusals);
        if found { refusals.forget(member) } else { refusals.note(member, self.running()) }
    }

    /// The member's one place among the commits that are looked at; waits for a while.
    pub(super) async fn commit(&self, member: &MemberId) -> Result<(Place, Place), Refused> {
        let own = self.of_member(member, |places| Arc::clone(&places.commits));
        Ok((self.wait_for(&own, 1).await?, self.wait_for(&self.0.commits, 1).await?))
    }

    /// The member's one place among the deletions at once; waits for a while.
    pub(super) async fn removal(&self, member: &MemberId) -> Result<(Place, Place), Refused> {
        let own = self.of_member(member, |places| Arc::clone(&places.removals));
        Ok((self.wait_for(&own, 1).await?, self.wait_for(&self.0.removals, 1).await?))
    }

    /// As [`Self::removal`], for what a rotation gave up: whoever sweeps uploads does not keep old keys alive.
    pub(super) async fn epoch_removal(&self, member: &MemberId) -> Result<(Place, Place), Refused> {
        let own = self.of_member(member, |places| Arc::clone(&places.epoch_removals));
        Ok((self.wait_for(&own, 1).await?, self.wait_for(&self.0.epoch_removals, 1).await?))
    }

    /// The member's one place among the doctors; waits for a while.
    pub(super) async fn doctor(&self, member: &MemberId) -> Result<(Place, Place), Refused> {
        let own = self.of_member(member, |places| Arc::clone(&places.doctors));
        Ok((self.wait_for(&own, 1).await?, self.wait_for(&self.0.doctors, 1).await?))
    }

    /// A place among those whose card no look has shown yet; waits for a moment: whoever was enrolled just now stands beside all who make
    /// cards up, and one look serves them all.
    pub(super) async fn stranger(&self) -> Result<Place, Refused> {
        let place = Arc::clone(&self.0.strangers).acquire_owned();
        match tokio::time::timeout(self.settings().patience.min(STRANGERS), place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// A quarter of all, so that no member keeps the others out.
    fn member_requests(&self) -> usize {
        (self.settings().requests / 4).max(1)
    }

    /// As [`Self::member_requests`], each way.
    fn member_transfers(&self) -> usize {
        (self.settings().transfers / 4).max(1)
    }

    fn of_member<T>(&self, member: &MemberId, which: impl Fn(&Share) -> T) -> T {
        let mut members = lock(&self.0.members);
        if let Some(places) = members.get(member) {
            return which(places);
        }
        let places = Share {
            requests: Arc::new(Semaphore::new(self.member_requests())),
            reads: Arc::new(Semaphore::new(self.member_transfers())),
            puts: Arc::new(Semaphore::new(self.member_transfers())),
            commits: Arc::new(Semaphore::new(1)),
            removals: Arc::new(Semaphore::new(1)),
            epoch_removals: Arc::new(Semaphore::new(1)),
            doctors: Arc::new(Semaphore::new(1)),
            rooms: Rooms::of_member(self.settings().buffered),
        };
        which(members.entry(member.clone()).or_insert(places))
    }

    /// Room for a member's body in memory, of its own share and of what all have; waits for a while.
    pub(super) async fn buffer(&self, member: &MemberId, kind: Kind, bytes: u64) -> Result<(Place, Place), Refused> {
        let max = self.settings().buffered;
        if bytes > max {
            return Err(Refused::too_large(bytes, max));
        }
        self.room(member, kind, bytes).await
    }

    /// Room for an answer in memory, as [`Self::buffer`]; taken before the answer is made, and kept until it is sent.
    pub(super) async fn answer(&self, member: &MemberId, bytes: u64) -> Result<(Place, Place), Refused> {
        self.room(member, Kind::Answer, bytes).await
    }

    async fn room(&self, member: &MemberId, kind: Kind, bytes: u64) -> Result<(Place, Place), Refused> {
        let places = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        let own = self.of_member(member, |own| own.rooms.of(kind, bytes).clone());
        let all = self.0.rooms.of(kind, bytes);
        let own = self.wait_for(&own.free, places.min(own.all)).await?;
        Ok((own, self.wait_for(&all.free, places.min(all.all)).await?))
    }

    /// How long a body may take in all: whoever is slower holds what others wait for.
    pub(super) fn time_for(&self, length: u64) -> Duration {
        self.settings().aside + Duration::from_secs(length / LEAST_RATE)
    }

    async fn wait_for(&self, places: &Arc<Semaphore>, count: u32) -> Result<Place, Refused> {
        let place = Arc::clone(places).acquire_many_owned(count);
        match tokio::time::timeout(self.settings().patience, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// The server's time for a request whose signature says `created`.
    #[cfg_attr(
        not(debug_assertions),
        allow(unused_variables, clippy::needless_pass_by_value, reason = "only tests trust a request's clock")
    )]
    pub(super) fn now(&self, created: u64) -> u64 {
        match self.settings().clock {
            Clock::System => system_time(),
            #[cfg(debug_assertions)]
            Clock::Trusting => created,
        }
    }
}

/// Seconds since 1970; a clock before that is refused by everybody else's.
pub(super) fn system_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn busy() -> Refused {
    Refused::new(Type::Busy, "too many requests at once").after(1)
}

/// A panic elsewhere leaves what is counted as it was.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parts of a query: names and values, none twice.
pub(super) fn parse_query(query: Option<&str>) -> Result<HashMap<&str, &str>, Refused> {
    let mut parts = HashMap::new();
    for part in query.into_iter().filter(|query| !query.is_empty()).flat_map(|query| query.split('&')) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if parts.insert(name, value).is_some() {
            return Err(Refused::malformed(format!("the query names {name:?} twice")));
        }
    }
    Ok(parts)
}
