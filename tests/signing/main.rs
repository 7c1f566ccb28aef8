//! The signed package, looked at from outside: OpenSSL, Python and unzip on the other side, and
//! everything that must be refused.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper that fails is a failed test, as the test itself"
)]

mod commands;
mod conversions;
mod ecdsa;
mod fixture;
mod forged;
mod forgeries;
mod inspect;
mod interoperation;
mod io;
mod keys;
mod tampering;
mod zip_builder;
mod zips;
