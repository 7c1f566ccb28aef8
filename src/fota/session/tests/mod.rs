//! Scripted sessions on a virtual clock, against a small model of a device.

mod bench;
mod cancel;
mod condition;
mod deferral;
mod download;
mod expiry;
mod faults;
mod flow;
mod gate;
mod hold;
mod pace;
mod push;
mod random;
mod slots;
mod stop;
mod waiting;
