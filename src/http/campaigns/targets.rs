//! Who a campaign is for: groups, single devices and what a filter finds, page by page, become distinct,
//! known devices that the package is for.

use std::collections::BTreeSet;

use super::eligibility::{Candidate, Exclusions, Judge, Verdict};
use super::view::Targets;
use crate::campaign::{Filter, TargetSet, TooManyTargets};
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::fields;
use crate::http::find::{DETAILS_PAGE, facts_of};
use crate::http::groups::find_group;
use crate::model::{CampaignTargets, EndpointName, GroupId, Language, Package};
use crate::store::{DeviceDetails, DevicesOf, Page, StoreError};

impl Targets {
    /// The names and numbers as such; whether they are there is [`resolve`]'s to say.
    pub(super) fn parse(self, state: &HttpState) -> Result<CampaignTargets, Problem> {
        let names = |field: &str, texts: &[String]| -> Result<Vec<EndpointName>, Problem> {
            let texts = texts.iter().enumerate();
            texts
                .map(|(index, text)| state.endpoint(&format!("targets.{field}[{index}]"), text))
                .collect()
        };
        let allow = self.allow.map(|allow| names("allow", &allow)).transpose()?;
        if allow.as_ref().is_some_and(Vec::is_empty) {
            let fault = "lets nobody in: leave it out to let all in";
            return Err(Problem::invalid_field("targets.allow", fault));
        }
        if let Some(filter) = &self.filter {
            fields::filter("targets.filter", filter)?;
        }
        Ok(CampaignTargets {
            groups: self.groups.iter().copied().map(GroupId).collect(),
            devices: names("devices", &self.devices)?,
            filter: self.filter,
            allow,
            deny: names("deny", &self.deny)?,
            dynamic: self.dynamic,
        })
    }
}

/// Where devices come from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    devices: Vec<EndpointName>,
    groups: Vec<GroupId>,
    filters: Vec<Filter>,
    /// The devices of the package's product are asked for: lists say who of them is let in or kept out
    /// (seeds 001 and 003).
    product: bool,
    /// The first group that is not there, with where it was named.
    missing: Option<(String, GroupId)>,
}

impl Sources {
    /// Looks the groups up.
    pub(super) async fn find(
        state: &HttpState,
        targets: &CampaignTargets,
    ) -> Result<Self, Problem> {
        let mut sources = Self {
            devices: targets.devices.clone(),
            ..Self::default()
        };
        if let Some(filter) = &targets.filter {
            sources
                .filters
                .push(fields::filter("targets.filter", filter)?);
        }
        for (index, &group) in targets.groups.iter().enumerate() {
            let field = format!("targets.groups[{index}]");
            match find_group(state, group).await {
                Ok(found) => match &found.filter {
                    Some(filter) => sources.filters.push(fields::filter(&field, filter)?),
                    None => sources.groups.push(group),
                },
                Err(StoreError::NotFound) => {
                    sources.missing.get_or_insert((field, group));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let names_none = targets.devices.is_empty() && targets.groups.is_empty();
        let has_lists = targets.allow.is_some() || !targets.deny.is_empty();
        sources.product = names_none && targets.filter.is_none() && has_lists;
        Ok(sources)
    }

    /// Devices by name.
    pub(super) fn named(&self) -> &[EndpointName] {
        &self.devices
    }

    /// Groups that are lists.
    pub(super) fn lists(&self) -> &[GroupId] {
        &self.groups
    }

    /// Whether all devices have to be looked at.
    pub(super) fn searches(&self) -> bool {
        self.product || !self.filters.is_empty()
    }

    /// Whether a device that was looked at is asked for.
    pub(super) fn asks_for(
        &self,
        state: &HttpState,
        judge: &Judge,
        details: &DeviceDetails,
    ) -> bool {
        if self.product && judge.is_of_product(details) {
            return true;
        }
        let facts = facts_of(state, details);
        self.filters.iter().any(|filter| filter.matches(&facts))
    }
}

/// Who is in and who is not.
pub(super) struct Resolved {
    pub(super) included: Vec<EndpointName>,
    pub(super) excluded: Exclusions,
}

/// The devices that are asked for, each once, parted into those that the package is for and the others.
pub(super) async fn resolve(
    state: &HttpState,
    package: &Package,
    may_downgrade: bool,
    targets: &CampaignTargets,
    language: Language,
) -> Result<Resolved, Problem> {
    let sources = Sources::find(state, targets).await?;
    if let Some((field, group)) = &sources.missing {
        return Err(unknown(field, &format!("group {}", group.0)));
    }
    let judge = Judge::read(state, package, may_downgrade, targets).await?;
    let mut resolution = Resolution {
        state,
        judge,
        language,
        included: TargetSet::new(state.limits.campaign_devices_max),
        excluded: Exclusions::new(state.limits.excluded_listed_max),
        excluded_names: BTreeSet::new(),
    };
    resolution.add_named(&sources.devices).await?;
    for &group in &sources.groups {
        resolution.add_all(DevicesOf::Group(group), None).await?;
    }
    if sources.searches() {
        resolution.add_all(DevicesOf::All, Some(&sources)).await?;
    }
    Ok(Resolved {
        included: resolution.included.into_endpoints(),
        excluded: resolution.excluded,
    })
}

struct Resolution<'a> {
    state: &'a HttpState,
    judge: Judge,
    language: Language,
    included: TargetSet,
    excluded: Exclusions,
    /// Each device counts once, however many groups it is in.
    excluded_names: BTreeSet<EndpointName>,
}

impl Resolution<'_> {
    async fn add_named(&mut self, names: &[EndpointName]) -> Result<(), Problem> {
        let chunk = usize::try_from(DETAILS_PAGE).unwrap_or(usize::MAX);
        for (index, names) in names.chunks(chunk).enumerate() {
            let page = Page {
                after: None,
                limit: DETAILS_PAGE,
            };
            let found = self
                .state
                .store
                .device_details(DevicesOf::Named(names), page);
            let found = found.await?;
            let known: BTreeSet<_> = found.iter().map(|it| &it.device.endpoint).collect();
            if let Some(place) = names.iter().position(|name| !known.contains(name)) {
                let field = format!("targets.devices[{}]", index * chunk + place);
                return Err(unknown(&field, &format!("device '{}'", names[place])));
            }
            for candidate in self.judge.candidates(self.state, found).await? {
                self.add(&candidate)?;
            }
        }
        Ok(())
    }

    /// Adds the devices that `asking` asks for; all where it is left out.
    async fn add_all(
        &mut self,
        of: DevicesOf<'_>,
        asking: Option<&Sources>,
    ) -> Result<(), Problem> {
        let mut after = None;
        loop {
            let page = Page {
                after,
                limit: DETAILS_PAGE,
            };
            let found = self.state.store.device_details(of, page).await?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = Some(last.device.endpoint.to_string());
            for candidate in self.judge.candidates(self.state, found).await? {
                let asks = |it: &Sources| it.asks_for(self.state, &self.judge, &candidate.details);
                if asking.is_none_or(asks) {
                    self.add(&candidate)?;
                }
            }
        }
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), Problem> {
        let endpoint = candidate.details.device.endpoint.clone();
        match self.judge.judge(candidate) {
            Verdict::In => {
                let added = self.included.extend([endpoint]);
                added.map_err(|TooManyTargets { targets_max }| {
                    let fault = format!("a campaign has at most {targets_max} devices");
                    Problem::invalid_field("targets", fault)
                })
            }
            Verdict::Out(why) => {
                if self.excluded_names.insert(endpoint.clone()) {
                    self.excluded.add(&endpoint, &why, self.language);
                }
                Ok(())
            }
        }
    }
}

fn unknown(field: &str, thing: &str) -> Problem {
    let detail = format!("{field}: there is no {thing}");
    Problem::new(kinds::UNKNOWN_REFERENCE, detail).with_field(field)
}
