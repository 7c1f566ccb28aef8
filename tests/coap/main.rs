//! The CoAP endpoint from outside: clause by clause against a scripted peer, and two endpoints over a
//! lossy link on a virtual clock.

mod bodies;
mod echo;
mod limits;
mod lockstep;
mod loss;
mod messages;
mod notified_blocks;
mod observations;
mod options;
mod pair;
mod requests;
mod transfers;
