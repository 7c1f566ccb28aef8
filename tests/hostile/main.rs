//! Bad peers of every kind against the real `narrowcast serve`, while honest ones go on.
//!
//! Each row of [`datagrams`], [`registrations`], [`bodies`], [`floods`], [`dtls`], [`requests`], [`slowness`],
//! [`queries`] and [`fetching`] is one kind of bad input, and what the server has to say to it. All the while a
//! device sends Updates and Registers, an operator lists devices, and a device downloads an image over and over: [`honest`].
//! [`site`] plays the rows, and holds the honest peers' latencies, the server's memory and descriptors,
//! and the list of devices against what they were; it prints a table.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helper that fails is a failed test, as the test itself; its figures are shown"
)]

mod bodies;
mod coap;
mod datagrams;
mod download;
mod dtls;
mod fetching;
mod figures;
mod floods;
mod honest;
mod http;
mod queries;
mod records;
mod registrations;
mod requests;
mod server;
mod site;
mod slowness;

#[test]
fn devices_and_operators_are_served_while_hostile_datagrams_come() {
    let rows = [
        datagrams::ROWS,
        bodies::ROWS,
        floods::ROWS,
        // The last of them, the storm, leaves thousands of devices behind.
        registrations::ROWS,
    ];
    site::play(&rows.concat(), 1..=30);
}

#[test]
fn devices_and_operators_are_served_while_peers_of_dtls_come_to_the_port_of_coap() {
    site::play(dtls::ROWS, 31..=35);
}

#[test]
fn devices_and_operators_are_served_while_hostile_connections_come() {
    let rows = [requests::ROWS, slowness::ROWS];
    site::play(&rows.concat(), 36..=46);
}

#[test]
fn devices_and_operators_are_served_while_odd_queries_and_the_other_http_come() {
    site::play(queries::ROWS, 51..=52);
}

#[test]
fn devices_and_operators_are_served_while_hostile_connections_come_to_where_modules_fetch() {
    site::play(fetching::ROWS, 36..=44);
}
