//! `/api/v1/profiles`: product profiles, and how the devices of each product are treated.

mod create;
mod delete;
mod list;
mod package_match;
mod quirks;
mod settings;
mod show;
mod under_way;
mod view;

pub(super) use create::*;
pub(super) use delete::*;
pub(super) use list::*;
pub(super) use package_match::{
    DeviceTypes, TypeOf, check_claims, check_profile, check_upgrade, find_product,
};
pub(super) use quirks::*;
pub(super) use settings::*;
pub(super) use show::*;

use super::HttpState;
use super::error::{Problem, kinds};
use crate::model::ProfileId;
use crate::profile::{Profile, ProfileLimits};
use crate::store::StoredProfile;

/// The largest device part that is kept, in bytes: a list reads and lints each of its profiles' parts.
const DEVICE_PART_BYTES_MAX: usize = 64 * 1024;

/// The largest body of a profile, in bytes: the file, and what a form adds to it.
fn body_bytes_max() -> usize {
    const FORM_BYTES_MAX: usize = 16 * 1024;
    ProfileLimits::default().file_bytes_max + FORM_BYTES_MAX
}

async fn find_profile(state: &HttpState, id: u64) -> Result<StoredProfile, Problem> {
    let found = state.store.profile(ProfileId(id)).await;
    found.map_err(|error| Problem::of_store(error, format_args!("profile {id}")))
}

/// The document of a profile as it can be linted. It was read before it was kept.
fn read_again(stored: &StoredProfile) -> Result<Profile, Problem> {
    let read = Profile::decode(stored.document.as_bytes(), &ProfileLimits::default());
    read.map_err(|error| {
        let detail = format!("profile {}: {error}", stored.product.profile.0);
        Problem::new(kinds::INTERNAL, detail)
    })
}
