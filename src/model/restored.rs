//! What was committed, as an engine is rebuilt from it.

use super::{
    Campaign, DeliveryHistory, Device, DeviceReport, DeviceRequest, EndpointName, Package, Product,
    Registration, StoredObservation, TaskId, UpdateTask,
};

/// All that an engine is rebuilt from.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// How the devices of products with a profile are treated.
    pub products: Vec<Product>,
    /// Devices that may register.
    pub devices: Vec<Device>,
    /// Live registrations.
    pub registrations: Vec<Registration>,
    /// Observations whose tokens devices remember.
    pub observations: Vec<StoredObservation>,
    /// Campaigns in an active state, and stopped ones with a device still at work.
    pub campaigns: Vec<Campaign>,
    /// The packages of those campaigns.
    pub packages: Vec<Package>,
    /// Unfinished tasks of those campaigns.
    pub tasks: Vec<UpdateTask>,
    /// The number of the last task that was ever made.
    pub last_task: TaskId,
    /// What devices last reported.
    pub reports: Vec<(EndpointName, DeviceReport)>,
    /// What devices were given lately, and who is barred.
    pub deliveries: Vec<(EndpointName, DeliveryHistory)>,
    /// Operators' requests to devices, those that have ended among them.
    pub device_requests: Vec<DeviceRequest>,
}
