//! Products: how the devices of each want to be treated.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{
    Delivery, Device, DeviceModel, DeviceReport, DeviceType, DownloadProtocol, EndpointName,
    Manufacturer, Package, Product, ProductSettings, ProfileId,
};
use crate::profile::product_settings;

use super::tasks::TaskEntry;
use super::{CommandError, Engine, EngineConfig};

/// What the operator says a device is, as a number among [`Products::kinds`]. 0: nothing, or not all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceKind(u32);

type ProductName = (Manufacturer, DeviceModel);

/// The settings of every product, and of which product devices are.
#[derive(Debug)]
pub(super) struct Products {
    defaults: Arc<ProductSettings>,
    products_max: usize,
    kinds_max: usize,
    products: BTreeMap<ProductName, BTreeMap<DeviceType, (ProfileId, Arc<ProductSettings>)>>,
    /// What devices were entered as; behind each the settings that come of it.
    kinds: Vec<(ProductName, Option<DeviceType>, Arc<ProductSettings>)>,
    kind_of: HashMap<(ProductName, Option<DeviceType>), DeviceKind>,
}

impl Products {
    pub(super) fn new(config: &EngineConfig) -> Self {
        Self {
            defaults: Arc::new(config.product.clone()),
            products_max: config.products_max,
            kinds_max: config.device_kinds_max,
            products: BTreeMap::new(),
            kinds: Vec::new(),
            kind_of: HashMap::new(),
        }
    }

    /// How many products have a profile.
    pub(super) fn len(&self) -> usize {
        self.products.values().map(BTreeMap::len).sum()
    }

    /// How many kinds devices were entered as.
    pub(super) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    fn set(&mut self, product: Product) -> Result<(), CommandError> {
        let settings = Arc::new(product_settings(&self.defaults, &product));
        let is_new = |known: Option<&BTreeMap<_, _>>| {
            known.is_none_or(|types| !types.contains_key(&product.device_type))
        };
        let name = (product.manufacturer, product.model);
        if is_new(self.products.get(&name)) && self.len() >= self.products_max {
            let limit = self.products_max;
            return Err(CommandError::ProductsFull { limit });
        }
        let types = self.products.entry(name).or_default();
        types.insert(product.device_type, (product.profile, settings));
        self.refresh();
        Ok(())
    }

    fn remove(&mut self, profile: ProfileId) {
        for types in self.products.values_mut() {
            types.retain(|_, (of, _)| *of != profile);
        }
        self.products.retain(|_, types| !types.is_empty());
        self.refresh();
    }

    /// The settings of a kind change with the profiles.
    fn refresh(&mut self) {
        let mut kinds = std::mem::take(&mut self.kinds);
        for (name, device_type, settings) in &mut kinds {
            *settings = Arc::clone(self.find(name, device_type.as_ref()));
        }
        self.kinds = kinds;
    }

    /// The settings of a product; where the device type is not known, of the only one that fits.
    fn find(&self, name: &ProductName, device_type: Option<&DeviceType>) -> &Arc<ProductSettings> {
        let Some(types) = self.products.get(name) else {
            return &self.defaults;
        };
        let found = match device_type {
            Some(device_type) => types.get(device_type),
            None if types.len() == 1 => types.values().next(),
            None => None,
        };
        found.map_or(&self.defaults, |(_, settings)| settings)
    }

    /// What a device was entered as. Beyond the most kinds, one is as if nothing was said of it.
    ///
    /// Where the operator entered the device type alone, the rest is what the device `report`s; where he
    /// entered nothing, strangers could make up any number of kinds.
    pub(super) fn kind(&mut self, device: &Device, report: Option<&DeviceReport>) -> DeviceKind {
        let report = report.filter(|_| device.device_type.is_some());
        let manufacturer = device.manufacturer.as_ref();
        let manufacturer = manufacturer.or_else(|| report?.manufacturer.as_ref());
        let model = device.model.as_ref().or_else(|| report?.model.as_ref());
        let (Some(manufacturer), Some(model)) = (manufacturer, model) else {
            return DeviceKind::default();
        };
        let name = (manufacturer.clone(), model.clone());
        let key = (name, device.device_type.clone());
        if let Some(kind) = self.kind_of.get(&key) {
            return *kind;
        }
        if self.kinds.len() >= self.kinds_max {
            tracing::error!(endpoint = %device.endpoint, "no room for another product's devices");
            return DeviceKind::default();
        }
        let settings = Arc::clone(self.find(&key.0, key.1.as_ref()));
        self.kinds.push((key.0.clone(), key.1.clone(), settings));
        let kind = DeviceKind(u32::try_from(self.kinds.len()).unwrap_or(0));
        self.kind_of.insert(key, kind);
        kind
    }

    /// The settings of a device by what was entered of it, else by what it reports.
    fn of(&self, kind: DeviceKind, report: Option<&DeviceReport>) -> &Arc<ProductSettings> {
        if self.products.is_empty() {
            return &self.defaults;
        }
        let entered = usize::try_from(kind.0)
            .ok()
            .and_then(|number| number.checked_sub(1));
        if let Some((_, _, settings)) = entered.and_then(|index| self.kinds.get(index)) {
            return settings;
        }
        let Some(report) = report else {
            return &self.defaults;
        };
        match (&report.manufacturer, &report.model) {
            (Some(manufacturer), Some(model)) => {
                self.find(&(manufacturer.clone(), model.clone()), None)
            }
            (Some(_) | None, _) => &self.defaults,
        }
    }

    /// The settings of the devices that a package is for.
    pub(super) fn of_package(&self, package: &Package) -> &Arc<ProductSettings> {
        if self.products.is_empty() {
            return &self.defaults;
        }
        let name = (package.manufacturer.clone(), package.model.clone());
        self.find(&name, Some(&package.device_type))
    }
}

impl Engine {
    /// How a device is to be treated now: a running update keeps the settings that it began with.
    pub(super) fn settings_of(&self, endpoint: &EndpointName) -> &Arc<ProductSettings> {
        let task = self.task_of.get(endpoint);
        match task.and_then(|id| self.tasks.get(id)) {
            Some(TaskEntry::Running(session)) => return session.settings(),
            Some(TaskEntry::Idle(task)) => {
                if let Some(running) = self.campaigns.get(&task.campaign) {
                    return self.products.of_package(&running.package);
                }
            }
            None => {}
        }
        let kind = self.known.get(endpoint).copied().unwrap_or_default();
        self.products.of(kind, self.reports.get(endpoint))
    }

    /// Learns how a product's devices want to be treated, which its profile in the store says.
    pub(super) fn set_product(&mut self, product: Product) -> Result<(), CommandError> {
        if product.is_lwm2m() {
            return self.products.set(product);
        }
        Ok(())
    }

    /// A profile was taken away: its devices are treated as by default.
    pub(super) fn remove_product(&mut self, profile: ProfileId) {
        self.products.remove(profile);
    }

    /// What stands before the capability in the URI that devices of these settings are told.
    pub(super) fn download_base(&self, settings: &ProductSettings) -> Option<&String> {
        match settings.download {
            DownloadProtocol::Coap => self.config.download_base.as_ref(),
            DownloadProtocol::Http => self.config.http_download_base.as_ref(),
        }
    }

    /// Whether devices of an active campaign have nothing to fetch from.
    pub fn has_campaign_without_base(&self) -> bool {
        let mut campaigns = self.campaigns.values();
        campaigns.any(|running| {
            let settings = self.products.of_package(&running.package);
            self.check_base(settings).is_err()
        })
    }

    /// Devices of these settings can be told where to fetch from, or are told nothing.
    pub(super) fn check_base(&self, settings: &ProductSettings) -> Result<(), CommandError> {
        // What is pushed is fetched from nowhere.
        if settings.delivery == Delivery::Push || self.download_base(settings).is_some() {
            return Ok(());
        }
        Err(match settings.download {
            DownloadProtocol::Coap => CommandError::NoPublicHost,
            DownloadProtocol::Http => CommandError::NoDeviceHttp,
        })
    }
}
