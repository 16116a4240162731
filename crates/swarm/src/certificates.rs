//! The certificates in a tree, and who wrote a commit (docs/protocol/05-swarm.md sections
//! 2.4 and 5.2, rules G2 to G6).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use baraza_identity::Certificate;
use baraza_wire::{AccountId, DeviceId};
use gix::ObjectId;
use gix::objs::{Find, Kind};

use crate::commit::{Broken, broken, lower_hex};
use crate::pack::{PackError, expect};
use crate::refusal::Rule;
use crate::tree::{TreeError, Trees};

/// Longest file with certificates (section 12.3).
pub(crate) const MAX_CERTIFICATES: usize = 64 << 10;
/// Certificates and identities held before they are forgotten.
const MAX_HELD: usize = 4096;

/// A device as a tree knows it. Everything about it was checked but the dates.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The account that certified it.
    pub(crate) account: AccountId,
    /// Whether that account is an admin.
    pub(crate) admin: bool,
    /// Its certificate.
    pub(crate) device: Certificate,
    /// When the first of both certificates expires, in seconds since 1970.
    pub(crate) until: u64,
}

/// Why somebody has no identity in a tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// A rule is broken.
    #[error("{}: {}", .0.0, .0.1)]
    Broken(Broken),
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<PackError> for IdentityError {
    fn from(error: PackError) -> Self {
        Self::Tree(error.into())
    }
}

impl From<Broken> for IdentityError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What was read and checked before, by the ids of the files: their content never changes.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    parsed: RefCell<HashMap<ObjectId, Result<Certificate, &'static str>>>,
    /// Pairs of device and account certificate of which the second signed the first.
    issued: RefCell<HashSet<(ObjectId, ObjectId)>>,
    identities: RefCell<HashMap<(ObjectId, DeviceId), Arc<Identity>>>,
}

impl Certificates {
    /// The first certificate of a file.
    pub(crate) fn first(
        &self,
        objects: &dyn Find,
        file: ObjectId,
    ) -> Result<Result<Certificate, &'static str>, PackError> {
        if let Some(parsed) = self.parsed.borrow().get(&file) {
            return Ok(parsed.clone());
        }
        let mut buffer = Vec::new();
        let data = expect(objects, &file, Kind::Blob, &mut buffer)?.data;
        let certificate = if data.len() > MAX_CERTIFICATES {
            Err("too long")
        } else {
            std::str::from_utf8(data)
                .ok()
                .and_then(|text| Certificate::from_pem(text).ok())
                .ok_or("no certificate")
        };
        let mut parsed = self.parsed.borrow_mut();
        if parsed.len() >= MAX_HELD {
            parsed.clear();
        }
        parsed.insert(file, certificate.clone());
        Ok(certificate)
    }

    /// The account that a device's certificate names as its issuer.
    pub(crate) fn owner(
        &self,
        objects: &dyn Find,
        file: ObjectId,
    ) -> Result<Option<AccountId>, PackError> {
        let certificate = self.first(objects, file)?.ok();
        Ok(certificate.and_then(|certificate| issuer(&certificate)))
    }

    /// The device `device` in the tree `root`: rules G2 to G5.
    pub(crate) fn identify(
        &self,
        objects: &dyn Find,
        trees: &Trees,
        root: ObjectId,
        device: DeviceId,
    ) -> Result<Arc<Identity>, IdentityError> {
        let key = (root, device);
        if let Some(identity) = self.identities.borrow().get(&key) {
            return Ok(Arc::clone(identity));
        }
        let path = format!("devices/{device}.crt");
        let Some(device_file) = trees.file(objects, root, &path)? else {
            let text = format!("device {device} is not in the tree");
            return Err((Rule::Device, text).into());
        };
        let certificate = self
            .first(objects, device_file)?
            .map_err(|what| (Rule::Device, format!("{path}: {what}")))?;
        if certificate.public_key().long_id() != device {
            let text = format!("{path} is for another key");
            return Err((Rule::DeviceName, text).into());
        }
        let Some(account) = issuer(&certificate) else {
            let text = format!("{path} names no account as its issuer");
            return Err((Rule::Member, text).into());
        };
        let identity = self.certified(objects, trees, root, account, device_file, certificate)?;
        let identity = Arc::new(identity);
        let mut identities = self.identities.borrow_mut();
        if identities.len() >= MAX_HELD {
            identities.clear();
        }
        identities.insert(key, Arc::clone(&identity));
        Ok(identity)
    }

    /// Rules G3 and G4 for a device certificate in the file `device_file`.
    pub(crate) fn certified(
        &self,
        objects: &dyn Find,
        trees: &Trees,
        root: ObjectId,
        account: AccountId,
        device_file: ObjectId,
        device: Certificate,
    ) -> Result<Identity, IdentityError> {
        let admin = trees.file(objects, root, &format!("admins/{account}.crt"))?;
        let member = trees.file(objects, root, &format!("members/{account}.crt"))?;
        let Some(account_file) = member.or(admin) else {
            let text = format!("{account} is no member");
            return Err((Rule::Member, text).into());
        };
        let certificate = self
            .first(objects, account_file)?
            .map_err(|what| (Rule::Member, format!("certificate of {account}: {what}")))?;
        if AccountId::from(certificate.public_key().short_id()) != account {
            let text = format!("the certificate of {account} is for another key");
            return Err((Rule::Member, text).into());
        }
        let pair = (device_file, account_file);
        if !self.issued.borrow().contains(&pair) {
            if let Err(reason) = device.verify_signed_by(&certificate) {
                return Err((Rule::Issuer, reason.to_string()).into());
            }
            let mut issued = self.issued.borrow_mut();
            if issued.len() >= MAX_HELD {
                issued.clear();
            }
            issued.insert(pair);
        }
        let until = device
            .not_after()
            .secs()
            .min(certificate.not_after().secs());
        Ok(Identity {
            account,
            admin: admin.is_some(),
            device,
            until,
        })
    }
}

/// The account a device certificate names as its issuer.
fn issuer(certificate: &Certificate) -> Option<AccountId> {
    lower_hex(certificate.issuer_uid()?.as_bytes())
}

impl Identity {
    /// Rule G6.
    pub(crate) fn check_time(&self, time: u64) -> Result<(), Broken> {
        if time > self.until {
            return broken(Rule::Expired, "a certificate of the author had expired");
        }
        Ok(())
    }
}
