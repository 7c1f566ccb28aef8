//! Narrowcast: self-hosted firmware updates for private NB-IoT networks.
//!
//! Utilities, mines and campuses that run their own NB-IoT cells need what the carrier platforms did
//! for them: devices register over LwM2M, an operator uploads a signed package and starts a campaign,
//! and the server updates only as many devices of a cell at once as its coverage bears.
//!
//! # Layers
//!
//! A module uses only modules of the rows above its own; `tests/architecture` holds it to that.
//!
//! | row | modules | what they are |
//! |---|---|---|
//! | 0 | [`clock`] | instants, UTC, and the one reader of the machine's clocks |
//! | 1 | [`model`] | the nouns, their states, the records to commit |
//! | 2 | [`coap`] · [`signing`] · [`profile`] · [`store`] · [`net`] | wires, files, rows, sockets |
//! | 3 | [`lwm2m`] | links, values, operations, the registry |
//! | 4 | [`fota`] · [`scheduler`] · [`campaign`] | decisions, all pure |
//! | 5 | [`engine`] | the whole, still sans-IO |
//! | 6 | [`http`] · [`config`] · [`sim`] | REST, settings, simulated devices |
//! | 7 | [`server`] · [`harness`] | the shell: sockets, driver, start and stop · rehearsals and load |
//! | 8 | [`cli`] | the commands |
//!
//! # A datagram's way
//!
//! 1. `server::driver` takes it from the socket; it is now a [`model::Peer`] and bytes. From here on
//!    nothing awaits.
//! 2. [`engine::Engine::handle_datagram`] hands it to [`coap::Endpoint`]: decoded, told from a
//!    duplicate, matched with what was asked, put together from blocks. Out comes a [`coap::Event`].
//! 3. `engine::routes` looks at a request's path: `/rd` goes to [`lwm2m::Registry`], `/dp` to
//!    `engine::send`, `/fw` to `engine::download`. An answer or a notification goes to
//!    `engine::operations`, or where an operator asked to `engine::device_requests`.
//! 4. The [`fota::Session`] of that device takes it and says its next step; the
//!    [`scheduler::CellScheduler`] grants or queues where the step wants a slot.
//! 5. The step goes down the same way in the same call. What has changed becomes
//!    [`model::Record`]s.
//! 6. The driver drains [`engine::Engine::poll_output`]: it commits the records in one transaction of
//!    the [`store::Store`], then sends the datagrams that rest on them. A block of an image rests on
//!    nothing and leaves at once.
//!
//! If the commit fails the engine has gone past what is true: it is thrown away and rebuilt from the
//! store, and nothing of that input is sent. To the device that is a lost datagram, which CoAP repeats.
//!
//! # A firmware task's way
//!
//! 1. `narrowcast keygen` and `sign` make a key pair and a signed package ([`signing`]). The private
//!    key never meets the server.
//! 2. `POST /api/v1/packages` verifies it with the manufacturer's public key, keeps the firmware file
//!    under its SHA-256, and its row in the store.
//! 3. `POST /api/v1/campaigns` resolves groups and devices into tasks; `…/activate` reads them back,
//!    loads and hashes the image, and sends [`engine::Command::RunCampaign`]. After a restart the server
//!    sends the same command for what is unfinished: one path for both.
//! 4. The device is heard, or listens anyway: the engine opens a [`fota::Session`]. It reads State and
//!    version; equal to the target is a success already. It reads cell, RSRP and SINR, and asks the
//!    scheduler for a slot of that cell and [`model::CoverageTier`].
//! 5. Slot and intent are committed together; then it observes `/5/0/3`, writes `/5/0/1`, and the
//!    device fetches blocks. Downloaded: State and version are read again, the intent to execute is
//!    committed, `/5/0/2` is executed, once.
//! 6. The device reboots and registers; result and version are read, the observation is cancelled,
//!    the slot goes to the next task of its class (after the download already, where
//!    [`model::SlotHeld`] says so). A failure is tried again as [`campaign`] allows.
//!
//! A session that (re)starts reads what the device reports and lets [`fota::step`] choose: after a
//! crash, a reboot or a lost answer the path is the same. That is why steps need no journal.
//!
//! # Invariants
//!
//! - Cores never wait, read no clock and draw no chance of their own: rows 0 to 5 but for `store` and
//!   `net` are sans-IO.
//! - Only the driver sends; only `store` writes rows; only the engine changes a running task.
//! - The server holds no private signing key.
//! - `coap_lite` is named in one file, SQL in one folder.

pub mod campaign;
pub mod cli;
pub mod clock;
pub mod coap;
pub mod config;
pub mod engine;
pub mod fota;
pub mod harness;
pub mod http;
pub mod lwm2m;
pub mod model;
pub mod net;
pub mod profile;
pub mod scheduler;
pub mod server;
pub mod signing;
pub mod sim;
pub mod store;
