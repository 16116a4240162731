//! Who asks: the owner, a browser that signed in, or a program with a token of its own.
//!
//! Secrets are never kept: the database holds their SHA-256, which is enough, as each of
//! them is 256 random bits. What is asked at each request is in memory, and read from the
//! database once.

mod codes;
mod password;
mod scope;
mod throttle;
mod tokens;

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest;
use baraza_core::LocalId;
use baraza_store::{Durability, PasswordRow, SessionRow, Store, StoreError, TokenRow};
use baraza_wire::{ConversationId, Rng, UnixTime, hex};
use tokio_util::sync::CancellationToken;

use self::codes::Codes;
pub use self::codes::{CODE_LIFETIME, MAX_CODES};
pub use self::password::MIN_PASSWORD;
pub(crate) use self::scope::About;
pub use self::scope::{Need, RULES, Rule, Scope, need};
use self::throttle::Throttle;
pub use self::tokens::{MAX_TOKENS, TOKEN_LIFETIME, TOKEN_PREFIX};
pub(crate) use self::tokens::{Wanted, join};
use crate::error::ApiError;
use crate::guard::SESSION_COOKIE;

/// How long a browser may stay away before it has to sign in again.
pub const SESSION_IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Browsers signed in at once; with more, the one that was away longest is signed out.
pub const MAX_SESSIONS: usize = 64;
/// Uses are noted in the database at most so often.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Longest text kept of what a browser calls itself.
const MAX_CLIENT: usize = 200;

/// SHA-256 of a secret.
pub(crate) type Hash = [u8; 32];

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Who can read the file `api-token`.
    Owner,
    /// A browser, by the number of its session.
    Session(u64),
    /// A program, by the id of its token.
    Token(String),
}

/// What somebody may do, as long as it lasts.
#[derive(Debug)]
pub struct Grant {
    holder: Holder,
    scopes: Vec<Scope>,
    /// Scopes of the existing client's API, beside ours.
    fine: Vec<String>,
    /// For which accounts; none: for all.
    accounts: Vec<LocalId>,
    /// For which conversations; none: for all.
    conversations: Vec<ConversationId>,
    /// When it ends in any case.
    fixed_end: Option<UnixTime>,
    /// Milliseconds since 1970.
    used: AtomicU64,
    /// What of `used` is in the database.
    noted: AtomicU64,
    ended: CancellationToken,
}

impl Grant {
    fn new(holder: Holder, used: UnixTime) -> Self {
        Self {
            holder,
            scopes: Scope::ALL.to_vec(),
            fine: Vec::new(),
            accounts: Vec::new(),
            conversations: Vec::new(),
            fixed_end: None,
            used: AtomicU64::new(used.millis()),
            noted: AtomicU64::new(used.millis()),
            ended: CancellationToken::new(),
        }
    }

    fn of_token(row: &TokenRow) -> Self {
        let used = row.used.unwrap_or_default();
        let scopes: Vec<String> = words(&row.scopes);
        let (ours, fine): (Vec<_>, Vec<_>) = scopes
            .into_iter()
            .partition(|name| Scope::from_name(name).is_some());
        Self {
            scopes: ours
                .iter()
                .filter_map(|name| Scope::from_name(name))
                .collect(),
            fine,
            accounts: words(&row.accounts),
            conversations: words(&row.conversations),
            fixed_end: row.expires,
            ..Self::new(Holder::Token(row.id.clone()), used)
        }
    }

    /// Everything, for ever.
    pub(crate) fn owner() -> Arc<Self> {
        Arc::new(Self::new(Holder::Owner, UnixTime::default()))
    }

    /// Who.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Cancelled when it does not hold any more.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// When it ends, if it does and is not used before.
    pub fn expires(&self) -> Option<UnixTime> {
        match self.holder {
            Holder::Owner => None,
            Holder::Token(_) => self.fixed_end,
            Holder::Session(_) => {
                let used = UnixTime::from_millis(self.used.load(Ordering::Relaxed));
                Some(used.saturating_add(SESSION_IDLE))
            }
        }
    }

    /// What it may do.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// For which accounts; none: for all.
    pub fn accounts(&self) -> &[LocalId] {
        &self.accounts
    }

    /// For which conversations; none: for all.
    pub fn conversations(&self) -> &[ConversationId] {
        &self.conversations
    }

    /// Whether it has a scope of the existing client's API.
    pub(crate) fn has_fine(&self, wanted: &str) -> bool {
        let Some((about, verb)) = wanted.split_once(':') else {
            // Both.
            let part = |verb: &str| self.has_fine(&format!("{wanted}:{verb}"));
            return part("read") && part("write");
        };
        let whole = match (about, verb) {
            ("accounts" | "tokens", _) | (_, "local") => Scope::Admin,
            (_, "read") => Scope::Read,
            _ => Scope::Send,
        };
        self.has(whole)
            || self
                .fine
                .iter()
                .any(|known| known == wanted || (known == about && verb != "local"))
    }

    /// Until it does not hold any more.
    pub(crate) async fn until_ended(&self) {
        match self.expires() {
            None => self.ended.cancelled().await,
            Some(end) => {
                // Clocks jump: it is looked at again now and then.
                while !self.has_expired(now()) {
                    let left = end.saturating_since(now()).max(Duration::from_millis(1));
                    let left = left.min(Duration::from_secs(60));
                    if let Ok(()) = tokio::time::timeout(left, self.ended.cancelled()).await {
                        return;
                    }
                }
            }
        }
    }

    fn has_expired(&self, now: UnixTime) -> bool {
        self.expires().is_some_and(|end| end <= now)
    }
}

/// All who may ask, beside the owner.
#[derive(Debug)]
pub struct Access {
    /// What the cookie of a session is called.
    cookie: String,
    store: Mutex<Store>,
    grants: RwLock<HashMap<Hash, Arc<Grant>>>,
    codes: Mutex<Codes>,
    logins: Mutex<Throttle>,
    password: RwLock<Option<PasswordRow>>,
    /// One password is tried at a time: that takes a core and 64 MiB.
    trying: tokio::sync::Mutex<()>,
}

/// The time, as tables and clients see it.
pub(crate) fn now() -> UnixTime {
    UnixTime::from_system(SystemTime::now())
}

/// What is behind a lock stays usable whatever a thread did that held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words of a text; what is none of these is left out.
pub(crate) fn words<T: FromStr>(text: &str) -> Vec<T> {
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// A new secret, and what is kept of it.
pub(crate) fn new_secret(prefix: &str) -> (String, Hash) {
    let secret = format!("{prefix}{}", hex::encode(&Rng::from_os().bytes::<32>()));
    let hash = hash(&secret);
    (secret, hash)
}

/// SHA-256.
pub(crate) fn hash(secret: &str) -> Hash {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

impl Access {
    /// Reads who may ask from a node's database.
    ///
    /// # Errors
    /// If the database fails.
    pub fn open(database: &Path) -> Result<Self, StoreError> {
        let mut store = Store::open(database, Durability::Full)?;
        let mut grants = HashMap::new();
        let now = now();
        for row in store.sessions()? {
            let grant = Grant::new(Holder::Session(row.id), row.used);
            if grant.has_expired(now) {
                store.remove_session(row.id)?;
            } else {
                grants.insert(row.secret, Arc::new(grant));
            }
        }
        for row in store.tokens()? {
            if row.expires.is_some_and(|end| end <= now) {
                store.remove_token(&row.id)?;
            }
        }
        // What was made with one that ended is gone, too.
        for row in store.tokens()? {
            grants.insert(row.secret, Arc::new(Grant::of_token(&row)));
        }
        let password = store.api_password()?;
        let place = database
            .canonicalize()
            .unwrap_or_else(|_| database.to_path_buf());
        let node = hex::encode(&hash(&place.to_string_lossy()));
        Ok(Self {
            cookie: format!("{SESSION_COOKIE}_{}", node.get(..8).unwrap_or("")),
            store: Mutex::new(store),
            grants: RwLock::new(grants),
            codes: Mutex::default(),
            logins: Mutex::new(Throttle::new()),
            password: RwLock::new(password),
            trying: tokio::sync::Mutex::default(),
        })
    }

    /// What the cookie of a session is called: of each node on a host something else.
    pub(crate) fn cookie_name(&self) -> &str {
        &self.cookie
    }

    /// Works with the database, off the async threads.
    pub(crate) async fn store<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&mut lock(&this.store)))
            .await
            .map_err(|_ended| ApiError::stopping())?
            .map_err(|error| ApiError::internal(&error))
    }

    /// Whose secret it is, if it still holds; notes that it was used.
    pub(crate) fn find(self: &Arc<Self>, secret: &str) -> Option<Arc<Grant>> {
        let hash = hash(secret);
        let found = self.read_grants().get(&hash).map(Arc::clone)?;
        let now = now();
        if found.has_expired(now) {
            self.end(&found);
            return None;
        }
        found.used.store(now.millis(), Ordering::Relaxed);
        let noted = UnixTime::from_millis(found.noted.load(Ordering::Relaxed));
        if now.saturating_since(noted) > NOTE_EVERY {
            found.noted.store(now.millis(), Ordering::Relaxed);
            self.note(Arc::clone(&found), now);
        }
        Some(found)
    }

    fn read_grants(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Hash, Arc<Grant>>> {
        self.grants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_grants(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Hash, Arc<Grant>>> {
        self.grants.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the time of a use down, when there is time for that.
    fn note(self: &Arc<Self>, grant: Arc<Grant>, used: UnixTime) {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut store = lock(&this.store);
            let noted = match &grant.holder {
                Holder::Owner => Ok(()),
                Holder::Session(id) => store.session_used(*id, used),
                Holder::Token(id) => store.token_used(id, used),
            };
            if let Err(error) = noted {
                tracing::warn!(%error, "cannot note that the API was used");
            }
        });
    }

    /// Forgets somebody, in memory: what is open in that name is closed.
    fn end(&self, grant: &Arc<Grant>) {
        self.write_grants()
            .retain(|_, known| !Arc::ptr_eq(known, grant));
        grant.ended.cancel();
    }

    /// A new code to sign in with, once and soon.
    pub fn login_code(&self) -> String {
        let (code, hash) = new_secret("");
        lock(&self.codes).add(hash, Instant::now());
        code
    }

    /// Signs a browser in with a code; the secret of its session.
    pub(crate) async fn sign_in_with_code(
        self: &Arc<Self>,
        source: std::net::IpAddr,
        code: &str,
        client: &str,
    ) -> Result<String, ApiError> {
        self.attempt(source)?;
        if !lock(&self.codes).take(&hash(code), Instant::now()) {
            return Err(ApiError::unauthorized(
                "login_refused",
                "the code is wrong, was used already, or is too old",
            )
            .hint("`baraza open` makes a new one"));
        }
        lock(&self.logins).succeeded(source);
        self.sign_in(client).await
    }

    /// Signs a browser in with the password; the secret of its session.
    pub(crate) async fn sign_in_with_password(
        self: &Arc<Self>,
        source: std::net::IpAddr,
        password: String,
        client: &str,
    ) -> Result<String, ApiError> {
        self.attempt(source)?;
        let _alone = self.trying.lock().await;
        let known = self
            .password
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let right = tokio::task::spawn_blocking(move || password::is_right(&password, known))
            .await
            .map_err(|_ended| ApiError::stopping())??;
        if !right {
            let text = "the password is wrong, or none is set";
            return Err(ApiError::unauthorized("login_refused", text)
                .hint("`baraza open` signs in without one"));
        }
        lock(&self.logins).succeeded(source);
        self.sign_in(client).await
    }

    fn attempt(&self, source: std::net::IpAddr) -> Result<(), ApiError> {
        lock(&self.logins)
            .attempt(source, Instant::now())
            .map_err(|wait| {
                ApiError::new(
                    axum::http::StatusCode::TOO_MANY_REQUESTS,
                    "too_many_logins",
                    "too many attempts to sign in",
                )
                .retry_after(wait)
            })
    }

    async fn sign_in(self: &Arc<Self>, client: &str) -> Result<String, ApiError> {
        let (secret, hash) = new_secret("");
        let now = now();
        let row = SessionRow {
            id: 0,
            secret: hash,
            client: client.chars().take(MAX_CLIENT).collect(),
            created: now,
            used: now,
        };
        let (id, dropped) = self
            .store(move |store| {
                store.atomic(|store| {
                    let mut known = store.sessions()?;
                    known.sort_by_key(|row| row.used);
                    let surplus = known.len().saturating_sub(MAX_SESSIONS.saturating_sub(1));
                    let dropped: Vec<_> = known.iter().take(surplus).map(|row| row.id).collect();
                    for id in &dropped {
                        store.remove_session(*id)?;
                    }
                    Ok::<_, StoreError>((store.add_session(&row)?, dropped))
                })
            })
            .await?;
        for id in dropped {
            self.forget_session(id);
        }
        let grant = Arc::new(Grant::new(Holder::Session(id), now));
        self.write_grants().insert(hash, grant);
        Ok(secret)
    }

    fn forget_session(&self, id: u64) -> bool {
        let wanted = Holder::Session(id);
        let found = {
            let grants = self.read_grants();
            let found = grants.values().find(|grant| grant.holder == wanted);
            found.map(Arc::clone)
        };
        found.is_some_and(|grant| {
            self.end(&grant);
            true
        })
    }

    /// Signs a browser out; whether there was such a session.
    pub(crate) async fn sign_out(self: &Arc<Self>, id: u64) -> Result<bool, ApiError> {
        self.store(move |store| store.remove_session(id)).await?;
        Ok(self.forget_session(id))
    }

    /// The browsers that are signed in.
    pub(crate) async fn sessions(self: &Arc<Self>) -> Result<Vec<SessionRow>, ApiError> {
        let mut rows = self.store(|store| store.sessions()).await?;
        let now = now();
        let grants = self.read_grants();
        rows.retain_mut(|row| {
            let Some(grant) = grants.get(&row.secret) else {
                return false;
            };
            row.used = UnixTime::from_millis(grant.used.load(Ordering::Relaxed));
            !grant.has_expired(now)
        });
        Ok(rows)
    }

    /// Whether there is a password.
    pub fn has_password(&self) -> bool {
        let password = self.password.read();
        password.unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Sets the password for signing in, or with `None` removes it.
    pub(crate) async fn set_password(
        self: &Arc<Self>,
        password: Option<String>,
    ) -> Result<(), ApiError> {
        let row = match password {
            None => None,
            Some(password) => {
                let made = tokio::task::spawn_blocking(move || password::hashed(&password));
                Some(made.await.map_err(|_ended| ApiError::stopping())??)
            }
        };
        let kept = row.clone();
        self.store(move |store| store.set_api_password(kept.as_ref()))
            .await?;
        *self
            .password
            .write()
            .unwrap_or_else(PoisonError::into_inner) = row;
        Ok(())
    }
}
