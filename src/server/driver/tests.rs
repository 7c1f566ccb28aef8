mod bench;
mod failures;
mod flood;
mod view;
