//! Campaigns that are about to begin, and the halts that come meanwhile.
//!
//! From asking for an activation to the engine's command for it seconds may pass: packages are verified and
//! tasks read, and one activation waits for another. The engine knows nothing of the campaign yet, so a halt
//! does not reach it there. It is kept here, and the activation is refused when it comes to its command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::{EngineError, EngineRequest};
use crate::model::CampaignId;

/// What was asked for and has not come to the engine's queue. As many as there are requests under way.
#[derive(Debug, Default)]
pub(super) struct Beginnings(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    last: u64,
    /// By number: whose, and whether a halt came since.
    under_way: BTreeMap<u64, (CampaignId, bool)>,
}

/// A campaign was asked to begin, and is forgotten here when this is dropped.
#[derive(Debug)]
pub struct Beginning {
    number: u64,
    all: Arc<Beginnings>,
}

impl Beginnings {
    /// A campaign is asked to begin.
    pub(super) fn begin(self: &Arc<Self>, campaign: CampaignId) -> Beginning {
        let mut asked = self.lock();
        asked.last += 1;
        let number = asked.last;
        asked.under_way.insert(number, (campaign, false));
        Beginning {
            number,
            all: Arc::clone(self),
        }
    }

    /// Whether somebody has asked for a campaign to begin, and it has not.
    pub(super) fn are_of(&self, campaign: CampaignId) -> bool {
        let asked = self.lock();
        asked.under_way.values().any(|(of, _)| *of == campaign)
    }

    /// Sends a halt of one campaign, or of all: what was asked for before does not begin behind it.
    pub(super) fn halt(
        &self,
        campaign: Option<CampaignId>,
        place: mpsc::Permit<'_, EngineRequest>,
        halt: EngineRequest,
    ) {
        let mut asked = self.lock();
        for (of, is_halted) in asked.under_way.values_mut() {
            *is_halted |= campaign.is_none_or(|campaign| campaign == *of);
        }
        place.send(halt);
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beginning {
    /// Sends what begins the campaign, unless a halt was sent since it was asked for.
    pub(super) fn send(
        &self,
        place: mpsc::Permit<'_, EngineRequest>,
        begins: EngineRequest,
    ) -> Result<(), EngineError> {
        let asked = self.all.lock();
        match asked.under_way.get(&self.number) {
            Some((_, false)) => {
                place.send(begins);
                Ok(())
            }
            Some((_, true)) | None => Err(EngineError::Halted),
        }
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.all.lock().under_way.remove(&self.number);
    }
}
