//! Links: package files for modules that fetch without LwM2M (`AT+QFOTADL=<HTTP_URL>`).

use super::words::words;
use super::{ByteRanges, PackageId, Sha256Digest};
use crate::clock::Utc;

/// A link's number. None is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

words! {
    /// Where a link stands.
    pub enum LinkState {
        /// Nobody has fetched from it.
        Waiting = "waiting",
        /// Some was fetched.
        Downloading = "downloading",
        /// Each byte was sent, and taken by the connection, at least once: all that is known of such an
        /// update.
        ServedWhole = "served_whole",
        /// Its time is over.
        Expired = "expired",
        /// An operator ended it, or the key of its package was revoked.
        Revoked = "revoked",
        /// It has sent as many bytes as it may.
        BudgetSpent = "budget_spent",
    }
}

/// A file of a package under a URL that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadLink {
    /// Its number.
    pub id: LinkId,
    /// Of which package.
    pub package: PackageId,
    /// The SHA-256 of its capability's 16 bytes: a copy of the store opens nothing.
    pub capability_sha256: Sha256Digest,
    /// The last segment of its path, under which a module stores the file.
    pub file_name: String,
    /// SHA-256 of the file.
    pub file_sha256: Sha256Digest,
    /// Size of the file, in bytes.
    pub size_bytes: u64,
    /// Which device it is for, as the operator calls it.
    pub device: Option<String>,
    /// When it was made.
    pub created_at: Utc,
    /// From when on it opens nothing.
    pub expires_at: Utc,
    /// How many bytes it may send in all.
    pub budget_bytes: u64,
    /// When an operator ended it.
    pub revoked_at: Option<Utc>,
    /// What came of it.
    pub progress: LinkProgress,
}

/// What was fetched from a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkProgress {
    /// Bytes that were handed to connections, what was asked for twice counted twice.
    pub bytes_served: u64,
    /// When the file was first asked for.
    pub first_fetch_at: Option<Utc>,
    /// When it was last asked for, or last sent of.
    pub last_fetch_at: Option<Utc>,
    /// Which bytes connections have taken.
    pub taken: ByteRanges,
    /// When the last byte that was missing had been taken.
    pub served_whole_at: Option<Utc>,
}

impl DownloadLink {
    /// Where it stands. What is known of an outcome stays.
    pub fn state(&self, now: Utc) -> LinkState {
        if self.progress.served_whole_at.is_some() {
            LinkState::ServedWhole
        } else if self.revoked_at.is_some() {
            LinkState::Revoked
        } else if self.expires_at <= now {
            LinkState::Expired
        } else if self.progress.bytes_served >= self.budget_bytes {
            LinkState::BudgetSpent
        } else if self.progress.first_fetch_at.is_some() {
            LinkState::Downloading
        } else {
            LinkState::Waiting
        }
    }

    /// Whether nothing is sent from it any more.
    pub fn is_over(&self, now: Utc) -> bool {
        self.revoked_at.is_some()
            || self.expires_at <= now
            || self.progress.bytes_served >= self.budget_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Utc {
        Utc::from_unix_ms(seconds * 1000)
    }

    fn link() -> DownloadLink {
        DownloadLink {
            id: LinkId(1),
            package: PackageId(1),
            capability_sha256: Sha256Digest([1; 32]),
            file_name: "update.pack".to_owned(),
            file_sha256: Sha256Digest([2; 32]),
            size_bytes: 10,
            device: None,
            created_at: at(0),
            expires_at: at(60),
            budget_bytes: 30,
            revoked_at: None,
            progress: LinkProgress::default(),
        }
    }

    #[test]
    fn a_link_has_one_state_and_what_was_served_whole_stays_so() {
        let mut link = link();
        assert_eq!(link.state(at(59)), LinkState::Waiting);
        link.progress.first_fetch_at = Some(at(1));
        link.progress.bytes_served = 29;
        assert_eq!(link.state(at(59)), LinkState::Downloading);
        assert!(!link.is_over(at(59)));
        assert_eq!(link.state(at(60)), LinkState::Expired);
        link.progress.bytes_served = 30;
        assert_eq!(link.state(at(59)), LinkState::BudgetSpent);
        link.revoked_at = Some(at(2));
        assert_eq!(link.state(at(59)), LinkState::Revoked);
        link.progress.served_whole_at = Some(at(3));
        assert_eq!(link.state(at(60)), LinkState::ServedWhole);
        assert!(link.is_over(at(4)));
    }
}
