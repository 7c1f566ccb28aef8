//! Scripted sessions on a virtual clock, against a small model of a device.

mod bench;
mod download;
mod faults;
mod flow;
mod random;
mod slots;
