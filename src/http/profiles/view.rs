//! A profile as it is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::read_again;
use crate::http::blocking::blocking;
use crate::http::error::Problem;
use crate::http::{HttpState, fields};
use crate::model::{
    Language, Package, PackageId, Product, ProductSettings, Setting, protocol_family,
};
use crate::profile::{
    FieldMatch, Finding, FourFields, Profile, QuirkSet, product_settings, setting_json,
};
use crate::store::{Page, StoredProfile};

/// How many packages are read at a time.
const PACKAGES_PAGE: u32 = 1000;

/// The most kinds of packages whose fields are nearly a profile's that are listed.
const NEAR_MISSES_MAX: usize = 50;

/// A product's profile.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Profile)]
pub(crate) struct ProfileView {
    /// Its number.
    id: u64,
    /// 设备类型.
    device_type: String,
    /// 厂商名称.
    manufacturer: String,
    /// 型号.
    model: String,
    /// 协议, as the profile spells it; `CoAP` and `LWM2M` count as one.
    protocol: String,
    /// What it says of firmware upgrades.
    capabilities: Capabilities,
    /// How the product's devices are treated.
    settings: SettingsView,
    /// What is wrong in it, and what of packages here does not match it though it was meant to.
    lint: Vec<FindingView>,
    /// Packages that were meant for this product and do not match it, field by field.
    packages: Vec<PackageMatch>,
    /// When it was entered.
    #[schema(format = DateTime)]
    created_at: String,
    /// The name of the token that it was entered with, where it was kept.
    created_by: Option<String>,
}

/// A profile with all that is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileDetail {
    #[serde(flatten)]
    profile: ProfileView,
    /// The device part as it came.
    #[schema(value_type = Object)]
    document: Value,
    /// The services as they came, with their properties and commands.
    #[schema(value_type = Vec<Object>)]
    services: Value,
}

/// What a profile says of firmware upgrades (`fwUpgradeCapability`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Capabilities {
    /// Whether it allows them.
    firmware_upgrade: bool,
    /// `LWM2M`.
    upgrade_protocol: Option<String>,
    /// `CoAP` or `HTTP`.
    download_protocol: Option<String>,
}

/// How the devices of a product are treated. A change counts for updates that begin afterwards.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductSettings)]
pub(crate) struct SettingsView {
    /// The quirk set that they rest on; `GET /api/v1/quirks` lists them.
    quirks: Option<String>,
    /// What was set for this product.
    #[schema(value_type = Object)]
    own: Map<String, Value>,
    /// What counts, and by whom.
    effective: BTreeMap<&'static str, EffectiveSetting>,
}

/// One setting.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EffectiveSetting {
    /// Its value.
    #[schema(value_type = Value)]
    value: Value,
    /// Whose it is: `server` (its configuration), `quirks` (the quirk set's) or `profile`.
    origin: &'static str,
}

/// Something that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// A stable word.
    code: &'static str,
    /// `error`: it stops a firmware upgrade; `warning`: it may; `hint`: it does not.
    severity: &'static str,
    /// Where in the profile.
    path: String,
    /// What is there.
    found: Option<String>,
    /// What to write there.
    write: Option<String>,
    /// Whether `narrowcast profile lint --mend` mends it.
    mendable: bool,
    /// All of it in a sentence, in the language of the request.
    text: String,
    /// The package that it does not match, where it is that.
    package_id: Option<u64>,
}

/// A package beside a profile.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageMatch {
    /// The first package of this kind.
    package_id: u64,
    /// How many there are.
    count: usize,
    /// The four fields.
    fields: Vec<FieldView>,
}

/// One field of a package beside a profile's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldView {
    /// `device_type`, `manufacturer`, `model` or `protocol`.
    field: &'static str,
    /// What the profile says.
    profile: Option<String>,
    /// What the package says.
    package: Option<String>,
    /// Whether these match.
    matches: bool,
}

/// The kinds of packages here that no profile matches, each with its first and how many.
pub(super) struct Unmatched(BTreeMap<FourFields, (PackageId, usize)>);

impl Unmatched {
    pub(super) async fn of(state: &HttpState) -> Result<Self, Problem> {
        let products = state.store.products().await?;
        let products = products.iter().map(product_fields).map(in_one_family);
        let products: BTreeSet<FourFields> = products.collect();
        let (mut kinds, mut after) = (BTreeMap::new(), None);
        loop {
            let limit = PACKAGES_PAGE;
            let packages = state.store.packages(Page { after, limit }).await?;
            let Some(last) = packages.last() else {
                return Ok(Self(kinds));
            };
            after = Some(last.id.0.to_string());
            for package in &packages {
                let fields = package_fields(package);
                if !products.contains(&in_one_family(fields.clone())) {
                    kinds.entry(fields).or_insert((package.id, 0)).1 += 1;
                }
            }
        }
    }
}

/// The fields with one word for all words of a protocol: these are the same where they match.
fn in_one_family(mut fields: FourFields) -> FourFields {
    let family = fields.protocol.as_deref().map(protocol_family);
    fields.protocol = family.map(str::to_owned);
    fields
}

/// What a package is for.
pub(super) fn package_fields(package: &Package) -> FourFields {
    FourFields {
        device_type: package.device_type.to_string(),
        manufacturer: package.manufacturer.to_string(),
        model: package.model.to_string(),
        protocol: Some(package.protocol.clone()),
    }
}

/// What a profile is of.
pub(super) fn product_fields(product: &Product) -> FourFields {
    FourFields {
        device_type: product.device_type.to_string(),
        manufacturer: product.manufacturer.to_string(),
        model: product.model.to_string(),
        protocol: Some(product.protocol.clone()),
    }
}

impl ProfileView {
    pub(super) fn of(
        state: &HttpState,
        stored: &StoredProfile,
        unmatched: &Unmatched,
        language: Language,
    ) -> Result<Self, Problem> {
        let profile = read_again(stored)?;
        let product = &stored.product;
        let capability = profile.firmware_capability();
        let mut lint: Vec<FindingView> = profile
            .lint(None)
            .iter()
            .filter(|it| product.quirks.is_none() || it.severity().word() != "hint")
            .map(|it| FindingView::of(it, None, language))
            .collect();
        let packages = near_misses(product, &profile, unmatched, language, &mut lint);
        Ok(Self {
            id: product.profile.0,
            device_type: product.device_type.to_string(),
            manufacturer: product.manufacturer.to_string(),
            model: product.model.to_string(),
            protocol: product.protocol.clone(),
            capabilities: Capabilities {
                firmware_upgrade: capability.supported,
                upgrade_protocol: capability.upgrade_protocol,
                download_protocol: capability.download_protocol,
            },
            settings: SettingsView::of(&state.product, product),
            lint,
            packages,
            created_at: fields::time(stored.created_at),
            created_by: stored.created_by.clone(),
        })
    }
}

/// Packages that were meant for this product, each with what differs told as a finding too.
fn near_misses(
    product: &Product,
    profile: &Profile,
    unmatched: &Unmatched,
    language: Language,
    lint: &mut Vec<FindingView>,
) -> Vec<PackageMatch> {
    let mut packages = Vec::new();
    for (fields, (package, count)) in &unmatched.0 {
        let misses = profile.near_misses(fields);
        if misses.is_empty() || packages.len() >= NEAR_MISSES_MAX {
            continue;
        }
        let misses = misses.iter();
        lint.extend(misses.map(|it| FindingView::of(it, Some(*package), language)));
        let matches = product_fields(product).matches(fields);
        packages.push(PackageMatch {
            package_id: package.0,
            count: *count,
            fields: matches.into_iter().map(FieldView::from).collect(),
        });
    }
    packages
}

impl ProfileDetail {
    pub(super) async fn of(
        state: &HttpState,
        stored: StoredProfile,
        language: Language,
    ) -> Result<Self, Problem> {
        let (state, unmatched) = (state.clone(), Unmatched::of(state).await?);
        let view = move || {
            Ok(Self {
                profile: ProfileView::of(&state, &stored, &unmatched, language)?,
                document: serde_json::from_str(&stored.document).unwrap_or_default(),
                services: serde_json::from_str(&stored.services).unwrap_or_default(),
            })
        };
        blocking(view).await
    }
}

impl SettingsView {
    pub(super) fn of(defaults: &ProductSettings, product: &Product) -> Self {
        let set = product.quirks.as_deref().and_then(QuirkSet::find);
        let settings = product_settings(defaults, product);
        let effective = |setting: &Setting| {
            let origin = if product.changes.get(*setting).is_some() {
                "profile"
            } else if set.is_some_and(|set| set.changes.get(*setting).is_some()) {
                "quirks"
            } else {
                "server"
            };
            let value = setting_json(settings.value(*setting));
            (setting.word(), EffectiveSetting { value, origin })
        };
        let own = product.changes.iter();
        Self {
            quirks: product.quirks.clone(),
            own: own
                .map(|(setting, value)| (setting.word().to_owned(), setting_json(value)))
                .collect(),
            effective: Setting::ALL.iter().map(effective).collect(),
        }
    }
}

impl FindingView {
    fn of(finding: &Finding, package: Option<PackageId>, language: Language) -> Self {
        Self {
            code: finding.code.word(),
            severity: finding.severity().word(),
            path: finding.path.clone(),
            found: finding.found.clone(),
            write: finding.write.clone(),
            mendable: finding.is_mendable(),
            text: finding.text(language),
            package_id: package.map(|it| it.0),
        }
    }
}

impl From<FieldMatch> for FieldView {
    fn from(field: FieldMatch) -> Self {
        Self {
            field: field.field,
            matches: field.holds(),
            profile: field.profile,
            package: field.package,
        }
    }
}
