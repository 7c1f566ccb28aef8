//! How much the engine holds.

use crate::coap;

use super::Engine;

/// How much an engine holds now. Each figure is bounded by the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The message layer's.
    pub coap: coap::Held,
    /// Registrations: `registry.registrations_max`.
    pub registrations: usize,
    /// Devices that may register: `devices_max`.
    pub devices: usize,
    /// Products with settings of their own: `products_max`.
    pub products: usize,
    /// Kinds that devices were entered as: `device_kinds_max`.
    pub device_kinds: usize,
    /// What devices said of themselves: as many as devices.
    pub reports: usize,
    /// Unfinished tasks: `tasks_max`.
    pub tasks: usize,
    /// Capabilities under which an image is served: as many as tasks.
    pub downloads: usize,
    /// Operations that wait for their answer: `coap.requests_max`.
    pub operations: usize,
    /// Pings that wait for their answer: as many as tasks.
    pub pings: usize,
    /// Tokens that devices may notify on: as many as `coap.observations_max`.
    pub observations: usize,
    /// Operators' requests, ended ones among them: `device_requests.waiting_max` and
    /// `device_requests.ended_max`.
    pub device_requests: usize,
    /// Endpoints of which it is watched who registers: `flapping.endpoints_max`.
    pub flapping_watched: usize,
    /// Endpoints whose Registers are counted: `register_rate.endpoints_max`.
    pub register_rates: usize,
    /// What the tasks of campaigns are gone through for: four errands of each campaign at the most.
    pub sweeps: usize,
    /// Tasks that have not begun and whose devices said something of themselves: as many as tasks.
    pub said: usize,
    /// Deadlines: a few for each task.
    pub timers: usize,
}

impl Engine {
    /// What it holds now.
    pub fn held(&self) -> Held {
        Held {
            coap: self.coap.held(),
            registrations: self.registry.len(),
            devices: self.known.len(),
            products: self.products.len(),
            device_kinds: self.products.kinds(),
            reports: self.reports.len(),
            tasks: self.tasks.len(),
            downloads: self.downloads.len(),
            operations: self.operations.outstanding(),
            pings: self.pings.len(),
            observations: self.operations.observations(),
            device_requests: self.device_requests.len(),
            flapping_watched: self.flapping.watched(),
            register_rates: self.register_rate.counted(),
            sweeps: self.sweeps.len(),
            said: self.said.len(),
            timers: self.timers.len(),
        }
    }
}
