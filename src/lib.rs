//! Narrowcast: self-hosted firmware updates for private NB-IoT networks.

pub mod campaign;
pub mod cli;
pub mod clock;
pub mod coap;
pub mod config;
pub mod engine;
pub mod fota;
pub mod http;
pub mod lwm2m;
pub mod model;
pub mod net;
pub mod scheduler;
pub mod server;
pub mod signing;
pub mod sim;
pub mod store;
