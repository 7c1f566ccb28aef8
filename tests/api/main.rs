//! The REST API from outside: over a real listener, with a store in memory and an engine that a test
//! can make refuse.

mod audit;
mod campaigns;
mod cells;
mod conditions;
mod connections;
mod devices;
mod engine;
mod events;
mod groups;
mod health;
mod idempotency;
mod keys;
mod links;
mod openapi;
mod package_rules;
mod packages;
mod pages;
mod preconditions;
mod problems;
mod profile_settings;
mod profiles;
mod resources;
mod roles;
mod rollout;
mod schedules;
mod service;
mod targets;
mod tokens;
mod verifier;
mod waits;
mod webhooks;
