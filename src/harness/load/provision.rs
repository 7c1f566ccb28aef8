//! What an operator does on a server of ours before and during a run: devices, packages, campaigns.

use bytes::Bytes;
use rand::RngCore;
use rand::rngs::OsRng;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::package::{FreshPackage, PackageError};
use super::rest::{Rest, RestError};
use crate::harness::scenario::{Product, Scenario};
use crate::model::Sha256Digest;

/// What devices are to the server.
const DEVICE_TYPE: &str = "WaterMeter";

/// The version that devices are given: that which [`crate::sim::DeviceConfig::new`] expects.
pub(super) const TARGET_VERSION: &str = "2.0.0";

/// Devices that one request enters at the most.
const CHUNK: usize = 1000;

/// Why a server could not be prepared, or told.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A request failed.
    #[error("the server was asked to {asked}: {error}")]
    Rest {
        /// To do what.
        asked: &'static str,
        /// Why it did not.
        error: RestError,
    },
    /// No package could be made.
    #[error("no package could be made: {0}")]
    Package(#[from] PackageError),
    /// The thread that made the package ended.
    #[error("the package was not made")]
    Broken,
}

/// An operator with a token.
#[derive(Debug)]
pub struct Provisioner {
    rest: Rest,
    campaigns: Vec<u64>,
    run: String,
}

/// The devices of one product.
#[derive(Debug)]
struct Members {
    product: Product,
    endpoints: Vec<String>,
}

impl Provisioner {
    /// `run` tells what this run makes from what others made, such as by when it began.
    pub const fn new(rest: Rest, run: String) -> Self {
        Self {
            rest,
            campaigns: Vec::new(),
            run,
        }
    }

    /// Enters a scenario's devices, and profiles of products that have quirks;
    /// where there is a campaign, uploads a package for each product and makes a draft for it. Answers the
    /// image's hash.
    ///
    /// # Errors
    /// Where the server refuses, or does not answer.
    pub async fn prepare(
        &mut self,
        scenario: &Scenario,
        seed: u64,
    ) -> Result<Option<Sha256Digest>, ProvisionError> {
        let members = members(scenario, seed);
        for of_product in &members {
            self.enter(of_product).await?;
        }
        let Some(campaign) = &scenario.campaign else {
            return Ok(None);
        };
        let mut image = vec![0; campaign.image_bytes];
        OsRng.fill_bytes(&mut image);
        let image = Bytes::from(image);
        for (number, of_product) in members.iter().enumerate() {
            let image = image.clone();
            let made = move || FreshPackage::make(&image, &mut OsRng);
            let made = tokio::task::spawn_blocking(made).await;
            let package = made.map_err(|_| ProvisionError::Broken)??;
            let name = format!("load {} {number}", self.run);
            self.draft(scenario, of_product, package, name).await?;
        }
        Ok(Some(Sha256Digest(Sha256::digest(&image).into())))
    }

    /// Activates the campaigns.
    ///
    /// # Errors
    /// Where the server refuses, or does not answer.
    pub async fn activate(&self) -> Result<(), ProvisionError> {
        for id in &self.campaigns {
            self.tell("activate a campaign", *id, "activate").await?;
        }
        Ok(())
    }

    /// Tries again what has failed.
    pub async fn retry_failed(&self) {
        for id in &self.campaigns {
            // Refused where nothing has failed at this moment.
            drop(self.tell("try again what failed", *id, "retry").await);
        }
    }

    /// Stops what is not over: else its devices would be refused to the next run.
    pub async fn stop(&self) {
        for id in &self.campaigns {
            // Refused where it is over, or had not begun.
            let path = format!("/campaigns/{id}/stop");
            drop(self.rest.post(&path, &json!({ "mode": "hard" })).await);
        }
    }

    /// Whether all campaigns are over.
    ///
    /// # Errors
    /// Where the server refuses, or does not answer.
    pub async fn is_over(&self) -> Result<bool, ProvisionError> {
        for id in &self.campaigns {
            let shown = self.rest.get(&format!("/campaigns/{id}")).await;
            let shown = asked("show a campaign", shown)?;
            let state = shown["state"].as_str().unwrap_or_default();
            if !["succeeded", "failed", "stopped"].contains(&state) {
                return Ok(false);
            }
        }
        Ok(!self.campaigns.is_empty())
    }

    async fn tell(&self, what: &'static str, id: u64, verb: &str) -> Result<(), ProvisionError> {
        let path = format!("/campaigns/{id}/{verb}");
        asked(what, self.rest.post(&path, &json!({})).await)?;
        Ok(())
    }

    async fn enter(&self, members: &Members) -> Result<(), ProvisionError> {
        let product = &members.product;
        for chunk in members.endpoints.chunks(CHUNK) {
            match self.rest.import(csv(product, chunk)).await {
                Err(error) if error.status() == Some(StatusCode::CONFLICT) => {
                    self.enter_missing(product, chunk).await?;
                }
                imported => {
                    asked("enter devices", imported)?;
                }
            }
        }
        match &product.quirks {
            Some(quirks) => self.enter_profile(product, quirks).await,
            None => Ok(()),
        }
    }

    /// An import takes all or none: where some are there, from an earlier run, each is entered alone.
    async fn enter_missing(
        &self,
        product: &Product,
        endpoints: &[String],
    ) -> Result<(), ProvisionError> {
        for endpoint in endpoints {
            let device = json!({
                "endpoint": endpoint,
                "manufacturer": product.manufacturer,
                "model": product.model,
                "device_type": DEVICE_TYPE,
            });
            let entered = self.rest.post("/devices", &device).await;
            asked("enter a device", unless_there(entered))?;
        }
        Ok(())
    }

    /// A profile that names the product's quirks, as an operator would choose them. One that is there
    /// already stays as it is.
    async fn enter_profile(&self, product: &Product, quirks: &str) -> Result<(), ProvisionError> {
        let profile = json!({ "devices": [{
            "manufacturerId": product.manufacturer,
            "manufacturerName": product.manufacturer,
            "model": product.model,
            "protocolType": "CoAP",
            "deviceType": DEVICE_TYPE,
            "omCapability": { "fwUpgradeCapability": {
                "supportUpgrade": true,
                "upgradeProtocolType": "LWM2M",
                "downloadProtocolType": "CoAP",
            } },
        }] });
        let entered = unless_there(self.rest.post("/profiles", &profile).await);
        let entered = asked("enter a profile", entered)?;
        if let Some(id) = entered["id"].as_u64() {
            let path = format!("/profiles/{id}/settings");
            let settings = json!({ "quirks": quirks });
            let set = self.rest.patch(&path, &settings).await;
            asked("set a product's quirks", set)?;
        }
        Ok(())
    }

    async fn draft(
        &mut self,
        scenario: &Scenario,
        members: &Members,
        package: FreshPackage,
        name: String,
    ) -> Result<(), ProvisionError> {
        let product = &members.product;
        let key = json!({
            "manufacturer": product.manufacturer,
            "public_key_pem": package.public_key_pem,
        });
        asked("enter a key", self.rest.post("/keys", &key).await)?;
        let fields = [
            ("manufacturer", product.manufacturer.as_str()),
            ("model", product.model.as_str()),
            ("device_type", DEVICE_TYPE),
            ("protocol", "LWM2M"),
            ("version", TARGET_VERSION),
        ];
        let uploaded = self.rest.upload(package.archive, &fields).await;
        let uploaded = asked("take a package", uploaded)?;
        let group = self.rest.post("/groups", &json!({ "name": name })).await;
        let group = asked("make a group", group)?["id"].clone();
        for chunk in members.endpoints.chunks(CHUNK) {
            let path = format!("/groups/{group}/devices");
            let filled = self.rest.post(&path, &json!({ "devices": chunk })).await;
            asked("fill a group", filled)?;
        }
        let mut body = scenario.campaign_fields();
        body.insert("name".to_owned(), json!(name));
        body.insert("package_id".to_owned(), uploaded["id"].clone());
        body.insert("targets".to_owned(), json!({ "groups": [group] }));
        let draft = self.rest.post("/campaigns", &Value::Object(body)).await;
        let draft = asked("make a campaign", draft)?;
        self.campaigns
            .push(draft["id"].as_u64().unwrap_or_default());
        Ok(())
    }
}

fn asked(what: &'static str, answer: Result<Value, RestError>) -> Result<Value, ProvisionError> {
    answer.map_err(|error| ProvisionError::Rest { asked: what, error })
}

/// What is there already is entered: nothing.
fn unless_there(answer: Result<Value, RestError>) -> Result<Value, RestError> {
    match answer {
        Err(error) if error.status() == Some(StatusCode::CONFLICT) => Ok(Value::Null),
        answer => answer,
    }
}

/// The devices by product, of those that have some.
fn members(scenario: &Scenario, seed: u64) -> Vec<Members> {
    let products = scenario.products().into_iter();
    let mut members: Vec<Members> = products
        .map(|product| Members {
            product,
            endpoints: Vec::new(),
        })
        .collect();
    for device in scenario.devices(seed) {
        let config = device.config;
        let own = members.iter_mut().find(|it| {
            it.product.manufacturer == config.manufacturer && it.product.model == config.model
        });
        if let Some(own) = own {
            own.endpoints.push(config.endpoint);
        }
    }
    members.retain(|it| !it.endpoints.is_empty());
    members
}

/// Devices as `POST /devices/import` takes them.
fn csv(product: &Product, endpoints: &[String]) -> String {
    let mut csv = String::from("endpoint,manufacturer,model,device_type\n");
    for endpoint in endpoints {
        let Product {
            manufacturer,
            model,
            quirks: _,
        } = product;
        let line = [endpoint, manufacturer, model, DEVICE_TYPE];
        csv.push_str(&line.map(quoted).join(","));
        csv.push('\n');
    }
    csv
}

/// A field as RFC 4180 has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_PRODUCTS: &str = "[devices]\ncount = 40\n\
         [[mix]]\nname = \"a\"\n[[mix]]\nname = \"b\"\n\
         traits = { manufacturer = \"B, \\\"Co\\\"\", model = \"M\" }\n";

    #[test]
    fn devices_are_entered_by_product() {
        let scenario = Scenario::parse(TWO_PRODUCTS).unwrap();
        let members = members(&scenario, 1);
        assert_eq!(members.len(), 2);
        let mut all: Vec<&String> = members.iter().flat_map(|it| &it.endpoints).collect();
        all.sort_unstable();
        assert_eq!(all.len(), 40);
        assert_eq!(all[0], &scenario.device(1, 0).config.endpoint);
    }

    #[test]
    fn a_name_with_commas_and_quotes_stays_one_field() {
        let product = Product {
            manufacturer: "B, \"Co\"".to_owned(),
            model: "M".to_owned(),
            quirks: None,
        };
        let csv = csv(&product, &["1".to_owned()]);
        let line = csv.lines().nth(1).unwrap();
        assert_eq!(line, "\"1\",\"B, \"\"Co\"\"\",\"M\",\"WaterMeter\"");
    }
}
