mod bench;
mod failures;
mod fetches;
mod flood;
mod limits;
mod view;
