//! Packages and devices beside the profiles of their product.

use std::collections::BTreeMap;

use super::view::{package_fields, product_fields};
use super::{find_profile, read_again};
use crate::http::error::{Problem, kinds};
use crate::http::{HttpState, PackageClaims};
use crate::model::{DeviceModel, DeviceType, Language, Manufacturer, Package, Product, ProfileId};
use crate::profile::{FieldMatch, FourFields};

/// The device type of a device that nobody gave one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum TypeOf {
    /// That of the only profile with its manufacturer and model.
    Only(DeviceType),
    /// So many profiles have them.
    Ambiguous(usize),
}

/// The device types of all profiles, read once for however many devices.
pub(in crate::http) struct DeviceTypes(BTreeMap<(Manufacturer, DeviceModel), Vec<DeviceType>>);

impl DeviceTypes {
    pub(in crate::http) async fn read(state: &HttpState) -> Result<Self, Problem> {
        let mut types = BTreeMap::<_, Vec<_>>::new();
        for product in state.store.products().await? {
            if product.is_lwm2m() {
                let name = (product.manufacturer, product.model);
                types.entry(name).or_default().push(product.device_type);
            }
        }
        Ok(Self(types))
    }

    /// That of devices of this manufacturer and model, where nobody said it.
    pub(in crate::http) fn of(&self, manufacturer: &Manufacturer, model: &DeviceModel) -> TypeOf {
        match self.0.get(&(manufacturer.clone(), model.clone())) {
            None => TypeOf::Ambiguous(0),
            Some(types) => match types.as_slice() {
                [only] => TypeOf::Only(only.clone()),
                several => TypeOf::Ambiguous(several.len()),
            },
        }
    }
}

/// The profile of the product that a package is for; none where no profile has its manufacturer and
/// model.
///
/// # Errors
/// Where there are such profiles and the package matches none of them: field by field.
pub(in crate::http) async fn check_profile(
    state: &HttpState,
    package: &Package,
    language: Language,
) -> Result<Option<ProfileId>, Problem> {
    let products = state
        .store
        .products_of(&package.manufacturer, &package.model);
    match_products(&products.await?, &package_fields(package), language)
}

/// The same of a package that comes, as far as its form says what it is for.
pub(in crate::http) async fn check_claims(
    state: &HttpState,
    claims: &PackageClaims,
    language: Language,
) -> Result<(), Problem> {
    let products = state.store.products_of(&claims.manufacturer, &claims.model);
    let fields = FourFields {
        device_type: claims.device_type.to_string(),
        manufacturer: claims.manufacturer.to_string(),
        model: claims.model.to_string(),
        protocol: Some(claims.protocol.clone()),
    };
    match_products(&products.await?, &fields, language).map(drop)
}

fn match_products(
    products: &[Product],
    package: &FourFields,
    language: Language,
) -> Result<Option<ProfileId>, Problem> {
    let mut told = Vec::new();
    for product in products {
        let fields = product_fields(product).matches(package);
        if fields.iter().all(FieldMatch::holds) {
            return Ok(Some(product.profile));
        }
        told.push(in_words(product.profile, &fields, language));
    }
    if told.is_empty() {
        return Ok(None);
    }
    Err(Problem::new(kinds::PROFILE_MISMATCH, told.join("; ")))
}

/// The profile that says how a package's devices are treated.
pub(in crate::http) async fn find_product(
    state: &HttpState,
    package: &Package,
) -> Result<Option<Product>, Problem> {
    let products = state
        .store
        .products_of(&package.manufacturer, &package.model);
    let mut products = products.await?.into_iter();
    Ok(products.find(|it| it.device_type == package.device_type && it.is_lwm2m()))
}

/// The product's profile allows firmware upgrades.
///
/// # Errors
/// Where it does not: in the words of the linter.
pub(in crate::http) async fn check_upgrade(
    state: &HttpState,
    profile: ProfileId,
    language: Language,
) -> Result<(), Problem> {
    let stored = find_profile(state, profile.0).await?;
    let faults = read_again(&stored)?.upgrade_faults();
    if faults.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = faults.iter().map(|it| it.text(language)).collect();
    let detail = match language {
        Language::En => format!("profile {}: {}", profile.0, texts.join("; ")),
        Language::Zh => format!("产品模型 {}：{}", profile.0, texts.join("；")),
    };
    Err(Problem::new(kinds::UPGRADE_UNSUPPORTED, detail))
}

/// All four fields, those that match too: it is then clear which one is meant.
fn in_words(profile: ProfileId, fields: &[FieldMatch; 4], language: Language) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|it| field_in_words(it, language))
        .collect();
    match language {
        Language::En => format!("profile {}: {}", profile.0, fields.join(", ")),
        Language::Zh => format!("产品模型 {}：{}", profile.0, fields.join("，")),
    }
}

fn field_in_words(field: &FieldMatch, language: Language) -> String {
    let name = field.field;
    let profile = field.profile.as_deref().unwrap_or_default();
    let package = field.package.as_deref().unwrap_or_default();
    match (field.holds(), language) {
        (true, Language::En) => format!("{name} matches"),
        (true, Language::Zh) => format!("{name} 一致"),
        (false, Language::En) => {
            format!("{name} differs (profile '{profile}', package '{package}')")
        }
        (false, Language::Zh) => format!("{name} 不一致（产品模型“{profile}”，固件包“{package}”）"),
    }
}
